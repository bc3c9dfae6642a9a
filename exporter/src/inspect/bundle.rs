//! A bundle checked against its manifest, file by file, with every network surveyed.

use super::{Card, Floor, GraphReport, graph_report};
use crate::ExportError;
use crate::weights::Weights;
use mindeye_config::{BundleManifest, Checked, FileEntry, Origin, Precision, sha256_of_file};
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// A bundle whose files are those of its manifest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BundleReport {
    /// Its name.
    pub name: String,
    /// Program and version that wrote it.
    pub created_by: String,
    /// Where its weights come from.
    pub origin: Origin,
    /// Seed of random weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// What it can and cannot do.
    pub note: String,
    /// Files, all of the listed length and digest.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Pictures in the gallery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gallery: Option<usize>,
    /// Its networks.
    pub networks: Vec<NetworkReport>,
}

/// One network of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NetworkReport {
    /// Its name in the manifest.
    pub name: String,
    /// Its arithmetic.
    pub precision: Precision,
    /// Distance from its golden case that warm-up accepts.
    pub tolerance: f64,
    /// Numbers in its golden case's outputs.
    pub golden_numbers: usize,
    /// The graph.
    pub graph: GraphReport,
}

impl BundleReport {
    pub(super) fn of(folder: &Path, card: Option<&Card>) -> Result<Self, ExportError> {
        let manifest: BundleManifest = mindeye_config::load(&folder.join("manifest.toml"))?;
        manifest.check().map_err(|complaint| mindeye_config::ConfigError::Rejected {
            path: folder.join("manifest.toml"),
            complaint,
        })?;
        manifest.file.iter().try_for_each(|file| check_file(folder, file))?;
        let golden = Weights::open(&folder.join("golden.safetensors"))?;
        let mut networks = Vec::new();
        for entry in &manifest.network {
            let mut golden_numbers = 0;
            for tensor in &entry.outputs {
                let key = format!("{}/{}", entry.name, tensor.name);
                let found = golden.float_tensor(&key).filter(|found| found.shape == tensor.shape);
                let Some(found) = found else {
                    let message = format!("no tensor `{key}` of shape {:?}", tensor.shape);
                    return Err(ExportError::Golden { path: golden.path().to_path_buf(), message });
                };
                golden_numbers += found.len();
            }
            networks.push(NetworkReport {
                name: entry.name.clone(),
                precision: entry.precision,
                tolerance: entry.tolerance,
                golden_numbers,
                graph: graph_report(&folder.join(&entry.path), card)?,
            });
        }
        Ok(Self {
            files: manifest.file.len(),
            bytes: manifest.file.iter().map(|file| file.bytes).sum(),
            gallery: manifest.gallery.map(|gallery| gallery.count),
            name: manifest.name,
            created_by: manifest.created_by,
            origin: manifest.origin,
            seed: manifest.seed,
            note: manifest.note,
            networks,
        })
    }
}

/// The file is there with the manifest's length and digest.
fn check_file(folder: &Path, file: &FileEntry) -> Result<(), ExportError> {
    let path = folder.join(&file.path);
    let disagree = |what: &str, found: String, expected: String| {
        let (path, other) = (path.clone(), "manifest.toml".to_owned());
        Err(ExportError::Disagree { path, what: what.to_owned(), found, other, expected })
    };
    let Ok(metadata) = std::fs::metadata(&path) else {
        return Err(ExportError::Incomplete { folder: folder.to_path_buf(), file: file.path.clone() });
    };
    if metadata.len() != file.bytes {
        return disagree("length", format!("{} bytes", metadata.len()), format!("{} bytes", file.bytes));
    }
    let found = sha256_of_file(&path).map_err(|source| ExportError::Unreadable { path: path.clone(), source })?;
    if found == file.sha256 { Ok(()) } else { disagree("sha256", found.0, file.sha256.0.clone()) }
}

impl fmt::Display for BundleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = match self.origin {
            Origin::Checkpoint => "trained checkpoint",
            Origin::RandomInit => "random weights",
        };
        writeln!(f, "{}: {origin}, by {}", self.name, self.created_by)?;
        writeln!(f, "  {}", self.note)?;
        let gib = self.bytes as f64 / f64::from(1 << 30);
        write!(f, "  {} files of {gib:.2} GiB, lengths and digests as listed", self.files)?;
        if let Some(pictures) = self.gallery {
            write!(f, "; a gallery of {pictures}")?;
        }
        for network in &self.networks {
            write!(f, "\n{}", network.graph)?;
            write!(f, "\n  golden case of {} numbers, tolerance {:.0e}", network.golden_numbers, network.tolerance)?;
        }
        let floors: Vec<Floor> = self.networks.iter().filter_map(|network| network.graph.floor).collect();
        match floors.first() {
            Some(floor) => {
                let all: f64 = floors.iter().map(|floor| floor.floor_ms).sum();
                write!(f, "\nevery network once on {}: {all:.3} ms at least", floor.card)
            }
            None => Ok(()),
        }
    }
}
