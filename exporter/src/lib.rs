//! Weights in, ONNX graphs, galleries and bundles out, each held to an independent answer before anyone relies on it.
//!
//! ```text
//!   .safetensors ──weights──► StateDict ──networks──► Graph ──onnx──► F.onnx[.data]
//!                  (strict)       │       (shapes checked)                │
//!                                 └──reference (f64)──► golden cases ─────┴──bundle──► BUNDLE/
//! ```
//!
//! Deliberately absent: Python, torch, pickles, sockets, and the clock.

pub mod bundle;
mod error;
pub mod gallery;
pub mod inspect;
pub mod networks;
pub mod onnx;
mod progress;
pub mod random_init;
pub mod reference;
mod staging;
mod verbs;
pub mod weights;

pub use bundle::{RandomInit, Size, random_init_bundle};
pub use error::ExportError;
pub use progress::{Progress, Step};
pub use verbs::{
    EngineEntry, EngineRequest, EnginesReport, GraphReport, GraphRequest, Origin, compile_engines, export_graph,
};
