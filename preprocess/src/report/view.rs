//! How the head is looked at: axial slices from below to above, front up, and left on the left where the file knows it.

use crate::program::Facts;
use mindeye_preprocess::offline::volume_values;
use mindeye_preprocess::resample::Volume;
use mindeye_preprocess::{AffineSource, Grid};

/// Axial slices of one grid, cropped to the mask.
pub(crate) struct View {
    grid: Grid,
    /// Whether the file says where the head is.
    pub(crate) placed: bool,
    /// Across the picture (to the right), up the picture, and through the slices (upwards).
    axes: [Axis; 3],
    /// The reference that the run was brought to, or the run's mean: 0 black to 1 white.
    background: Vec<f32>,
}

/// One direction of the picture along one voxel axis.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    voxel_axis: usize,
    /// The voxel index falls along this direction.
    flipped: bool,
    /// First voxel shown, counted in this direction.
    from: usize,
    /// Voxels shown.
    count: usize,
    mm: f64,
}

/// Grey and not white, so that colours stand out on it.
const BRIGHTEST: f32 = 0.72;
/// Voxels shown around the mask.
const MARGIN: usize = 2;

impl View {
    pub(crate) fn of(facts: &Facts) -> Self {
        let (grid, source) = frame(facts);
        let placed = source != AffineSource::Pixdim;
        let directions = if placed { nearest_axes(grid) } else { [(0, false), (1, false), (2, false)] };
        let voxels = facts.inputs.mask.voxels();
        let axis = |w: usize| {
            let margin = if w == 2 { 0 } else { MARGIN };
            axis(grid, directions[w], voxels, margin)
        };
        let background = background(facts);
        Self { placed, axes: [axis(0), axis(1), axis(2)], background, grid: grid.clone() }
    }

    /// Voxels across, up and through.
    pub(crate) fn shape(&self) -> [usize; 3] {
        self.axes.map(|axis| axis.count)
    }

    /// Size of a slice in mm, across and up.
    pub(crate) fn slice_mm(&self) -> [f64; 2] {
        [0, 1].map(|w| self.axes[w].count as f64 * self.axes[w].mm)
    }

    /// At most `most` slices, evenly spaced, from the lowest.
    pub(crate) fn slices(&self, most: usize) -> Vec<usize> {
        let count = self.axes[2].count;
        let shown = count.min(most);
        (0..shown).map(|n| ((2 * n + 1) * count / (2 * shown)).min(count - 1)).collect()
    }

    /// Linear index of the voxel at `[across, up, slice]` of the picture.
    pub(crate) fn voxel(&self, at: [usize; 3]) -> usize {
        let mut ijk = [0; 3];
        for (axis, place) in self.axes.iter().zip(at) {
            ijk[axis.voxel_axis] = axis.index(place, self.grid.dim[axis.voxel_axis]);
        }
        self.grid.linear_index(ijk)
    }

    /// Where voxel `ijk` is in the picture: across, up, slice.
    pub(crate) fn place(&self, ijk: [usize; 3]) -> [f64; 3] {
        self.axes.map(|axis| {
            let index = ijk[axis.voxel_axis];
            let counted = if axis.flipped { self.grid.dim[axis.voxel_axis] - 1 - index } else { index };
            counted as f64 - axis.from as f64
        })
    }

    /// Number of a slice along its voxel axis.
    pub(crate) fn slice_index(&self, slice: usize) -> usize {
        self.axes[2].index(slice, self.grid.dim[self.axes[2].voxel_axis])
    }

    /// Name of the voxel axis through the slices.
    pub(crate) fn slice_axis(&self) -> char {
        ['i', 'j', 'k'][self.axes[2].voxel_axis]
    }

    pub(crate) fn background(&self, voxel: usize) -> f64 {
        f64::from(self.background[voxel])
    }

    /// `pattern` (usable voxels) at its places in the grid.
    pub(crate) fn spread(&self, facts: &Facts, pattern: &[f32]) -> Vec<Option<f32>> {
        let mut map = vec![None; self.grid.voxel_count()];
        for (voxel, value) in facts.inputs.usable.mask.voxels().iter().zip(pattern) {
            map[*voxel as usize] = Some(*value);
        }
        map
    }

    /// What the reader must know of the slices.
    pub(crate) fn caption(&self) -> &'static str {
        if self.placed {
            "Slices from below to above over the mean volume (the reference, where there is one), front up, the \
             participant's left on the left."
        } else {
            "Slices in voxel order over the mean volume or the reference (i to the right, j up): the file does not say \
             which side is left, front or top."
        }
    }
}

impl Axis {
    fn index(&self, place: usize, dim: usize) -> usize {
        let counted = self.from + place;
        if self.flipped { dim - 1 - counted } else { counted }
    }
}

/// For right, front and up: the voxel axis that runs most nearly along it, and whether against it.
fn nearest_axes(grid: &Grid) -> [(usize, bool); 3] {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let cosine = |world: usize, axis: usize| grid.affine[world][axis] / grid.voxel_sizes_mm()[axis];
    let fit = |order: &[usize; 3]| (0..3).map(|world| cosine(world, order[world]).abs()).sum::<f64>();
    let best = orders.iter().fold(orders[0], |best, order| if fit(order) > fit(&best) { *order } else { best });
    std::array::from_fn(|world| (best[world], cosine(world, best[world]) < 0.0))
}

fn axis(grid: &Grid, (voxel_axis, flipped): (usize, bool), voxels: &[u32], margin: usize) -> Axis {
    let dim = grid.dim[voxel_axis];
    let stride: usize = grid.dim[..voxel_axis].iter().product();
    let counted = voxels.iter().map(|voxel| {
        let index = *voxel as usize / stride % dim;
        if flipped { dim - 1 - index } else { index }
    });
    let (low, high) = counted.fold((dim, 0), |(low, high), at| (low.min(at), high.max(at)));
    let from = low.saturating_sub(margin);
    Axis {
        voxel_axis,
        flipped,
        from,
        count: (high + margin).min(dim - 1) + 1 - from,
        mm: grid.voxel_sizes_mm()[voxel_axis],
    }
}

/// The grid on which the mask's voxels are shown: the reference's where the run was brought there.
fn frame(facts: &Facts) -> (&Grid, AffineSource) {
    match reference(facts) {
        Some(_) => (facts.inputs.mask.grid(), facts.inputs.mask_affine),
        None => (&facts.inputs.bold.grid, facts.inputs.bold.affine_source),
    }
}

/// What the run was registered to.
fn reference(facts: &Facts) -> Option<&Volume> {
    let reference = facts.inputs.reference.as_ref().filter(|_| facts.inputs.corrects_motion())?;
    Some(&reference.volume)
}

/// The reference, or the mean volume: its brightest hundredth of voxels at [`BRIGHTEST`].
fn background(facts: &Facts) -> Vec<f32> {
    let values = match reference(facts) {
        Some(reference) => reference.values().iter().map(|v| f64::from(*v)).collect(),
        None => mean_volume(facts),
    };
    let white = crate::program::quantile(&values, 0.99).unwrap_or(0.0).max(f64::MIN_POSITIVE);
    values.iter().map(|v| BRIGHTEST * (v / white).clamp(0.0, 1.0) as f32).collect()
}

fn mean_volume(facts: &Facts) -> Vec<f64> {
    let bold = &facts.inputs.bold;
    let mut mean = vec![0.0f64; bold.grid.voxel_count()];
    for bytes in &bold.volumes {
        for (mean, value) in mean.iter_mut().zip(volume_values(bold.dtype, bytes)) {
            *mean += if value.is_finite() { f64::from(value) } else { 0.0 };
        }
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn right_front_and_up_are_found_in_any_order_and_direction() {
        let grid = |affine| Grid { dim: [4, 5, 6], affine };
        let last = [0., 0., 0., 1.];
        let cases = [
            ([[2., 0., 0., 0.], [0., 2., 0., 0.], [0., 0., 2., 0.], last], [(0, false), (1, false), (2, false)]),
            ([[-2., 0., 0., 0.], [0., 2., 0., 0.], [0., 0., 3., 0.], last], [(0, true), (1, false), (2, false)]),
            // Sagittal slices: i runs back, j up, k right; and 20 degrees oblique about x.
            ([[0., 0., 3., 0.], [-2., 0., 0., 0.], [0., 2., 0., 0.], last], [(2, false), (0, true), (1, false)]),
            (
                [[2., 0., 0., 0.], [0., 1.88, -0.68, 0.], [0., 0.68, 1.88, 0.], last],
                [(0, false), (1, false), (2, false)],
            ),
        ];
        for (affine, expected) in cases {
            assert_eq!(nearest_axes(&grid(affine)), expected, "{affine:?}");
        }
    }

    #[test]
    fn an_axis_is_cropped_to_the_mask_with_a_margin_inside_the_grid() {
        let affine = [[2., 0., 0., 0.], [0., 2., 0., 0.], [0., 0., 2., 0.], [0., 0., 0., 1.]];
        let grid = Grid { dim: [10, 4, 1], affine };
        // i = 6 and 8 of j = 1: along i 4 to 9 with a margin of 2, from the other side 0 to 5.
        let voxels = [16, 18];
        let (along, against) = (axis(&grid, (0, false), &voxels, 2), axis(&grid, (0, true), &voxels, 2));
        assert_eq!((along.from, along.count, against.from, against.count), (4, 6, 0, 6));
        assert_eq!((along.index(0, 10), against.index(0, 10)), (4, 9));
    }
}
