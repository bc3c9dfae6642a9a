//! A Siemens mosaic: all slices of a volume as tiles of one picture, row by row, in a grid of ceil(sqrt(slices)) squared.

use super::elements::{
    CSA_IMAGE_HEADER, MOSAIC_SLICE_TIMES, MOSAIC_SLICES, ORIENTATION, PIXEL_SPACING, POSITION, REPETITION_TIME,
    SIEMENS_19, SIEMENS_29, SLICE_SPACING, SLICE_THICKNESS,
};
use super::geometry::{Stack, add, cross, directions, dot, scaled};
use super::time::{acquired_s, classic_stamp};
use super::volume::{Pixels, expected_volumes, index, repetition_time, series};
use super::{DicomError, DicomFile, DicomVolume, read_csa};
use dicom_core::Tag;
use std::collections::BTreeMap;

/// Most slices of a volume.
const MAX_SLICES: usize = 1024;

type Csa = BTreeMap<&'static str, Vec<f64>>;

pub(super) fn read(file: &DicomFile, pixels: &Pixels, voxels: &[u8]) -> Result<DicomVolume, DicomError> {
    let csa = csa(file)?;
    let slices = slices(file, &csa).ok_or(DicomError::NotAVolume("a single picture, not a mosaic"))?;
    let tiles = tiles_per_side(slices);
    if !pixels.rows.is_multiple_of(tiles) || !pixels.columns.is_multiple_of(tiles) {
        return Err(DicomError::Malformed("the mosaic does not divide into its slices"));
    }
    if voxels.len() < pixels.bytes() {
        return Err(DicomError::Malformed("fewer voxels than rows x columns"));
    }
    let tile = Tile { tiles, columns: pixels.columns / tiles, rows: pixels.rows / tiles };
    Ok(DicomVolume {
        series: series(file)?,
        index: index(file)?,
        tr_s: repetition_time(file.top.decimal(REPETITION_TIME))?,
        grid: stack(file, pixels, &tile, slices, &csa)?.grid()?,
        dtype: pixels.dtype,
        acquired_s: acquired_s(file, classic_stamp(file)),
        slice_timing_s: slice_timing_s(file, &csa, slices),
        expected_volumes: expected_volumes(file),
        voxels: tile.cut(voxels, slices),
    })
}

fn csa(file: &DicomFile) -> Result<Csa, DicomError> {
    match block(file, SIEMENS_29, "SIEMENS CSA HEADER", CSA_IMAGE_HEADER) {
        Some(bytes) => read_csa(bytes).map_err(|_| DicomError::Malformed("the CSA header")),
        None => Ok(Csa::new()),
    }
}

/// A private element, if its block belongs to `creator`.
fn block<'a>(file: &'a DicomFile, block: Tag, creator: &str, tag: Tag) -> Option<&'a [u8]> {
    file.top.text(block).filter(|text| *text == creator).and_then(|_| file.top.bytes(tag))
}

fn slices(file: &DicomFile, csa: &Csa) -> Option<usize> {
    let from_csa = csa.get("NumberOfImagesInMosaic").and_then(|values| values.first()).map(|slices| *slices as usize);
    let siemens = || block(file, SIEMENS_19, "SIEMENS MR HEADER", MOSAIC_SLICES);
    let from_element = || siemens().and_then(|_| file.top.short(MOSAIC_SLICES)).map(usize::from);
    from_csa.or_else(from_element).filter(|slices| (2..=MAX_SLICES).contains(slices))
}

fn tiles_per_side(slices: usize) -> usize {
    let root = slices.isqrt();
    if root * root == slices { root } else { root + 1 }
}

/// Times of the slices after the start of the volume, seconds.
fn slice_timing_s(file: &DicomFile, csa: &Csa, slices: usize) -> Option<Vec<f64>> {
    let siemens = || block(file, SIEMENS_19, "SIEMENS MR HEADER", MOSAIC_SLICE_TIMES);
    let from_element = || siemens().and_then(|_| file.top.doubles(MOSAIC_SLICE_TIMES));
    let times_ms = csa.get("MosaicRefAcqTimes").cloned().or_else(from_element);
    let times_ms = times_ms.filter(|times| times.len() == slices)?;
    let earliest_ms = times_ms.iter().copied().fold(f64::INFINITY, f64::min);
    Some(times_ms.iter().map(|time| (time - earliest_ms) / 1e3).collect())
}

/// ImagePositionPatient is where the first voxel would lie if the whole mosaic were one slice around the same centre:
/// first = IPP + r dx (C - c)/2 + c dy (R - r)/2 with C, R the columns and rows of the mosaic and c, r those of a slice.
fn stack(file: &DicomFile, pixels: &Pixels, tile: &Tile, slices: usize, csa: &Csa) -> Result<Stack, DicomError> {
    let missing = |what| DicomError::Malformed(what);
    let top = &file.top;
    let position = top.decimal_array::<3>(POSITION).ok_or(missing("no position"))?;
    let [row, column] = directions(top.decimal_array(ORIENTATION).ok_or(missing("no orientation"))?)?;
    // The first of both is the distance between rows.
    let [dy, dx] = top.decimal_array::<2>(PIXEL_SPACING).ok_or(missing("no pixel spacing"))?;
    let dz = top.decimal(SLICE_SPACING).or_else(|| top.decimal(SLICE_THICKNESS)).ok_or(missing("no slice spacing"))?;
    let beyond_x = (pixels.columns - tile.columns) as f64 / 2.0 * dx;
    let beyond_y = (pixels.rows - tile.rows) as f64 / 2.0 * dy;
    Ok(Stack {
        dim: [tile.columns, tile.rows, slices],
        row_direction: row,
        column_direction: column,
        slice_step: scaled(normal(row, column, csa), dz),
        spacing: [dx, dy],
        first: add(position, add(scaled(row, beyond_x), scaled(column, beyond_y))),
    })
}

/// Across the slices, in the order in which they stand in the mosaic: Siemens may count them against the right-hand rule.
fn normal(row: [f64; 3], column: [f64; 3], csa: &Csa) -> [f64; 3] {
    let right_handed = cross(row, column);
    match csa.get("SliceNormalVector").map(Vec::as_slice) {
        Some(&[x, y, z]) if dot([x, y, z], right_handed) < 0.0 => scaled(right_handed, -1.0),
        _ => right_handed,
    }
}

/// One slice's place in the mosaic.
struct Tile {
    tiles: usize,
    columns: usize,
    rows: usize,
}

impl Tile {
    /// The slices one after the other, rows from the bottom.
    fn cut(&self, mosaic: &[u8], slices: usize) -> Vec<u8> {
        let (row_bytes, mosaic_row_bytes) = (2 * self.columns, 2 * self.columns * self.tiles);
        let mut volume = Vec::with_capacity(row_bytes * self.rows * slices);
        for slice in 0..slices {
            let (down, across) = (slice / self.tiles, slice % self.tiles);
            for row in (0..self.rows).rev() {
                let at = (down * self.rows + row) * mosaic_row_bytes + across * row_bytes;
                volume.extend_from_slice(&mosaic[at..at + row_bytes]);
            }
        }
        volume
    }
}
