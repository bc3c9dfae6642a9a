//! What a file holds: which series it belongs to, which volume of it, where it lies, when it was acquired, and its voxels.

use super::elements::{
    BITS_ALLOCATED, BITS_STORED, COLUMNS, COMPLEX_COMPONENT, IMAGE_TYPE, INSTANCE_NUMBER, PIXEL_REPRESENTATION,
    PROTOCOL_NAME, ROWS, SAMPLES_PER_PIXEL, SERIES_DESCRIPTION, SERIES_NUMBER, SERIES_UID, SOP_CLASS,
    TEMPORAL_POSITIONS,
};
use super::{DicomError, DicomFile, enhanced, mosaic, walk};
use mindeye_preprocess::{Grid, VoxelType};

const MR_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.4";
const ENHANCED_MR_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.4.1";
/// Longest side in voxels, of a picture of one slice or of a mosaic.
const MAX_SIDE: u16 = 8192;

/// One volume.
#[derive(Debug, Clone, PartialEq)]
pub struct DicomVolume {
    /// Its series.
    pub series: Series,
    /// Place in the series, from 0.
    pub index: u32,
    /// Repetition time, seconds.
    pub tr_s: f64,
    /// Voxel grid, RAS mm.
    pub grid: Grid,
    /// Voxel type.
    pub dtype: VoxelType,
    /// Acquisition start, seconds after the series' own time.
    pub acquired_s: Option<f64>,
    /// Acquisition time of each slice inside the TR, seconds.
    pub slice_timing_s: Option<Vec<f64>>,
    /// Volumes planned.
    pub expected_volumes: Option<u32>,
    /// `[x, y, z]`, x fastest, little-endian.
    pub voxels: Vec<u8>,
}

/// What tells series apart. It holds words of the header and so is never shown or written.
#[derive(Clone, PartialEq, Eq)]
pub struct Series {
    /// Unique identifier.
    pub uid: String,
    /// Number on the console.
    pub number: u32,
    /// Protocol name and series description, lower case.
    pub words: String,
    /// What kind of picture it is.
    pub kind: ImageKind,
}

impl std::fmt::Debug for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Series").field("number", &self.number).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What a picture's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageKind {
    /// Magnitude, as reconstructed.
    Magnitude,
    /// Magnitude after the scanner's own motion correction.
    MotionCorrected,
    /// Phase, real or imaginary part.
    Phase,
    /// Single-band reference of a multi-band series.
    SingleBandReference,
}

/// Reads one file that lies in `bytes`.
///
/// # Errors
/// [`DicomError`]; [`DicomError::Incomplete`] may pass.
pub fn read_dicom(bytes: &[u8]) -> Result<DicomVolume, DicomError> {
    let file = walk(bytes)?;
    let pixels = Pixels::of(&file)?;
    match file.top.text(SOP_CLASS) {
        Some(MR_IMAGE) => mosaic::read(&file, &pixels, &bytes[file.voxels.clone()]),
        Some(ENHANCED_MR_IMAGE) => enhanced::read(&file, &pixels, &bytes[file.voxels.clone()]),
        _ => Err(DicomError::NotAVolume("another kind of object than an MR image")),
    }
}

/// How one picture is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pixels {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) dtype: VoxelType,
}

impl Pixels {
    fn of(file: &DicomFile) -> Result<Self, DicomError> {
        let short = |tag| file.top.short(tag);
        let side = |tag| short(tag).filter(|side| (1..=MAX_SIDE).contains(side)).map(usize::from);
        let (Some(rows), Some(columns)) = (side(ROWS), side(COLUMNS)) else {
            return Err(DicomError::Malformed("rows or columns are missing or out of range"));
        };
        let layout = (short(SAMPLES_PER_PIXEL).unwrap_or(1), short(BITS_ALLOCATED), short(PIXEL_REPRESENTATION));
        let dtype = match layout {
            // dcm2niix's rule, and the same bits: 12 stored bits fit the signed type as well.
            (1, Some(16), Some(0)) if short(BITS_STORED).is_some_and(|bits| bits < 16) => VoxelType::Int16,
            (1, Some(16), Some(0)) => VoxelType::Uint16,
            (1, Some(16), Some(1)) => VoxelType::Int16,
            _ => return Err(DicomError::NotAVolume("voxels are not one 16-bit number each")),
        };
        Ok(Self { rows, columns, dtype })
    }

    /// Bytes of one picture.
    pub(super) fn bytes(&self) -> usize {
        self.rows * self.columns * 2
    }
}

pub(super) fn series(file: &DicomFile) -> Result<Series, DicomError> {
    let top = &file.top;
    let words = format!("{} {}", top.lossy(PROTOCOL_NAME), top.lossy(SERIES_DESCRIPTION)).to_lowercase();
    Ok(Series {
        uid: top.text(SERIES_UID).ok_or(DicomError::Malformed("no series"))?.to_owned(),
        number: top.whole(SERIES_NUMBER).unwrap_or(0),
        kind: kind(file, &words),
        words,
    })
}

fn kind(file: &DicomFile, words: &str) -> ImageKind {
    let image_type = file.top.lossy(IMAGE_TYPE).to_uppercase();
    let has = |word: &str| image_type.split('\\').any(|part| part.trim_matches([' ', '\0']) == word);
    let component = file.top.text(COMPLEX_COMPONENT);
    if has("P") || has("PHASE") || has("R") || has("I") || component.is_some_and(|part| part != "MAGNITUDE") {
        return ImageKind::Phase;
    }
    if has("MOCO") {
        return ImageKind::MotionCorrected;
    }
    if words.contains("_sbref") { ImageKind::SingleBandReference } else { ImageKind::Magnitude }
}

/// Place of the volume in its series, from 0.
pub(super) fn index(file: &DicomFile) -> Result<u32, DicomError> {
    let number = file.top.whole(INSTANCE_NUMBER).and_then(|number| number.checked_sub(1));
    number.ok_or(DicomError::Malformed("no instance number from 1"))
}

pub(super) fn expected_volumes(file: &DicomFile) -> Option<u32> {
    file.top.whole(TEMPORAL_POSITIONS).filter(|volumes| *volumes > 1)
}

/// Repetition time in seconds from `milliseconds`.
pub(super) fn repetition_time(milliseconds: Option<f64>) -> Result<f64, DicomError> {
    let seconds = milliseconds.map(|ms| ms / 1e3).filter(|tr_s| *tr_s > 0.0);
    seconds.ok_or(DicomError::Malformed("no repetition time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_picture_is_told_by_type_component_and_name() {
        for (image_type, component, words, expected) in [
            ("ORIGINAL\\PRIMARY\\M\\ND\\MOSAIC ", None, "task", ImageKind::Magnitude),
            ("ORIGINAL\\PRIMARY\\M\\ND\\MOCO\\MOSAIC", None, "task", ImageKind::MotionCorrected),
            ("ORIGINAL\\PRIMARY\\P\\ND\\MOSAIC", None, "task", ImageKind::Phase),
            ("ORIGINAL\\PRIMARY\\FMRI\\NONE", Some("MAGNITUDE "), "task", ImageKind::Magnitude),
            ("ORIGINAL\\PRIMARY\\FMRI\\NONE", Some("PHASE "), "task", ImageKind::Phase),
            ("ORIGINAL\\PRIMARY\\M\\MB\\ND\\MOSAIC", None, "task_sbref", ImageKind::SingleBandReference),
        ] {
            let mut file = DicomFile::default();
            file.top.keep(IMAGE_TYPE, image_type.into());
            component.into_iter().for_each(|component| file.top.keep(COMPLEX_COMPONENT, component.into()));
            assert_eq!(kind(&file, words), expected, "{image_type} {component:?} {words}");
        }
    }
}
