//! A lattice is a volume with one mirrored voxel around it, so that every place inside has its four neighbours per axis.

use crate::resample::kernel::{bspline, bspline_slope};
use crate::{PreprocessError, RawVolume, VoxelType};

/// Voxel values f32[x + 2, y + 2, z + 2], x fastest; the outermost voxels repeat those one step inside (mirror without
/// repeating the edge, `mode="mirror"` of `scipy.ndimage`). Every axis has 2 voxels or more.
#[derive(Debug, Clone)]
pub(crate) struct Lattice {
    dim: [usize; 3],
    row: usize,
    slab: usize,
    values: Vec<f32>,
}

impl Lattice {
    /// Zeros.
    pub(crate) fn new(dim: [usize; 3]) -> Self {
        let (row, slab) = (dim[0] + 2, (dim[0] + 2) * (dim[1] + 2));
        Self { dim, row, slab, values: vec![0.0; slab * (dim[2] + 2)] }
    }

    pub(crate) fn dim(&self) -> [usize; 3] {
        self.dim
    }

    fn start_of_row(&self, j: usize, k: usize) -> usize {
        (k + 1) * self.slab + (j + 1) * self.row + 1
    }

    /// Voxels (0.., j, k).
    pub(crate) fn row(&self, j: usize, k: usize) -> &[f32] {
        &self.values[self.start_of_row(j, k)..][..self.dim[0]]
    }

    /// As [`row`](Self::row); call [`mirror_border`](Self::mirror_border) when all rows are written.
    pub(crate) fn row_mut(&mut self, j: usize, k: usize) -> &mut [f32] {
        let start = self.start_of_row(j, k);
        &mut self.values[start..][..self.dim[0]]
    }

    /// Two rows: (j, k) to read, and the one at `to` to write.
    pub(crate) fn row_pair(&mut self, from: (usize, usize), to: (usize, usize)) -> (&[f32], &mut [f32]) {
        let (from, to, n) = (self.start_of_row(from.0, from.1), self.start_of_row(to.0, to.1), self.dim[0]);
        if from < to {
            let (head, tail) = self.values.split_at_mut(to);
            (&head[from..][..n], &mut tail[..n])
        } else {
            let (head, tail) = self.values.split_at_mut(from);
            (&tail[..n], &mut head[to..][..n])
        }
    }

    /// Takes a raw volume of this size, all of it: 1 pass over its bytes, 4 bytes written per voxel.
    ///
    /// # Errors
    /// [`PreprocessError::NonFinite`] for the first voxel that is not finite in f32. The lattice is then half written.
    pub(crate) fn fill(&mut self, raw: RawVolume<'_>) -> Result<(), PreprocessError> {
        match raw.dtype() {
            VoxelType::Int16 => self.fill_with(raw, |w| f32::from(i16::from_le_bytes(w))),
            VoxelType::Uint16 => self.fill_with(raw, |w| f32::from(u16::from_le_bytes(w))),
            VoxelType::Float32 => self.fill_with(raw, f32::from_le_bytes),
            VoxelType::Float64 => self.fill_with(raw, |w| f64::from_le_bytes(w) as f32),
        }
        let finite = self.values.iter().fold(0.0, |sum, v| sum + v * 0.0) == 0.0;
        if finite { Ok(()) } else { Err(first_non_finite(raw)) }
    }

    fn fill_with<const N: usize>(&mut self, raw: RawVolume<'_>, value: impl Fn([u8; N]) -> f32) {
        let [nx, ny, nz] = self.dim;
        let (words, _) = raw.bytes().as_chunks::<N>();
        for (line, words) in words.chunks_exact(nx).enumerate().take(ny * nz) {
            for (to, word) in self.row_mut(line % ny, line / ny).iter_mut().zip(words) {
                *to = value(*word);
            }
        }
        self.mirror_border();
    }

    /// Takes plain values, x fastest, one per voxel.
    pub(crate) fn fill_values(&mut self, values: &[f32]) {
        let [nx, ny, _] = self.dim;
        for (line, from) in values.chunks_exact(nx).enumerate() {
            self.row_mut(line % ny, line / ny).copy_from_slice(from);
        }
        self.mirror_border();
    }

    /// Writes the border from the voxels inside.
    pub(crate) fn mirror_border(&mut self) {
        let [nx, ny, nz] = self.dim;
        for k in 1..=nz {
            for j in 1..=ny {
                let line = &mut self.values[k * self.slab + j * self.row..][..self.row];
                (line[0], line[nx + 1]) = (line[2], line[nx - 1]);
            }
            let slab = &mut self.values[k * self.slab..][..self.slab];
            slab.copy_within(2 * self.row..3 * self.row, 0);
            slab.copy_within((ny - 1) * self.row..ny * self.row, (ny + 1) * self.row);
        }
        self.values.copy_within(2 * self.slab..3 * self.slab, 0);
        self.values.copy_within((nz - 1) * self.slab..nz * self.slab, (nz + 1) * self.slab);
    }

    /// Σ w(x) w(y) w(z) value over the 64 neighbours of `place` (voxels); `None` outside 0..=n−1 or for NaN.
    ///
    /// 80 multiply-adds and 16 loads of four neighbours, in a fixed order.
    #[inline]
    pub(crate) fn at(&self, place: [f64; 3], weights: impl Fn(f32) -> [f32; 4]) -> Option<f32> {
        let (block, t) = self.neighbours(place)?;
        Some(self.sum(block, t.map(weights)))
    }

    /// Value and slope per voxel along x, y, z of the smooth function Σ β³ value at `place`.
    pub(crate) fn smooth_with_slope(&self, place: [f64; 3]) -> Option<(f32, [f32; 3])> {
        let (block, t) = self.neighbours(place)?;
        let (w, d) = (t.map(bspline), t.map(bspline_slope));
        let slope = [[d[0], w[1], w[2]], [w[0], d[1], w[2]], [w[0], w[1], d[2]]].map(|axis| self.sum(block, axis));
        Some((self.sum(block, w), slope))
    }

    /// The voxel nearest to `place`, which lies inside 0..=n−1.
    pub(crate) fn nearest(&self, place: [f64; 3]) -> f32 {
        let [i, j, k] = place.map(|v| v.round() as usize);
        self.row(j, k)[i]
    }

    /// The values from the first neighbour to the last, and how far `place` lies between the middle ones.
    #[inline]
    fn neighbours(&self, place: [f64; 3]) -> Option<(&[f32], [f32; 3])> {
        let mut t = [0.0; 3];
        let mut base = [0; 3];
        for axis in 0..3 {
            let last = self.dim[axis] as f64 - 1.0;
            if !(place[axis] >= 0.0 && place[axis] <= last) {
                return None;
            }
            // The last voxel is reached as t = 1 of the interval before it.
            base[axis] = (place[axis] as usize).min(self.dim[axis] - 2);
            t[axis] = (place[axis] - base[axis] as f64) as f32;
        }
        let first = base[2] * self.slab + base[1] * self.row + base[0];
        Some((&self.values[first..][..3 * self.slab + 3 * self.row + 4], t))
    }

    #[inline]
    fn sum(&self, block: &[f32], [wx, wy, wz]: [[f32; 4]; 3]) -> f32 {
        let mut lanes = [0.0f32; 4];
        for k in 0..4 {
            let mut plane = [0.0f32; 4];
            for j in 0..4 {
                let four = &block[k * self.slab + j * self.row..][..4];
                for lane in 0..4 {
                    plane[lane] += wy[j] * four[lane];
                }
            }
            for lane in 0..4 {
                lanes[lane] += wz[k] * plane[lane];
            }
        }
        (lanes[0] * wx[0] + lanes[1] * wx[1]) + (lanes[2] * wx[2] + lanes[3] * wx[3])
    }
}

fn first_non_finite(raw: RawVolume<'_>) -> PreprocessError {
    let mut value = [0.0];
    let refused = (0..raw.voxel_count() as u32).find_map(|voxel| raw.pick(&[voxel], &mut value).err());
    refused.expect("one of the voxels was just found not to be finite")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resample::kernel::{keys, trilinear};

    /// f(i, j, k) = 3 + i − 2 j + 5 k on 5 x 4 x 6 voxels.
    fn plane() -> Lattice {
        let value = |v: usize| 3.0 + (v % 5) as f32 - 2.0 * (v / 5 % 4) as f32 + 5.0 * (v / 20) as f32;
        let mut lattice = Lattice::new([5, 4, 6]);
        lattice.fill_values(&(0..120).map(value).collect::<Vec<_>>());
        lattice
    }

    #[test]
    fn a_plane_is_read_exactly_inside_and_not_at_all_outside() {
        let lattice = plane();
        for place in [[1.0, 1.0, 1.0], [1.25, 1.5, 3.75], [2.5, 1.0, 2.0]] {
            let expected = (3.0 + place[0] - 2.0 * place[1] + 5.0 * place[2]) as f32;
            for weights in [trilinear as fn(f32) -> [f32; 4], keys, bspline] {
                let found = lattice.at(place, weights).unwrap();
                // 1e-4: rounding in f32 of numbers to 40.
                assert!((found - expected).abs() < 1e-4, "{place:?}: {found} for {expected}");
            }
        }
        let outside = [[-0.01, 0.0, 0.0], [4.01, 0.0, 0.0], [0.0, 3.01, 0.0], [0.0, 0.0, 5.5], [f64::NAN, 0.0, 0.0]];
        for place in outside {
            assert_eq!(lattice.at(place, trilinear), None, "{place:?}");
        }
        assert_eq!(
            lattice.at([4.0, 3.0, 5.0], trilinear),
            Some(3.0 + 4.0 - 6.0 + 25.0),
            "the last voxel belongs to it"
        );
    }

    #[test]
    fn the_slope_of_a_plane_is_its_coefficients() {
        let (_, slope) = plane().smooth_with_slope([2.25, 1.5, 2.75]).unwrap();
        for (found, expected) in slope.into_iter().zip([1.0, -2.0, 5.0]) {
            // 1e-4: differences of numbers to 40 in f32.
            assert!((found - expected).abs() < 1e-4, "{slope:?}");
        }
    }

    #[test]
    fn the_border_mirrors_without_repeating_the_edge() {
        let lattice = plane();
        // At the first voxel the B-spline reads its neighbour twice: (1 · f(1) + 4 · f(0) + 1 · f(1)) / 6 along x.
        let along_x = (2.0 * 4.0 + 4.0 * 3.0) / 6.0;
        let (along_y, along_z) = (-2.0 * 2.0 / 6.0, 5.0 * 2.0 / 6.0);
        let found = lattice.at([0.0; 3], bspline).unwrap();
        // 1e-5: rounding in f32.
        assert!((found - (along_x + along_y + along_z)).abs() < 1e-5, "{found}");
    }

    #[test]
    fn every_type_of_voxel_fills_the_same_lattice() {
        let values: Vec<i16> = (0..60).map(|v| v * 37 % 101).collect();
        let bytes: [Vec<u8>; 4] = [
            values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            values.iter().flat_map(|v| (*v as u16).to_le_bytes()).collect(),
            values.iter().flat_map(|v| f32::from(*v).to_le_bytes()).collect(),
            values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect(),
        ];
        for (dtype, bytes) in VoxelType::ALL.into_iter().zip(&bytes) {
            let mut lattice = Lattice::new([5, 4, 3]);
            lattice.fill(RawVolume::new(dtype, 60, bytes).unwrap()).unwrap();
            let read: Vec<i16> = (0..12).flat_map(|n| lattice.row(n % 4, n / 4).to_vec()).map(|v| v as i16).collect();
            assert_eq!(read, values, "{}", dtype.name());
        }
    }
}
