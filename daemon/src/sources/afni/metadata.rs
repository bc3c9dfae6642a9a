//! AFNI's metadata block: lines of a word and its values, from which a run's geometry follows.

use crate::sources::event::RunPlan;
use mindeye_config::Name;
use mindeye_preprocess::{Grid, VoxelType};
use std::collections::HashMap;

/// Longest side in voxels, and most slices.
const MAX_SIDE: usize = 1024;

/// A run as its sender describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct AfniRun {
    /// Voxel grid, RAS mm.
    pub grid: Grid,
    /// Repetition time, seconds.
    pub tr_s: f64,
    /// Voxel type.
    pub dtype: VoxelType,
    /// Whether bytes of each voxel come most significant first.
    pub swapped: bool,
    /// Volumes planned.
    pub expected_volumes: Option<u32>,
    /// Acquisition time of each slice, seconds.
    pub slice_timing_s: Option<Vec<f64>>,
}

impl AfniRun {
    /// Bytes of one volume.
    #[must_use]
    pub fn volume_bytes(&self) -> usize {
        self.grid.voxel_count() * self.dtype.bytes()
    }

    /// The run under a name.
    #[must_use]
    pub fn plan(&self, run: Name) -> RunPlan {
        RunPlan {
            run,
            tr_s: self.tr_s,
            grid: self.grid.clone(),
            dtype: self.dtype,
            slice_timing_s: self.slice_timing_s.clone(),
            expected_volumes: self.expected_volumes,
        }
    }
}

/// Reads the block, without its NUL byte. Words that say nothing about volumes are passed over.
///
/// # Errors
/// What is missing or wrong.
pub fn parse_metadata(block: &str) -> Result<AfniRun, &'static str> {
    let lines = block.lines().filter_map(|line| line.trim().split_once(char::is_whitespace));
    let words = Words(lines.map(|(word, values)| (word, values.trim())).collect());
    if !matches!(words.text("ACQUISITION_TYPE"), Some("3D" | "3D+t" | "3D+timing")) {
        return Err("ACQUISITION_TYPE is not 3D, 3D+t or 3D+timing: slices are not taken one by one");
    }
    if words.text("NUM_CHAN").is_some_and(|channels| channels != "1") {
        return Err("NUM_CHAN is not 1");
    }
    let dim = words.dimensions()?;
    let tr_s = words.numbers("TR").map_or(Some(1.0), |tr| tr.first().copied()).filter(|tr_s| *tr_s > 0.0);
    Ok(AfniRun {
        grid: Grid { dim, affine: words.affine(dim)? },
        tr_s: tr_s.ok_or("TR is no time")?,
        dtype: match words.text("DATUM") {
            None | Some("short") => VoxelType::Int16,
            Some("float") => VoxelType::Float32,
            Some(_) => return Err("DATUM is not short or float"),
        },
        swapped: words.text("BYTEORDER") == Some("MSB_FIRST"),
        expected_volumes: words.text("NUMVOL").and_then(|volumes| volumes.parse().ok()).filter(|volumes| *volumes > 0),
        slice_timing_s: words.slice_times(dim[2]),
    })
}

struct Words<'a>(HashMap<&'a str, &'a str>);

impl Words<'_> {
    fn text(&self, word: &str) -> Option<&str> {
        self.0.get(word).copied()
    }

    fn numbers(&self, word: &str) -> Option<Vec<f64>> {
        let values = self.text(word)?.split_whitespace();
        values.map(|value| value.parse().ok().filter(|value: &f64| value.is_finite())).collect()
    }

    fn dimensions(&self) -> Result<[usize; 3], &'static str> {
        let matrix = self.numbers("XYMATRIX").ok_or("no XYMATRIX")?;
        let slices = self.numbers("ZNUM").and_then(|slices| slices.first().copied());
        let dim = match (matrix.as_slice(), slices) {
            ([nx, ny, nz], _) => [*nx, *ny, *nz],
            ([nx, ny], Some(nz)) => [*nx, *ny, nz],
            _ => return Err("XYMATRIX and ZNUM give no three numbers"),
        };
        let is_side = |side: &f64| side.fract() == 0.0 && (1.0..=MAX_SIDE as f64).contains(side);
        if dim.iter().all(is_side) { Ok(dim.map(|side| side as usize)) } else { Err("a side is not 1 to 1024") }
    }

    /// `OBLIQUE_XFORM` where there is one, else axes, voxel sizes and the first voxel; LPS becomes RAS here.
    fn affine(&self, dim: [usize; 3]) -> Result<[[f64; 4]; 4], &'static str> {
        let lps = match self.numbers("OBLIQUE_XFORM") {
            Some(oblique) => {
                let (rows, rest) = oblique.as_chunks::<4>();
                if rows.len() != 4 || !rest.is_empty() {
                    return Err("OBLIQUE_XFORM has not 16 numbers");
                }
                [rows[0], rows[1], rows[2]]
            }
            None => self.upright(dim)?,
        };
        Ok([lps[0].map(|x| -x), lps[1].map(|y| -y), lps[2], [0.0, 0.0, 0.0, 1.0]])
    }

    fn upright(&self, dim: [usize; 3]) -> Result<[[f64; 4]; 3], &'static str> {
        let axes: Vec<&str> =
            self.text("XYZAXES").ok_or("neither OBLIQUE_XFORM nor XYZAXES")?.split_whitespace().collect();
        let [a, b, c] = axes.as_slice() else { return Err("XYZAXES has not three axes") };
        let axes = [axis(a)?, axis(b)?, axis(c)?];
        let sizes = self.sizes(dim)?;
        let first = self.first_voxel(&axes)?;
        let mut lps = [[0.0; 4]; 3];
        for (column, ((towards, sign), size)) in axes.into_iter().zip(sizes).enumerate() {
            lps[towards][column] = sign * size;
            lps[towards][3] = first[column];
        }
        let uses = |towards: usize| axes.iter().filter(|(axis, _)| *axis == towards).count() == 1;
        if (0..3).all(uses) { Ok(lps) } else { Err("XYZAXES names a direction twice") }
    }

    fn sizes(&self, dim: [usize; 3]) -> Result<[f64; 3], &'static str> {
        let fov = self.numbers("XYFOV").filter(|fov| fov.len() >= 2).ok_or("no XYFOV")?;
        let along_z = match (self.numbers("ZDELTA").as_deref(), fov.get(2)) {
            (Some([delta, ..]), _) => *delta,
            (_, Some(fov)) => fov / dim[2] as f64,
            _ => return Err("neither ZDELTA nor a third XYFOV"),
        };
        let sizes = [fov[0] / dim[0] as f64, fov[1] / dim[1] as f64, along_z];
        if sizes.iter().all(|size| *size > 0.0) { Ok(sizes) } else { Err("a voxel has no size") }
    }

    /// Centre of the first voxel along each axis, LPS mm. A letter says on which side it lies, else the axis begins there.
    fn first_voxel(&self, axes: &[(usize, f64); 3]) -> Result<[f64; 3], &'static str> {
        let Some(text) = self.text("XYZFIRST") else { return Err("no XYZFIRST") };
        let words: Vec<&str> = text.split_whitespace().collect();
        let words: [&str; 3] = words.try_into().map_err(|_| "XYZFIRST has not three numbers")?;
        let mut first = [0.0; 3];
        for ((word, (towards, sign)), place) in words.iter().zip(axes).zip(&mut first) {
            let number = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
            let distance: f64 = number.parse().ok().filter(|mm: &f64| mm.is_finite()).ok_or("XYZFIRST is no number")?;
            *place = match &word[number.len()..] {
                "" => -sign * distance,
                letter => match side(letter) {
                    Some((axis, side)) if axis == *towards => side * distance,
                    _ => return Err("a letter of XYZFIRST is not on its axis"),
                },
            };
        }
        Ok(first)
    }

    fn slice_times(&self, slices: usize) -> Option<Vec<f64>> {
        let explicit = self.text("TPATTERN")?.strip_prefix("explicit")?;
        let times: Vec<f64> = explicit.split_whitespace().map(|time| time.parse().ok()).collect::<Option<_>>()?;
        Some(times).filter(|times| times.len() == slices && times.iter().all(|time| time.is_finite()))
    }
}

/// `R-L` goes along LPS axis 0 upwards.
fn axis(word: &str) -> Result<(usize, f64), &'static str> {
    let (from, to) = word.split_once('-').ok_or("an axis is not of the kind R-L")?;
    match (side(from), side(to)) {
        (Some((a, _)), Some((b, sign))) if a == b && from != to => Ok((b, sign)),
        _ => Err("an axis is not of the kind R-L"),
    }
}

/// LPS axis and sign of a direction.
fn side(letter: &str) -> Option<(usize, f64)> {
    Some(match letter {
        "L" => (0, 1.0),
        "R" => (0, -1.0),
        "P" => (1, 1.0),
        "A" => (1, -1.0),
        "S" => (2, 1.0),
        "I" => (2, -1.0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCK: &str = "ACQUISITION_TYPE 3D+timing\nTR 1.500000\nNUMVOL 30\nXYFOV 192.0 192.0 108.0\n\
                         XYMATRIX 64 64 36\nZNUM 36\nZDELTA 3\nXYZAXES R-L A-P I-S\n\
                         XYZFIRST 94.5R 94.5A 52.5I\nDATUM short\nDRIVE_AFNI QUIT\nBYTEORDER LSB_FIRST";

    #[test]
    fn an_upright_run_is_read_into_ras() {
        let run = parse_metadata(BLOCK).unwrap();
        let affine = [[-3.0, 0.0, 0.0, 94.5], [0.0, -3.0, 0.0, 94.5], [0.0, 0.0, 3.0, -52.5], [0.0, 0.0, 0.0, 1.0]];
        assert_eq!((run.grid.dim, run.grid.affine), ([64, 64, 36], affine));
        assert_eq!((run.tr_s, run.dtype, run.swapped, run.expected_volumes), (1.5, VoxelType::Int16, false, Some(30)));
        assert_eq!(
            parse_metadata(&BLOCK.replace("94.5R 94.5A 52.5I", "94.5 94.5 52.5")).unwrap(),
            run,
            "default sides"
        );
        let oblique = format!("{BLOCK}\nOBLIQUE_XFORM 3 0 0 -94.5 0 3 0 -94.5 0 0 3 -52.5 0 0 0 1");
        assert_eq!(parse_metadata(&oblique).unwrap(), run, "the same as a matrix");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (from, to, expected) in [
            ("3D+timing", "2D+zt", "slices are not taken one by one"),
            ("XYMATRIX 64 64 36", "XYMATRIX 64 64000 36", "a side is not 1 to 1024"),
            ("XYMATRIX 64 64 36", "XYMATRIX 64.5 64 36", "a side is not 1 to 1024"),
            ("R-L A-P", "R-L R-L", "a letter of XYZFIRST is not on its axis"),
            ("R-L A-P", "R-A A-P", "an axis is not of the kind R-L"),
            ("94.5R", "94.5S", "a letter of XYZFIRST is not on its axis"),
            ("DATUM short", "DATUM complex", "DATUM is not short or float"),
            ("TR 1.5", "TR -1.5", "TR is no time"),
            ("ZDELTA 3", "ZDELTA 0", "a voxel has no size"),
            ("ZNUM 36", "NUM_CHAN 2", "NUM_CHAN is not 1"),
        ] {
            let complaint = parse_metadata(&BLOCK.replace(from, to)).unwrap_err();
            assert!(complaint.contains(expected), "{to}: {complaint}");
        }
    }

    proptest! {
        #[test]
        fn any_block_is_read_or_refused(at in 0usize..200, text in "[-0-9A-Z.a-z+ \n]{0,40}") {
            let mut block = BLOCK.to_owned();
            block.insert_str(at % BLOCK.len(), &text);
            let _ = parse_metadata(&block);
            let _ = parse_metadata(&text);
        }
    }
}
