//! One DICOM file per volume in a folder, as a Siemens scanner exports them: names, headers and an invented patient.

use super::element::Elements;
use super::{EmitError, EmittedRun, Emitter, enhanced, mosaic};
use mindeye_preprocess::{Grid, VoxelType};
use std::path::{Path, PathBuf};

/// The invented patient: in every header, and in the name of the export's folder.
pub const PATIENT: &str = "PLANTED^PATIENTNAME";

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DicomKind {
    /// Siemens mosaic with a CSA header (VB to VE).
    Mosaic,
    /// Enhanced multi-frame (XA).
    Enhanced,
}

/// Writes files.
pub struct DicomEmitter {
    kind: DicomKind,
    folder: PathBuf,
    series: u32,
    /// Tells series of several emitters apart.
    uid: String,
}

impl DicomEmitter {
    /// Files of series number `series` go below `export`, as on a scanner into a folder named after the patient; `uid` is a
    /// number that no other series has.
    #[must_use]
    pub fn new(kind: DicomKind, export: &Path, series: u32, uid: u64) -> Self {
        let patient = PATIENT.replace('^', "_");
        Self { kind, folder: export.join(format!("20260101.{patient}.4711")), series, uid: format!("2.25.{uid}") }
    }

    /// One volume as a file's bytes.
    ///
    /// # Errors
    /// For voxels that are not 16-bit integers.
    pub fn file(&self, run: &EmittedRun, index: u32, voxels: &[u8]) -> Result<Vec<u8>, EmitError> {
        if !matches!(run.dtype, VoxelType::Int16 | VoxelType::Uint16) {
            let (format, expected) = ("a DICOM picture", "int16 or uint16");
            return Err(EmitError::VoxelType { format, expected, found: run.dtype.name() });
        }
        let header = Header { series: self.series, uid: &self.uid, index, geometry: Geometry::of(&run.grid) };
        Ok(match self.kind {
            DicomKind::Mosaic => mosaic::file(run, &header, voxels),
            DicomKind::Enhanced => enhanced::file(run, &header, voxels),
        })
    }
}

impl Emitter for DicomEmitter {
    fn begin(&mut self, _: &EmittedRun) -> Result<(), EmitError> {
        std::fs::create_dir_all(&self.folder).map_err(|error| EmitError::peer(&self.folder.to_string_lossy(), error))
    }

    fn volume(&mut self, run: &EmittedRun, index: u32, voxels: &[u8]) -> Result<(), EmitError> {
        let path = self.folder.join(format!("001_{:06}_{:06}.dcm", self.series, index + 1));
        let file = self.file(run, index, voxels)?;
        std::fs::write(&path, file).map_err(|error| EmitError::peer(&path.to_string_lossy(), error))
    }

    fn end(&mut self, _: &EmittedRun) -> Result<(), EmitError> {
        Ok(())
    }
}

/// What both kinds of header say.
pub(super) struct Header<'a> {
    pub(super) series: u32,
    pub(super) uid: &'a str,
    pub(super) index: u32,
    pub(super) geometry: Geometry,
}

impl Header<'_> {
    pub(super) fn instance_uid(&self) -> String {
        format!("{}.{}", self.uid, self.index + 1)
    }

    /// Group 8 up to the series' description, with elements from (0008,0022) to (0008,0033) added by
    /// `acquired`.
    pub(super) fn identity(&self, sop_class: &str, image_type: &str, acquired: impl Fn(&mut Elements)) -> Elements {
        let mut top = Elements::default();
        top.text((8, 8), b"CS", image_type).text((8, 0x16), b"UI", sop_class);
        top.text((8, 0x18), b"UI", &self.instance_uid());
        top.text((8, 0x20), b"DA", "20260101").text((8, 0x21), b"DA", "20260101");
        acquired(&mut top);
        top.text((8, 0x60), b"CS", "MR").text((8, 0x70), b"LO", "SIEMENS");
        top.text((8, 0x80), b"LO", PATIENT).text((8, 0x90), b"PN", PATIENT).text((8, 0x1010), b"SH", "PLANTED^PATIENT");
        top.text((8, 0x1030), b"LO", PATIENT).text((8, 0x103E), b"LO", &format!("task-demo {PATIENT}"));
        top.text((8, 0x1048), b"PN", PATIENT).text((8, 0x1050), b"PN", PATIENT);
        top.text((0x10, 0x10), b"PN", PATIENT).text((0x10, 0x20), b"LO", PATIENT);
        top.text((0x10, 0x30), b"DA", "19700101").text((0x10, 0x40), b"CS", "O");
        top.text((0x10, 0x1040), b"LO", PATIENT).text((0x10, 0x4000), b"LT", PATIENT);
        top
    }

    /// Group 20 up to (0020,0013).
    pub(super) fn place(&self, top: &mut Elements) {
        top.text((0x20, 0xD), b"UI", "2.25.2").text((0x20, 0xE), b"UI", self.uid).text(
            (0x20, 0x10),
            b"SH",
            "PLANTED^PATIENT",
        );
        top.text((0x20, 0x11), b"IS", &self.series.to_string()).text(
            (0x20, 0x12),
            b"IS",
            &(self.index + 1).to_string(),
        );
        top.text((0x20, 0x13), b"IS", &(self.index + 1).to_string());
    }
}

/// How voxels are stored: (0028,0100) to (0028,0103).
pub(super) fn stored(top: &mut Elements, dtype: VoxelType) {
    top.short((0x28, 0x100), 16).short((0x28, 0x101), 16).short((0x28, 0x102), 15);
    top.short((0x28, 0x103), usize::from(dtype == VoxelType::Int16));
}

/// `HHMMSS.FFFFFF` at `seconds` after noon.
pub(super) fn time_after_noon(seconds: f64) -> String {
    let micros = (seconds * 1e6).round() as u64 + 12 * 3_600_000_000;
    let whole = micros / 1_000_000;
    format!("{:02}{:02}{:02}.{:06}", whole / 3600 % 24, whole / 60 % 60, whole % 60, micros % 1_000_000)
}

/// A grid in DICOM's words: LPS mm, rows from the top.
pub(super) struct Geometry {
    /// Unit vectors along columns (growing x) and rows (falling y), one after the other.
    pub(super) orientation: [f64; 6],
    /// Distance between rows, and between columns.
    pub(super) spacing: [f64; 2],
    /// From slice to slice.
    pub(super) slice_step: [f64; 3],
    /// First voxel of the first row of the first slice.
    pub(super) first: [f64; 3],
}

impl Geometry {
    fn of(grid: &Grid) -> Self {
        let lps = |ras: [f64; 3]| [-ras[0], -ras[1], ras[2]];
        let column = |axis: usize| lps([grid.affine[0][axis], grid.affine[1][axis], grid.affine[2][axis]]);
        let length = |v: [f64; 3]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let (x, y) = (column(0), column(1));
        let (dx, dy) = (length(x), length(y));
        let top = grid.to_mm([0.0, grid.dim[1] as f64 - 1.0, 0.0]);
        Self {
            orientation: [x[0] / dx, x[1] / dx, x[2] / dx, -y[0] / dy, -y[1] / dy, -y[2] / dy],
            spacing: [dy, dx],
            slice_step: column(2),
            first: lps(top),
        }
    }

    pub(super) fn slice_spacing(&self) -> f64 {
        self.slice_step.iter().map(|x| x * x).sum::<f64>().sqrt()
    }

    /// First voxel of slice `slice`.
    pub(super) fn slice(&self, slice: usize) -> [f64; 3] {
        std::array::from_fn(|axis| self.first[axis] + slice as f64 * self.slice_step[axis])
    }
}
