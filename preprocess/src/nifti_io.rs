//! NIfTI-1 files in: a recorded run becomes the same bytes that a scanner would have sent.

use crate::affine::affine_of;
use crate::storage::Storage;
use crate::{AffineSource, Grid, PreprocessError, VoxelType};
use flate2::read::MultiGzDecoder;
use nifti::{NiftiHeader, header::MAGIC_CODE_NIP1};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A recorded run, or a single volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Bold {
    /// Voxels and their place in RAS+ mm.
    pub grid: Grid,
    /// Where the place comes from; [`AffineSource::Pixdim`] means that the file does not say where the head is.
    pub affine_source: AffineSource,
    /// Repetition time of the header in seconds; `None` if it is not positive. Believe it only with a `time_unit`.
    pub tr_s: Option<f64>,
    /// Unit in which the header gives the repetition time.
    pub time_unit: TimeUnit,
    /// Type of the voxels in `volumes`.
    pub dtype: VoxelType,
    /// Each volume as raw bytes: little-endian, x fastest, scanner's units. The header's scale is applied (then
    /// float32); 8-bit integers become int16 and 32-bit ones float64, both exactly.
    pub volumes: Vec<Vec<u8>>,
}

/// Unit of the header's repetition time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Not stated, or no unit of time: the number was read as seconds.
    Unknown,
}

impl TimeUnit {
    fn of(header: &NiftiHeader) -> Self {
        match header.xyzt_units & 0o70 {
            0o10 => Self::Seconds,
            0o20 => Self::Milliseconds,
            0o30 => Self::Microseconds,
            _ => Self::Unknown,
        }
    }

    fn per_second(self) -> f64 {
        match self {
            Self::Seconds | Self::Unknown => 1.0,
            Self::Milliseconds => 1e3,
            Self::Microseconds => 1e6,
        }
    }
}

/// Bytes of a NIfTI-1 header, and where voxels start at the earliest (four bytes of extension flags follow).
const HEADER_BYTES: usize = 348;
const FIRST_VOXEL: u64 = 352;

/// Reads a `.nii` or `.nii.gz` file (gzip is recognised by its magic bytes) of one or more volumes.
///
/// # Errors
/// [`PreprocessError::File`] or [`PreprocessError::Format`] naming `path`: unreadable, not NIfTI-1, an unsupported
/// voxel type or unit of length, no usable affine, or fewer voxels than the header promises.
pub fn read_bold(path: &Path) -> Result<Bold, PreprocessError> {
    let file = |source| PreprocessError::File { path: path.to_owned(), source };
    let mut source = open(path).map_err(file)?;
    let bytes = read_up_to(&mut source, HEADER_BYTES).map_err(file)?;
    read_after_header(&bytes, &mut source).map_err(|problem| PreprocessError::Format { path: path.to_owned(), problem })
}

fn open(path: &Path) -> std::io::Result<Box<dyn Read>> {
    let mut file = BufReader::new(File::open(path)?);
    let is_gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
}

fn read_after_header(bytes: &[u8], source: &mut dyn Read) -> Result<Bold, String> {
    let header = parse_header(bytes)?;
    let (dim, volumes) = shape(&header)?;
    let (affine, affine_source) = affine_of(&header)?;
    let grid = Grid { dim, affine };
    let storage = Storage::of(&header)?;
    skip_to_voxels(&header, source)?;
    let volumes = (0..volumes).map(|i| read_volume(source, grid.voxel_count(), &storage, i, volumes));
    let volumes = volumes.collect::<Result<Vec<_>, String>>()?;
    // Reading to the end makes gzip compare its checksum.
    std::io::copy(source, &mut std::io::sink()).map_err(|e| format!("after the last voxel: {e}"))?;
    let time_unit = TimeUnit::of(&header);
    Ok(Bold { grid, affine_source, tr_s: tr_s(&header, time_unit), time_unit, dtype: storage.dtype(), volumes })
}

/// The header has f32: its shortest decimal is what was meant (0.8 and not 0.800000011920929).
fn tr_s(header: &NiftiHeader, unit: TimeUnit) -> Option<f64> {
    let stored: f64 = header.pixdim[4].to_string().parse().ok()?;
    Some(stored / unit.per_second()).filter(|tr_s| tr_s.is_finite() && *tr_s > 0.0)
}

fn parse_header(bytes: &[u8]) -> Result<NiftiHeader, String> {
    if bytes.len() < HEADER_BYTES {
        return Err(format!("a NIfTI-1 header has {HEADER_BYTES} bytes, the file ends after {}", bytes.len()));
    }
    let header = NiftiHeader::from_reader(bytes).map_err(|e| e.to_string())?;
    if header.sizeof_hdr != HEADER_BYTES as i32 {
        let found = header.sizeof_hdr;
        return Err(format!(
            "a NIfTI-1 header states its size as {HEADER_BYTES}, found {found} (540 would be NIfTI-2)"
        ));
    }
    if header.magic != *MAGIC_CODE_NIP1 {
        return Err("header and voxels must be in one file (magic \"n+1\"), found a header of a pair".into());
    }
    // 1 and 3 are metre and micrometre; 0 (not stated) is millimetre by custom.
    if !matches!(header.xyzt_units & 0o7, 0 | 2) {
        return Err(format!("lengths must be in millimetres (unit code 2), found code {}", header.xyzt_units & 0o7));
    }
    Ok(header)
}

/// Voxels along x, y, z, and volumes.
fn shape(header: &NiftiHeader) -> Result<([usize; 3], usize), String> {
    let axes = usize::from(header.dim[0]);
    // Signed 16 bit in the file: what looks like 32768 or more was negative.
    let at = |axis: usize| if axis <= axes { usize::from(header.dim[axis]) } else { 1 };
    let fits = (3..=7).contains(&axes) && (1..=4).all(|axis| (1..32_768).contains(&at(axis)));
    let voxels = at(1).saturating_mul(at(2)).saturating_mul(at(3));
    if !fits || (5..=7).any(|axis| at(axis) != 1) || voxels > u32::MAX as usize {
        let found = header.dim;
        return Err(format!(
            "dim must be [3, x, y, z] or [4, x, y, z, t] with fewer than 2^32 voxels, found {found:?}"
        ));
    }
    Ok(([at(1), at(2), at(3)], at(4)))
}

fn skip_to_voxels(header: &NiftiHeader, source: &mut dyn Read) -> Result<(), String> {
    let stated = header.vox_offset as u64;
    let offset = if stated == 0 { FIRST_VOXEL } else { stated };
    if offset < FIRST_VOXEL {
        return Err(format!("voxels start at byte {FIRST_VOXEL} or later, the header says {}", header.vox_offset));
    }
    let between = offset - HEADER_BYTES as u64;
    let skipped = std::io::copy(&mut source.take(between), &mut std::io::sink()).map_err(|e| e.to_string())?;
    if skipped < between {
        return Err(format!("voxels start at byte {offset}, the file ends after {}", HEADER_BYTES as u64 + skipped));
    }
    Ok(())
}

fn read_volume(
    source: &mut dyn Read,
    voxels: usize,
    storage: &Storage,
    index: usize,
    volumes: usize,
) -> Result<Vec<u8>, String> {
    let expected = voxels * storage.bytes();
    let bytes = read_up_to(source, expected).map_err(|e| format!("volume {index} of {volumes}: {e}"))?;
    if bytes.len() < expected {
        let found = bytes.len();
        return Err(format!("volume {index} of {volumes} has {expected} bytes, the file ends after {found} of them"));
    }
    Ok(storage.decode(bytes))
}

/// Reads `count` bytes, or fewer if the source ends; memory grows with what comes, not with what a header promises.
fn read_up_to(source: &mut dyn Read, count: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match source.take(count as u64).read_to_end(&mut bytes) {
        // A gzip stream that breaks off says so with this kind: the caller names the place.
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(bytes),
        Err(e) => Err(e),
        Ok(_) => Ok(bytes),
    }
}
