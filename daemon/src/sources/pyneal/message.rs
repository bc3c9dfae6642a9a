//! One volume as Pyneal's senders write it: `TR` and `affine` are strings that hold JSON, voxels are in C order, z fastest.

use crate::sources::event::RunPlan;
use mindeye_config::Name;
use mindeye_preprocess::{Grid, VoxelType};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Longest side in voxels.
const MAX_SIDE: usize = 1024;
/// Philips' sender and Pyneal's simulator give milliseconds, the others seconds; no TR has 100 s, and none 100 ms as well.
const MILLISECONDS_FROM: f64 = 100.0;

/// A volume.
#[derive(Debug, Clone, PartialEq)]
pub struct PynealVolume {
    /// Place in the run, from 0.
    pub index: u32,
    /// Repetition time, seconds.
    pub tr_s: f64,
    /// Voxel grid, RAS mm.
    pub grid: Grid,
    /// Voxel type.
    pub dtype: VoxelType,
    /// `[x, y, z]`, x fastest.
    pub voxels: Vec<u8>,
}

impl PynealVolume {
    /// What it says of its run.
    #[must_use]
    pub fn plan(&self, run: Name) -> RunPlan {
        RunPlan {
            run,
            tr_s: self.tr_s,
            grid: self.grid.clone(),
            dtype: self.dtype,
            slice_timing_s: None,
            expected_volumes: None,
        }
    }
}

/// Reads both parts of a volume message.
///
/// # Errors
/// What is wrong with it.
pub fn parse_volume(header: &[u8], voxels: &[u8]) -> Result<PynealVolume, &'static str> {
    let fields: Value = serde_json::from_slice(header).map_err(|_| "the header is no JSON")?;
    let tr: f64 = inner(&fields["TR"]).filter(|tr: &f64| tr.is_finite() && *tr > 0.0).ok_or("TR is no time")?;
    let affine: [[f64; 4]; 4] = inner(&fields["affine"]).ok_or("affine is no 4x4 list")?;
    let dim: [usize; 3] = inner(&fields["shape"]).ok_or("shape is no [x, y, z]")?;
    if dim.iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
        return Err("a side of shape is not 1 to 1024");
    }
    let dtype = fields["dtype"].as_str().and_then(VoxelType::from_name);
    let dtype = dtype.ok_or("dtype is not int16, uint16, float32 or float64")?;
    let grid = Grid { dim, affine };
    if voxels.len() != grid.voxel_count() * dtype.bytes() {
        return Err("the voxels do not fill the shape");
    }
    let index = index(&fields).ok_or("volIdx is no index from 0")?;
    let tr_s = if tr > MILLISECONDS_FROM { tr / 1e3 } else { tr };
    Ok(PynealVolume { index, tr_s, voxels: x_fastest(voxels, dim, dtype.bytes()), grid, dtype })
}

/// `volIdx` of a header, if it has one: the answer to the sender needs no more.
pub(super) fn index_of(header: &[u8]) -> Option<u32> {
    serde_json::from_slice(header).ok().as_ref().and_then(index)
}

fn index(fields: &Value) -> Option<u32> {
    fields["volIdx"].as_u64().and_then(|index| u32::try_from(index).ok())
}

/// A value, or the value in a string of JSON.
fn inner<T: DeserializeOwned>(value: &Value) -> Option<T> {
    match value {
        Value::String(json) => serde_json::from_str(json).ok(),
        value => serde_json::from_value(value.clone()).ok(),
    }
}

/// C order has z fastest; ours has x.
fn x_fastest(voxels: &[u8], [nx, ny, nz]: [usize; 3], width: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(voxels.len());
    for k in 0..nz {
        for j in 0..ny {
            for i in 0..nx {
                let at = ((i * ny + j) * nz + k) * width;
                out.extend_from_slice(&voxels[at..at + width]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(tr: &str, dtype: &str) -> String {
        let affine = "[[3, 0, 0, -9], [0, 3, 0, -8], [0, 0, 3, -7], [0, 0, 0, 1]]";
        format!(r#"{{"volIdx": 4, "TR": {tr}, "dtype": "{dtype}", "shape": [1, 2, 3], "affine": "{affine}"}}"#)
    }

    #[test]
    fn both_conventions_of_time_and_the_order_of_voxels() {
        // 2 x 3 voxels in C order: y 0 holds 0 1 2 along z, y 1 holds 3 4 5.
        let voxels: Vec<u8> = (0u16..6).flat_map(u16::to_le_bytes).collect();
        for (tr, tr_s) in [("\"1.5\"", 1.5), ("\"2000\"", 2.0), ("0.8", 0.8)] {
            let volume = parse_volume(header(tr, "uint16").as_bytes(), &voxels).unwrap();
            let order: Vec<u8> = volume.voxels.iter().step_by(2).copied().collect();
            assert_eq!((volume.index, volume.tr_s, order), (4, tr_s, vec![0, 3, 1, 4, 2, 5]));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            (header("\"0\"", "uint16"), 12, "TR is no time"),
            (header("\"1\"", "int32"), 24, "dtype is not int16, uint16, float32 or float64"),
            (header("\"1\"", "uint16"), 11, "the voxels do not fill the shape"),
            (header("\"1\"", "uint16").replace("[1, 2, 3]", "[1, 2, 9999]"), 12, "a side of shape is not 1 to 1024"),
            (header("\"1\"", "uint16").replace("4", "-4"), 12, "volIdx is no index from 0"),
            ("{".into(), 0, "the header is no JSON"),
        ];
        for (header, bytes, expected) in cases {
            assert_eq!(parse_volume(header.as_bytes(), &vec![0; bytes]), Err(expected), "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_header_and_voxels_are_read_or_refused(
            key in "(volIdx|TR|dtype|shape|affine)", value in "[-0-9.eE\\[\\]\"a-z{}:,]{0,30}",
            voxels in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let _ = parse_volume(format!(r#"{{"{key}": {value}}}"#).as_bytes(), &voxels);
            let _ = parse_volume(header("\"1\"", "uint16").replacen("1, 2, 3", &value, 1).as_bytes(), &voxels);
        }
    }
}
