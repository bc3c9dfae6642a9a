//! The live program: volumes in over ZeroMQ, pictures out before the deadline, every step timed and written down.
//!
//! ```text
//!  scanner ─ZeroMQ─► router thread ─► preprocess thread ─► mailbox ─► decode thread ─► publish thread ─► PUB, journal, pages
//!                    │  ▲ accepted    ring, moments, betas  earliest    engine           one final answer
//!                    ▼  │             who is due            first                        per trial, by its deadline
//!                    committer (input.journal)
//! ```
//!
//! Three bounded queues: to preprocessing (full: the scanner waits), to decoding (full: the latest deadline gives way), to
//! publishing (volume messages give way, answers do not). Lateness and gaps are values, not errors.
//!
//! Deliberately absent: mathematics of the model (decode), of betas (preprocess), and of networks (engine).

pub mod app;
pub mod bench;
pub mod blind;
pub mod calibrate;
pub mod cli;
pub mod display;
pub mod ingest;
pub mod journal;
pub mod pipeline;
pub mod protocol;
pub mod publish;
pub mod replay;
pub mod scanner;
pub mod settings;
pub mod sources;
pub mod vitals;
