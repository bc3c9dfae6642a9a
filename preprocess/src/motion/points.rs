//! What the reference knows at one resolution: places, values there, and how each value changes as the head moves.

use crate::Grid;
use crate::motion::extent::Extent;
use crate::motion::pyramid::voxel_mm;
use crate::motion::solve::{cholesky, forward};
use crate::resample::kernel::bspline;
use crate::resample::{Affine, Lattice};

/// Columns of the design: six motions, the reference itself (scale), and 1 (mean).
pub(crate) const COLUMNS: usize = 8;
/// Column of the reference's value.
pub(crate) const SCALE: usize = 6;
/// Column of ones; the columns before it are those that are solved for.
pub(crate) const MEAN: usize = 7;

/// Σ w a aᵀ.
pub(crate) type Normal = [[f64; COLUMNS]; COLUMNS];

/// Share of the points' information about motion that is kept: flat tissue costs readings and tells nothing.
const INFORMATION: f64 = 0.9;

/// How the points of one level are laid.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Distance between neighbours, mm; never less than a voxel.
    pub(crate) spacing_mm: f64,
    /// Places nearer to the outermost voxel centres than this, voxels, are not read, neither in the reference nor in a
    /// volume: what lies beyond the field of view has been smoothed into them.
    pub(crate) margin: f64,
}

/// Sample points of one level.
///
/// Values are those of Σ β³ voxel, the cubic B-spline *without* prefilter: a smoother with a FWHM of 1.36 voxels that
/// costs nothing extra, so that reference and volume are blurred alike wherever between voxels they are read. Points
/// are jittered inside their voxel, so that no fraction of a voxel is special: with points on voxel centres the
/// reference would always be read at its least blurred place and the volume elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Points {
    samples: Vec<Sample>,
    normal: Normal,
    voxel_to_mm: Affine,
    extent: Extent,
    margin: f64,
}

/// One point: 44 bytes, read once per iteration.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Voxel coordinates in the level's grid.
    place: [f32; 3],
    /// w a with a = [∂f/∂(six motions), f, 1].
    weighted: [f32; COLUMNS],
}

/// What one reading of a volume at all points gives: sufficient for scale, residual, correlation and the next step.
pub(crate) struct Sums {
    /// Σ w a aᵀ over the points that lay inside the volume.
    pub(crate) normal: Normal,
    /// Σ w a g.
    pub(crate) moving: [f64; COLUMNS],
    /// Σ w g².
    pub(crate) moving_square: f64,
}

impl Points {
    /// The points of `reference` where `weights` (the same grid) is not 0, without those that tell least; `None` where
    /// they do not fix all six directions.
    pub(crate) fn new(
        grid: &Grid,
        reference: &Lattice,
        weights: &Lattice,
        centre_mm: [f64; 3],
        layout: Layout,
    ) -> Option<Self> {
        let voxel_to_mm = Affine::of_grid(grid);
        let mm_to_voxel = voxel_to_mm.inverse()?;
        let sample = |place: [f64; 3]| {
            let weight = f64::from(weights.nearest(place));
            let (f, slope) = reference.smooth_with_slope(place).filter(|_| weight > 0.0)?;
            let a = design_row(f, slope, voxel_to_mm.apply(place), centre_mm, &mm_to_voxel);
            Some(Sample { place: place.map(|v| v as f32), weighted: a.map(|v| (weight * v) as f32) })
        };
        let inside = jittered(grid, layout.spacing_mm).filter(|place| within(*place, grid.dim, layout.margin));
        let samples = most_informative(inside.filter_map(sample).collect())?;
        let places = samples.iter().map(|s| (voxel_to_mm.apply(s.place.map(f64::from)), f64::from(s.weighted[MEAN])));
        let extent = Extent::of_places(centre_mm, places);
        Some(Self { normal: normal_of(&samples), samples, voxel_to_mm, extent, margin: layout.margin })
    }

    pub(crate) fn extent(&self) -> &Extent {
        &self.extent
    }

    /// Points.
    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Σ w.
    pub(crate) fn weight(&self) -> f64 {
        self.normal[MEAN][MEAN]
    }

    /// Reads `moving` where `mm_to_moving` (reference mm to volume voxels) puts the points.
    pub(crate) fn read(&self, moving: &Lattice, mm_to_moving: &Affine) -> Sums {
        let map = self.voxel_to_mm.then(mm_to_moving);
        let dim = moving.dim();
        let mut sums = Sums { normal: self.normal, moving: [0.0; COLUMNS], moving_square: 0.0 };
        for sample in &self.samples {
            let place = map.apply(sample.place.map(f64::from));
            let inside = within(place, dim, self.margin);
            match moving.at(place, bspline).filter(|_| inside) {
                Some(g) => sums.add(&sample.weighted, f64::from(g)),
                None => sums.remove(&sample.weighted),
            }
        }
        sums
    }
}

impl Sums {
    #[inline]
    fn add(&mut self, weighted: &[f32; COLUMNS], g: f64) {
        for (sum, a) in self.moving.iter_mut().zip(weighted) {
            *sum += f64::from(*a) * g;
        }
        self.moving_square += f64::from(weighted[MEAN]) * g * g;
    }

    /// A point outside the volume tells nothing: its share of Σ w a aᵀ goes.
    #[cold]
    fn remove(&mut self, weighted: &[f32; COLUMNS]) {
        add_outer(&mut self.normal, weighted, -1.0);
    }
}

#[inline]
fn within(place: [f64; 3], dim: [usize; 3], margin: f64) -> bool {
    (0..3).all(|axis| place[axis] >= margin && place[axis] <= dim[axis] as f64 - 1.0 - margin)
}

/// N ← N ± w a aᵀ, with w a aᵀ = (w a)(w a)ᵀ / w.
fn add_outer(normal: &mut Normal, weighted: &[f32; COLUMNS], sign: f64) {
    let weighted = weighted.map(f64::from);
    let factor = sign / weighted[MEAN];
    for (row, r) in normal.iter_mut().zip(weighted) {
        row.iter_mut().zip(weighted).for_each(|(sum, c)| *sum += factor * r * c);
    }
}

fn normal_of(samples: &[Sample]) -> Normal {
    let mut normal = [[0.0; COLUMNS]; COLUMNS];
    samples.iter().for_each(|sample| add_outer(&mut normal, &sample.weighted, 1.0));
    normal
}

/// The normal matrix of motion and scale alone.
pub(crate) fn without_mean(normal: &Normal) -> [[f64; MEAN]; MEAN] {
    std::array::from_fn(|r| std::array::from_fn(|c| normal[r][c]))
}

/// Whether values of this mean square and mean vary at all: f32 rounding of a constant leaves 1e-14 of the mean square.
pub(crate) fn is_structured(mean_square: f64, mean: f64) -> bool {
    mean_square - mean * mean > 1e-9 * mean_square
}

/// Keeps the fewest points that hold [`INFORMATION`] of the whole, in their old order. A point's share is its leverage
/// w aᵀ N⁻¹ a = |L⁻¹ w a|² / w, which sums to seven over all points. `None` where N is singular.
fn most_informative(samples: Vec<Sample>) -> Option<Vec<Sample>> {
    let normal = normal_of(&samples);
    let weight = normal[MEAN][MEAN];
    is_structured(normal[SCALE][SCALE] / weight, normal[SCALE][MEAN] / weight).then_some(())?;
    let l = cholesky(&without_mean(&normal))?;
    let leverage = |sample: &Sample| {
        let weighted: [f64; MEAN] = std::array::from_fn(|column| f64::from(sample.weighted[column]));
        forward(&l, weighted).iter().map(|v| v * v).sum::<f64>() / f64::from(sample.weighted[MEAN])
    };
    let shares: Vec<f64> = samples.iter().map(leverage).collect();
    let mut ranked = shares.clone();
    ranked.sort_by(|a, b| b.total_cmp(a));
    let enough = INFORMATION * shares.iter().sum::<f64>();
    let mut held = 0.0;
    let least = ranked.into_iter().find(|share| {
        held += share;
        held >= enough
    })?;
    Some(samples.into_iter().zip(shares).filter(|(_, share)| *share >= least).map(|(sample, _)| sample).collect())
}

/// [∇f, d × ∇f, f, 1] at `mm`, d = mm − centre, ∇f in RAS+ per mm: how f changes under a small shift and turn.
fn design_row(f: f32, slope: [f32; 3], mm: [f64; 3], centre_mm: [f64; 3], mm_to_voxel: &Affine) -> [f64; COLUMNS] {
    let slope = slope.map(f64::from);
    let g = [0, 1, 2].map(|axis| (0..3).map(|v| mm_to_voxel.linear[v][axis] * slope[v]).sum::<f64>());
    let d = [0, 1, 2].map(|axis| mm[axis] - centre_mm[axis]);
    let turn = [d[1] * g[2] - d[2] * g[1], d[2] * g[0] - d[0] * g[2], d[0] * g[1] - d[1] * g[0]];
    [g[0], g[1], g[2], turn[0], turn[1], turn[2], f64::from(f), 1.0]
}

/// Places about `spacing_mm` apart, each moved inside its voxel by the R₃ sequence (Roberts 2018): fractions of n/g,
/// n/g², n/g³ with g⁴ = g + 1, which fill the cube evenly without a random number.
fn jittered(grid: &Grid, spacing_mm: f64) -> impl Iterator<Item = [f64; 3]> {
    const R3: [f64; 3] = [0.819_172_513_396_164_4, 0.671_043_606_703_789_2, 0.549_700_477_901_970_3];
    let step = voxel_mm(grid).map(|side| (spacing_mm / side).max(1.0));
    let count = [0, 1, 2].map(|axis| ((grid.dim[axis] - 1) as f64 / step[axis]) as usize);
    (0..count.iter().product::<usize>()).map(move |n| {
        let corner = [n % count[0], n / count[0] % count[1], n / (count[0] * count[1])];
        [0, 1, 2].map(|axis| corner[axis] as f64 * step[axis] + (n as f64 * R3[axis]).fract())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::Motion;

    /// A smooth bump off the centre of 20 x 18 x 16 voxels of 4 mm, and weights of 1.
    fn bump() -> (Grid, Lattice, Lattice) {
        let affine = [[4., 0., 0., -38.], [0., 4., 0., -34.], [0., 0., 4., -30.], [0., 0., 0., 1.]];
        let grid = Grid { dim: [20, 18, 16], affine };
        let value = |v: usize| {
            let mm = grid.to_mm([v % 20, v / 20 % 18, v / 360].map(|n| n as f64));
            let square: f64 = [(mm[0] - 5.0) / 18.0, (mm[1] + 4.0) / 14.0, mm[2] / 11.0].iter().map(|d| d * d).sum();
            (1000.0 * (-0.5 * square).exp() + 5.0 * mm[0]) as f32
        };
        let values: Vec<f32> = (0..grid.voxel_count()).map(value).collect();
        let (mut lattice, mut weights) = (Lattice::new(grid.dim), Lattice::new(grid.dim));
        lattice.fill_values(&values);
        weights.fill_values(&vec![1.0; values.len()]);
        (grid, lattice, weights)
    }

    #[test]
    fn the_design_is_the_derivative_of_the_reading() {
        let (grid, lattice, _) = bump();
        let (centre, h) = ([0.0; 3], 1e-3);
        let voxel_to_mm = Affine::of_grid(&grid);
        let mm_to_voxel = voxel_to_mm.inverse().unwrap();
        let place = [9.3, 7.6, 8.2];
        let mm = voxel_to_mm.apply(place);
        let (f, slope) = lattice.smooth_with_slope(place).unwrap();
        let row = design_row(f, slope, mm, centre, &mm_to_voxel);
        for (column, found) in row.iter().enumerate().take(6) {
            let reading = |size: f64| {
                let mut motion = [0.0; 6];
                motion[column] = size;
                let there = mm_to_voxel.apply(Motion(motion).about(centre).affine().apply(mm));
                f64::from(lattice.at(there, bspline).unwrap())
            };
            let numeric = (reading(h) - reading(-h)) / (2.0 * h);
            // 2 %: readings of 1,000 in f32 differ by 1e-4, divided by 2 h and slopes of tens to hundreds.
            assert!((found - numeric).abs() < 0.02 * numeric.abs() + 0.2, "column {column}: {found} against {numeric}");
        }
    }

    #[test]
    fn few_points_hold_most_of_the_information() {
        let (grid, lattice, weights) = bump();
        let layout = Layout { spacing_mm: 4.0, margin: 0.0 };
        let kept = Points::new(&grid, &lattice, &weights, [0.0; 3], layout).unwrap();
        let all = 19 * 17 * 15;
        assert!((500..all * 3 / 4).contains(&kept.len()), "{} of {all}", kept.len());
    }

    #[test]
    fn a_point_outside_takes_its_share_of_the_normal_matrix_along() {
        let (grid, lattice, weights) = bump();
        let layout = Layout { spacing_mm: 4.0, margin: 1.0 };
        let points = Points::new(&grid, &lattice, &weights, [0.0; 3], layout).unwrap();
        let mm_to_voxel = Affine::of_grid(&grid).inverse().unwrap();
        let shifted = Motion([20.0, 0.0, 0.0, 0.0, 0.0, 0.0]).about([0.0; 3]);
        let sums = points.read(&lattice, &shifted.affine().then(&mm_to_voxel));
        let inside = points.samples.iter().filter(|s| {
            within(
                mm_to_voxel.apply(shifted.affine().apply(points.voxel_to_mm.apply(s.place.map(f64::from)))),
                grid.dim,
                1.0,
            )
        });
        let expected = normal_of(&inside.copied().collect::<Vec<_>>());
        for (row, expected) in sums.normal.iter().zip(&expected) {
            for (found, expected) in row.iter().zip(expected) {
                // 1e-9 of the largest element: sums of a few thousand f64, added and taken away again.
                assert!((found - expected).abs() < 1e-9 * points.normal[SCALE][SCALE], "{found} against {expected}");
            }
        }
        assert!(sums.normal[MEAN][MEAN] < points.weight());
    }
}
