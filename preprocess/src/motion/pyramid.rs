//! A pyramid holds a volume at falling resolution: far motion is found on coarse voxels, the last hundredth on fine ones.

use crate::motion::smooth::smooth;
use crate::resample::Lattice;
use crate::{Grid, PreprocessError, RawVolume};

/// An axis keeps its voxels if halving would leave fewer than this.
const FEWEST_VOXELS: usize = 4;

/// An axis is halved only while its voxels are smaller than this many times the finest axis's, so that coarse voxels
/// come nearer to cubes.
const SAME_SIZE: f64 = 1.5;

/// Grids of the levels, finest first: halved until the smallest voxel side is `coarsest_mm` or no axis can be halved.
pub(crate) fn levels(grid: &Grid, coarsest_mm: f64) -> Vec<Grid> {
    let mut levels = vec![grid.clone()];
    loop {
        let finest = levels.last().expect("it starts with one");
        let next = halved(finest);
        if smallest_side_mm(finest) >= coarsest_mm || next.dim == finest.dim {
            return levels;
        }
        levels.push(next);
    }
}

/// Voxel sides in mm.
pub(crate) fn voxel_mm(grid: &Grid) -> [f64; 3] {
    [0, 1, 2].map(|axis| (0..3).map(|r| grid.affine[r][axis].powi(2)).sum::<f64>().sqrt())
}

/// The smallest of them.
pub(crate) fn smallest_side_mm(grid: &Grid) -> f64 {
    voxel_mm(grid).into_iter().fold(f64::INFINITY, f64::min)
}

/// Pairs of voxels become one, whose centre lies half a voxel after the first; a last one without partner stands twice.
fn halved(grid: &Grid) -> Grid {
    let sides = voxel_mm(grid);
    let mut coarse = grid.clone();
    for axis in 0..3 {
        let few = grid.dim[axis].div_ceil(2) < FEWEST_VOXELS;
        if few || sides[axis] >= SAME_SIZE * smallest_side_mm(grid) {
            continue;
        }
        coarse.dim[axis] = grid.dim[axis].div_ceil(2);
        for row in &mut coarse.affine {
            row[3] += 0.5 * row[axis];
            row[axis] *= 2.0;
        }
    }
    coarse
}

/// Room for one volume at every level.
#[derive(Debug, Clone)]
pub(crate) struct Pyramid {
    /// As it came.
    pub(crate) raw: Lattice,
    /// Finest first: the volume smoothed once (its outermost voxels must not be read), then means of its voxels.
    pub(crate) levels: Vec<Lattice>,
    scratch: [Vec<f32>; 2],
}

impl Pyramid {
    pub(crate) fn new(grids: &[Grid]) -> Self {
        let levels: Vec<Lattice> = grids.iter().map(|grid| Lattice::new(grid.dim)).collect();
        let line = vec![0.0; grids[0].dim[0]];
        Self { raw: levels[0].clone(), levels, scratch: [line.clone(), line] }
    }

    /// Takes a raw volume.
    ///
    /// # Errors
    /// As [`Lattice::fill`].
    pub(crate) fn fill(&mut self, raw: RawVolume<'_>) -> Result<(), PreprocessError> {
        self.raw.fill(raw)?;
        self.build();
        Ok(())
    }

    pub(crate) fn fill_values(&mut self, values: &[f32]) {
        self.raw.fill_values(values);
        self.build();
    }

    fn build(&mut self) {
        smooth(&self.raw, &mut self.levels[0], &mut self.scratch);
        for level in 1..self.levels.len() {
            let (finer, coarser) = self.levels.split_at_mut(level);
            let finer = if level == 1 { &self.raw } else { &finer[level - 1] };
            average_pairs(finer, &mut coarser[0]);
        }
    }
}

/// Mean of the 2, 4 or 8 fine voxels of each coarse one: one addition per fine voxel.
fn average_pairs(fine: &Lattice, coarse: &mut Lattice) {
    let (from, to) = (fine.dim(), coarse.dim());
    let partners = |axis: usize, index: usize| {
        if from[axis] == to[axis] { [index, index] } else { [2 * index, (2 * index + 1).min(from[axis] - 1)] }
    };
    for k in 0..to[2] {
        for j in 0..to[1] {
            let means = coarse.row_mut(j, k);
            means.fill(0.0);
            for [z, y] in partners(2, k).into_iter().flat_map(|z| partners(1, j).map(|y| [z, y])) {
                let line = fine.row(y, z);
                for (i, mean) in means.iter_mut().enumerate() {
                    *mean += partners(0, i).map(|x| 0.125 * line[x]).iter().sum::<f32>();
                }
            }
        }
    }
    coarse.mirror_border();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(dim: [usize; 3], mm: [f64; 3]) -> Grid {
        let row = |axis: usize| std::array::from_fn(|c| if c == axis { mm[axis] } else { 0.0 });
        Grid { dim, affine: [row(0), row(1), row(2), [0., 0., 0., 1.]] }
    }

    #[test]
    fn axes_are_halved_towards_cubes_and_never_below_four_voxels() {
        let cases = [
            (([64, 64, 36], [3.0; 3]), vec![[64, 64, 36], [32, 32, 18], [16, 16, 9]]),
            (([64, 64, 21], [3.0, 3.0, 6.0]), vec![[64, 64, 21], [32, 32, 21], [16, 16, 11]]),
            (([64, 64, 8], [3.0; 3]), vec![[64, 64, 8], [32, 32, 4], [16, 16, 4]]),
            (([8, 8, 8], [20.0; 3]), vec![[8, 8, 8]]),
        ];
        for ((dim, mm), expected) in cases {
            let found: Vec<_> = levels(&grid(dim, mm), 12.0).into_iter().map(|level| level.dim).collect();
            assert_eq!(found[..expected.len().min(found.len())], expected[..], "{dim:?} {mm:?}");
        }
    }

    #[test]
    fn a_coarse_voxel_lies_between_its_two_fine_ones() {
        let fine = grid([9, 8, 8], [3.0; 3]);
        let coarse = &levels(&fine, 6.0)[1];
        assert_eq!(coarse.to_mm([1.0, 0.0, 2.0]), fine.to_mm([2.5, 0.5, 4.5]));
    }

    #[test]
    fn a_ramp_stays_a_ramp() {
        let fine = grid([16, 12, 10], [3.0; 3]);
        let grids = levels(&fine, 6.0);
        let value = |ijk: [f64; 3]| (ijk[0] + 2.0 * ijk[1] - ijk[2]) as f32;
        let places = (0..fine.voxel_count()).map(|v| [v % 16, v / 16 % 12, v / 192].map(|n| n as f64));
        let mut pyramid = Pyramid::new(&grids);
        pyramid.fill_values(&places.map(value).collect::<Vec<_>>());
        for (i, found) in pyramid.levels[1].row(3, 2).iter().enumerate() {
            assert_eq!(*found, value([2.0 * i as f64 + 0.5, 6.5, 4.5]));
        }
    }
}
