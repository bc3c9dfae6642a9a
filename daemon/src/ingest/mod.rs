//! The door: every message is judged by one pure state machine, saved by one writer, and answered only when it is safe.
//!
//! ```text
//!   ROUTER ──► intake (judge) ──┬──► preprocess queue        at once
//!      ▲                        └──► committer (write, sync) ──► `accepted`
//!      └───────────── replies ────────────┘
//! ```

mod command;
mod committer;
mod front_end;
mod intake;
mod limits;
mod reply;
mod router;
mod timeline;

pub use command::Command;
pub use committer::{CommitItem, Committed, Committer, Save, Saved};
pub use front_end::{FrontEndDesk, LoadError};
pub use intake::{Intake, RunStartVerdict, Verdict, VolumeVerdict};
pub use limits::{GridRule, Limits};
pub use reply::Reply;
pub use router::{Router, RouterParts};
pub use timeline::Timeline;
