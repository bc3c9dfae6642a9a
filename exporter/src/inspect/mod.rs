//! What a graph, a bundle or an engine contains, and the least time that a named card needs for it.

mod attention;
mod bundle;
mod cards;
mod engine;
mod survey;
mod work;

pub use attention::Scores;
pub use bundle::BundleReport;
pub use cards::{CARDS, Card, Floor, card};
pub use engine::EngineReport;
pub use survey::Survey;

use crate::ExportError;
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// What was found at a path.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Inspection {
    /// An ONNX file.
    Graph(Box<GraphReport>),
    /// A bundle.
    Bundle(Box<BundleReport>),
    /// A compiled engine.
    Engine(Box<EngineReport>),
}

/// A graph and its floor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GraphReport {
    /// The graph.
    #[serde(flatten)]
    pub survey: Survey,
    /// The least time on the named card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
}

/// Looks at the ONNX file, bundle folder or engine file at `path`.
///
/// # Errors
/// No such path, a damaged file, a bundle whose files are not those of its manifest, a self-attention of 64x64 places
/// that would write its score matrix to memory.
pub fn inspect(path: &Path, card: Option<&Card>) -> Result<Inspection, ExportError> {
    if !path.exists() {
        return Err(ExportError::NoSuchFile { path: path.to_path_buf() });
    }
    if path.is_dir() {
        return Ok(Inspection::Bundle(Box::new(BundleReport::of(path, card)?)));
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("engine" | "plan") => Ok(Inspection::Engine(Box::new(EngineReport::of(path)?))),
        _ => Ok(Inspection::Graph(Box::new(graph_report(path, card)?))),
    }
}

fn graph_report(path: &Path, card: Option<&Card>) -> Result<GraphReport, ExportError> {
    let survey = Survey::of(path)?;
    survey.refuse_materialised_scores(path)?;
    Ok(GraphReport { floor: card.map(|card| card.floor(&survey)), survey })
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Graph(report) => report.fmt(f),
            Self::Bundle(report) => report.fmt(f),
            Self::Engine(report) => report.fmt(f),
        }
    }
}

impl fmt::Display for GraphReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.survey.fmt(f)?;
        match &self.floor {
            Some(floor) => write!(f, "\n  {floor}"),
            None => Ok(()),
        }
    }
}
