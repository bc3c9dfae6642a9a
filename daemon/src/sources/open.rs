//! From configuration to a source that listens or watches.

use super::afni::AfniReceiver;
use super::pyneal::PynealReceiver;
use super::{DicomFolder, NiftiFolder, RunRules, SeriesRules, VolumeSource, WatchRules};
use mindeye_config::{Clock, DaemonConfig, Name, SourceKind};
use std::path::Path;
use std::sync::Arc;

/// Why a source cannot begin.
#[derive(Debug, thiserror::Error)]
#[error("source {kind}: {place}: {problem}")]
pub struct SourceStartError {
    /// Kind of source.
    pub kind: &'static str,
    /// Address, or the key that names the folder.
    pub place: String,
    /// What the system said.
    pub problem: String,
}

impl SourceStartError {
    fn new(kind: &'static str, place: &str, problem: impl std::fmt::Display) -> Self {
        Self { kind, place: place.to_owned(), problem: problem.to_string() }
    }
}

/// A source that listens or watches.
pub struct OpenedSource {
    /// The source.
    pub source: Box<dyn VolumeSource>,
    /// Where it listens, or the key that names its folder, for people.
    pub place: String,
}

/// The configured source and where it listens, for people; `None` without one.
///
/// # Errors
/// An address that cannot be bound, or a folder that cannot be read.
pub fn open_source(
    config: &DaemonConfig,
    context: &zmq::Context,
    clock: &Arc<dyn Clock>,
) -> Result<Option<OpenedSource>, SourceStartError> {
    let told = &config.source;
    let runs = RunRules::new(told);
    let max_bytes = config.volumes.max_volume_mib as usize * (1 << 20);
    let folder = told.folder.as_deref().unwrap_or(Path::new(""));
    let session = session(config);
    let (source, place): (Box<dyn VolumeSource>, String) = match told.kind {
        SourceKind::None => return Ok(None),
        SourceKind::DicomFolder => {
            let rules = (WatchRules::new(told), SeriesRules::new(told), runs);
            let opened = DicomFolder::new(folder, session, clock.clone(), max_bytes as u64, rules);
            let opened = opened.map_err(|error| SourceStartError::new("dicom-folder", "source.folder", error))?;
            (Box::new(opened), "source.folder".into())
        }
        SourceKind::NiftiFolder => {
            let (numbers, rules) = ((told.first_number, told.tr_s), (WatchRules::new(told), runs));
            let opened = NiftiFolder::new(folder, session, clock.clone(), max_bytes as u64, numbers, rules);
            let opened = opened.map_err(|error| SourceStartError::new("nifti-folder", "source.folder", error))?;
            (Box::new(opened), "source.folder".into())
        }
        SourceKind::Pyneal => {
            let at = |error: zmq::Error| SourceStartError::new("pyneal", &told.pyneal_bind, error);
            let opened =
                PynealReceiver::bind(context, &told.pyneal_bind, clock.clone(), max_bytes, runs).map_err(at)?;
            let endpoint = opened.endpoint().map_err(at)?;
            (Box::new(opened), endpoint)
        }
        SourceKind::Afni => {
            let place = format!("{} and {}", told.afni_control, told.afni_data);
            let at = |error: std::io::Error| SourceStartError::new("afni", &place, error);
            let opened =
                AfniReceiver::bind(&told.afni_control, &told.afni_data, clock.clone(), max_bytes, runs).map_err(at)?;
            let [control, data] = opened.addresses().map_err(at)?;
            (Box::new(opened), format!("control={control} data={data}"))
        }
    };
    Ok(Some(OpenedSource { source, place }))
}

/// `[session]` beats `source.session`.
pub(crate) fn session(config: &DaemonConfig) -> Name {
    config.session.as_ref().map_or_else(|| config.source.session.clone(), |session| session.session.clone())
}
