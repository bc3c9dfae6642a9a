//! Voxels that are not finite, or never change, carry no estimate: a recorded run counts them and leaves them out.

use crate::{Bold, Mask, Pattern, PreprocessError, VoxelType};

/// The part of a mask that a run can be estimated in.
#[derive(Debug, Clone, PartialEq)]
pub struct UsableVoxels {
    /// That part.
    pub mask: Mask,
    /// Place of each of its voxels in the whole mask's order.
    positions: Vec<usize>,
    /// Voxels of the whole mask.
    whole: usize,
    /// Voxels left out because a volume has NaN or infinity there.
    pub not_finite: usize,
    /// Voxels left out because all volumes have the same value there.
    pub constant: usize,
}

impl UsableVoxels {
    /// All of `mask`: for a run whose volumes are not on the mask's grid before their head has been found.
    #[must_use]
    pub fn all(mask: &Mask) -> Self {
        let positions = (0..mask.len()).collect();
        Self { mask: mask.clone(), positions, whole: mask.len(), not_finite: 0, constant: 0 }
    }

    /// Voxels left out.
    #[must_use]
    pub fn excluded(&self) -> usize {
        self.not_finite + self.constant
    }

    /// A pattern of the usable voxels in the whole mask's order; what was left out is 0.
    #[must_use]
    pub fn in_whole_mask(&self, pattern: &Pattern) -> Vec<f32> {
        let mut whole = vec![0.0; self.whole];
        for (position, value) in self.positions.iter().zip(&pattern.0) {
            whole[*position] = *value;
        }
        whole
    }
}

/// What a voxel's time course is.
#[derive(Clone, Copy, PartialEq)]
enum Course {
    Changes,
    NotFinite,
    Constant,
}

/// Looks at every volume of `bold` in `mask`.
///
/// # Errors
/// [`PreprocessError::Mask`] if no voxel is left, with the counts.
pub fn usable_voxels(bold: &Bold, mask: &Mask) -> Result<UsableVoxels, PreprocessError> {
    let courses = courses(bold, mask);
    let count = |kind: Course| courses.iter().filter(|course| **course == kind).count();
    let (not_finite, constant) = (count(Course::NotFinite), count(Course::Constant));
    let positions: Vec<usize> = (0..mask.len()).filter(|at| courses[*at] == Course::Changes).collect();
    if positions.is_empty() {
        let problem = format!(
            "none of its {} voxels can be estimated in this run: {not_finite} are not finite, {constant} never change",
            mask.len()
        );
        return Err(PreprocessError::Mask { problem });
    }
    let voxels = positions.iter().map(|at| mask.voxels()[*at]).collect();
    let usable = Mask::from_voxels(mask.grid().clone(), voxels)?;
    Ok(UsableVoxels { mask: usable, positions, whole: mask.len(), not_finite, constant })
}

fn courses(bold: &Bold, mask: &Mask) -> Vec<Course> {
    let mut courses = vec![Course::Constant; mask.len()];
    let mut first: Option<Vec<f32>> = None;
    for bytes in &bold.volumes {
        let values = volume_values(bold.dtype, bytes);
        let first = first.get_or_insert_with(|| values.clone());
        for (course, voxel) in courses.iter_mut().zip(mask.voxels()) {
            let (value, start) = (values[*voxel as usize], first[*voxel as usize]);
            *course = match *course {
                Course::NotFinite => Course::NotFinite,
                _ if !value.is_finite() => Course::NotFinite,
                Course::Constant if value == start => Course::Constant,
                _ => Course::Changes,
            };
        }
    }
    courses
}

/// All voxels of a raw volume in f32, x fastest, whatever they are.
#[must_use]
pub fn volume_values(dtype: VoxelType, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        VoxelType::Int16 => values(bytes, |w| f32::from(i16::from_le_bytes(w))),
        VoxelType::Uint16 => values(bytes, |w| f32::from(u16::from_le_bytes(w))),
        VoxelType::Float32 => values(bytes, f32::from_le_bytes),
        VoxelType::Float64 => values(bytes, |w| f64::from_le_bytes(w) as f32),
    }
}

fn values<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|word| value(*word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AffineSource, Grid, TimeUnit};

    fn bold(volumes: &[[f32; 5]]) -> Bold {
        let affine = [[2., 0., 0., 0.], [0., 2., 0., 0.], [0., 0., 2., 0.], [0., 0., 0., 1.]];
        let grid = Grid { dim: [5, 1, 1], affine };
        let bytes = |volume: &[f32; 5]| volume.iter().flat_map(|v| v.to_le_bytes()).collect();
        let volumes = volumes.iter().map(bytes).collect();
        let (affine_source, time_unit) = (AffineSource::Sform, TimeUnit::Seconds);
        Bold { grid, affine_source, tr_s: None, time_unit, dtype: VoxelType::Float32, volumes }
    }

    #[test]
    fn voxels_that_are_not_finite_or_never_change_are_left_out_and_counted() {
        let bold =
            bold(&[[1.0, 2.0, f32::NAN, 4.0, 5.0], [1.0, 2.5, 3.0, 4.0, f32::INFINITY], [1.0, 2.0, 3.0, 4.5, 5.0]]);
        let mask = Mask::from_voxels(bold.grid.clone(), vec![0, 1, 2, 3, 4]).unwrap();
        let usable = usable_voxels(&bold, &mask).unwrap();
        assert_eq!((usable.mask.voxels(), usable.not_finite, usable.constant), (&[1, 3][..], 2, 1));
        assert_eq!(usable.in_whole_mask(&Pattern(vec![7.0, 8.0])), [0.0, 7.0, 0.0, 8.0, 0.0]);
    }

    #[test]
    fn a_mask_without_a_usable_voxel_is_refused_with_the_counts() {
        let bold = bold(&[[1.0, f32::NAN, 3.0, 4.0, 5.0], [1.0, 2.0, 3.5, 4.5, 5.5]]);
        let mask = Mask::from_voxels(bold.grid.clone(), vec![0, 1]).unwrap();
        let message = usable_voxels(&bold, &mask).unwrap_err().to_string();
        assert!(message.contains("none of its 2 voxels") && message.contains("1 are not finite, 1 never"), "{message}");
    }
}
