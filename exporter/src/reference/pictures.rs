//! Pictures turned, doubled, thinned and joined.

use super::array::Array;

/// Every pixel of [B, C, H, W] repeated twice along both sides.
pub(super) fn double_nearest(x: &Array) -> Array {
    let &[batch, channels, h, w] = x.shape.as_slice() else { panic!("not a picture: {:?}", x.shape) };
    let mut values = Vec::with_capacity(4 * x.values.len());
    for row in x.values.chunks_exact(w) {
        let doubled: Vec<f64> = row.iter().flat_map(|v| [*v, *v]).collect();
        values.extend_from_slice(&doubled);
        values.extend_from_slice(&doubled);
    }
    Array::new(&[batch, channels, 2 * h, 2 * w], values)
}

/// Every second pixel of [B, C, H, W] along both sides, from row and column `first`.
pub(super) fn every_second(x: &Array, first: usize) -> Array {
    let &[batch, channels, h, w] = x.shape.as_slice() else { panic!("not a picture: {:?}", x.shape) };
    let planes = x.values.chunks_exact(h * w);
    let thinned = |plane: &[f64]| -> Vec<f64> {
        let rows = plane.chunks_exact(w).skip(first).step_by(2);
        rows.flat_map(|row| row.iter().skip(first).step_by(2).copied()).collect()
    };
    let side = |size: usize| (size - first).div_ceil(2);
    Array::new(&[batch, channels, side(h), side(w)], planes.flat_map(thinned).collect())
}

/// The channels of `a` [B, C, H, W] and behind them those of `b`.
pub(super) fn joined(a: &Array, b: &Array) -> Array {
    let mut shape = a.shape.clone();
    shape[1] += b.shape[1];
    let batch = shape[0];
    let (a, b) = (a.values.chunks_exact(a.values.len() / batch), b.values.chunks_exact(b.values.len() / batch));
    Array::new(&shape, a.zip(b).flat_map(|(a, b)| [a, b].concat()).collect())
}

/// A picture [B, C, H, W] as its places [B, H W, C].
pub(super) fn to_places(x: &Array) -> Array {
    let &[batch, channels, h, w] = x.shape.as_slice() else { panic!("not a picture: {:?}", x.shape) };
    Array::new(&[batch, h * w, channels], swapped(&x.values, channels, h * w))
}

/// Places [B, H W, C] as the picture of `shape` [B, C, H, W].
pub(super) fn from_places(x: &Array, shape: &[usize]) -> Array {
    Array::new(shape, swapped(&x.values, shape[2] * shape[3], shape[1]))
}

/// Rows and columns exchanged in each matrix of a stack of [rows, columns].
pub(super) fn swapped(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let matrices = values.chunks_exact(rows * columns);
    matrices.flat_map(|m| (0..columns).flat_map(move |c| (0..rows).map(move |r| m[r * columns + c]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thinned_picture_keeps_the_pixels_it_was_asked_for() {
        let x = Array::new(&[1, 1, 3, 4], (0..12).map(f64::from).collect());
        assert_eq!(every_second(&x, 0), Array::new(&[1, 1, 2, 2], vec![0.0, 2.0, 8.0, 10.0]));
        assert_eq!(every_second(&x, 1), Array::new(&[1, 1, 1, 2], vec![5.0, 7.0]));
    }

    #[test]
    fn channels_are_joined_picture_by_picture() {
        let a = Array::new(&[2, 1, 1, 1], vec![1.0, 2.0]);
        let b = Array::new(&[2, 2, 1, 1], vec![3.0, 4.0, 5.0, 6.0]);
        assert_eq!(joined(&a, &b).values, [1.0, 3.0, 4.0, 2.0, 5.0, 6.0]);
    }

    #[test]
    fn places_and_picture_are_each_others_inverse() {
        let x = Array::new(&[2, 3, 2, 2], (0..24).map(f64::from).collect());
        assert_eq!(to_places(&x).values[..3], [0.0, 4.0, 8.0]);
        assert_eq!(from_places(&to_places(&x), &x.shape), x);
    }
}
