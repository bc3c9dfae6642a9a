//! Where a NIfTI header says its voxels lie: sform, else qform, else the bare voxel sizes (as nibabel does).

use nifti::NiftiHeader;

/// Which part of the header the affine came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AffineSource {
    /// `srow_x`, `srow_y`, `srow_z`.
    Sform,
    /// Quaternion, offset and voxel sizes.
    Qform,
    /// Voxel sizes alone: the centre of the grid at 0 mm and x running right to left. It says nothing about a head.
    Pixdim,
}

/// A quaternion in f32 may miss unit length by this much (nibabel's bound: 3 machine epsilons of f32).
const UNIT_QUATERNION: f64 = 3.0 * f32::EPSILON as f64;

/// The voxel to RAS+ mm map of `header`, in the order sform, qform, voxel sizes.
///
/// # Errors
/// One sentence for the file's error: voxel sizes or quaternion out of range, not finite, or not invertible.
pub(crate) fn affine_of(header: &NiftiHeader) -> Result<([[f64; 4]; 4], AffineSource), String> {
    let (affine, source) = if header.sform_code > 0 {
        (sform(header), AffineSource::Sform)
    } else if header.qform_code > 0 {
        (qform(header)?, AffineSource::Qform)
    } else {
        (from_voxel_sizes(header)?, AffineSource::Pixdim)
    };
    let volume_mm3 = determinant(&affine);
    if affine.iter().flatten().all(|v| v.is_finite()) && volume_mm3 != 0.0 {
        return Ok((affine, source));
    }
    Err(format!("its {source:?} is no map of voxels to space: {affine:?} has determinant {volume_mm3}"))
}

fn sform(header: &NiftiHeader) -> [[f64; 4]; 4] {
    [header.srow_x.map(f64::from), header.srow_y.map(f64::from), header.srow_z.map(f64::from), [0., 0., 0., 1.]]
}

/// R(a, b, c, d) diag(dx, dy, q dz), with a = √(1 − b² − c² − d²) and q = ±1 (nifti1.h, method 2).
fn qform(header: &NiftiHeader) -> Result<[[f64; 4]; 4], String> {
    let [b, c, d] = [header.quatern_b, header.quatern_c, header.quatern_d].map(f64::from);
    let rest = 1.0 - b * b - c * c - d * d;
    if rest < -UNIT_QUATERNION || rest.is_nan() {
        return Err(format!("its qform quaternion ({b}, {c}, {d}) is longer than 1"));
    }
    let a = rest.max(0.0).sqrt();
    let [dx, dy, dz] = voxel_sizes_mm(header)?;
    let q = if header.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    let rotation = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ];
    let offset = [header.quatern_x, header.quatern_y, header.quatern_z].map(f64::from);
    let row = |r: usize| [rotation[r][0] * dx, rotation[r][1] * dy, rotation[r][2] * dz * q, offset[r]];
    Ok([row(0), row(1), row(2), [0., 0., 0., 1.]])
}

fn from_voxel_sizes(header: &NiftiHeader) -> Result<[[f64; 4]; 4], String> {
    let [dx, dy, dz] = voxel_sizes_mm(header)?;
    let middle = |axis: usize| (f64::from(header.dim[axis]) - 1.0) / 2.0;
    Ok([[-dx, 0., 0., dx * middle(1)], [0., dy, 0., -dy * middle(2)], [0., 0., dz, -dz * middle(3)], [0., 0., 0., 1.]])
}

fn voxel_sizes_mm(header: &NiftiHeader) -> Result<[f64; 3], String> {
    let sizes = [header.pixdim[1], header.pixdim[2], header.pixdim[3]].map(f64::from);
    if sizes.iter().all(|size| size.is_finite() && *size > 0.0) {
        return Ok(sizes);
    }
    Err(format!("voxel sizes (pixdim) must be positive millimetres, found {sizes:?}"))
}

fn determinant(m: &[[f64; 4]; 4]) -> f64 {
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> NiftiHeader {
        let mut header = NiftiHeader { sform_code: 0, qform_code: 0, ..NiftiHeader::default() };
        header.dim = [4, 64, 64, 21, 64, 1, 1, 1];
        header.pixdim = [-1.0, 3.1, 3.75, 3.75, 2.5, 0., 0., 0.];
        header
    }

    #[test]
    fn sform_wins_over_qform_and_qform_over_voxel_sizes() {
        let cases = [
            (1, 1, AffineSource::Sform),
            (4, 0, AffineSource::Sform),
            (0, 1, AffineSource::Qform),
            (0, 0, AffineSource::Pixdim),
        ];
        for (sform_code, qform_code, expected) in cases {
            let header = NiftiHeader { sform_code, qform_code, ..header() };
            assert_eq!(affine_of(&header).unwrap().1, expected, "sform {sform_code}, qform {qform_code}");
        }
    }

    #[test]
    fn a_quaternion_about_y_turns_and_qfac_flips_as_in_nibabel() {
        // (b, c, d) = (0, 1, 0), qfac −1, offset 60.45: the qform of the Haxby files; nibabel gives diag(−3.1, 3.75, 3.75).
        let qform_of = NiftiHeader { qform_code: 1, quatern_c: 1.0, quatern_x: 60.45, ..header() };
        let (affine, _) = affine_of(&qform_of).unwrap();
        let expected = [-3.1, 3.75, 3.75];
        for axis in 0..3 {
            // 1e-6: header fields are f32, 3e-8 of a few mm.
            assert!((affine[axis][axis] - expected[axis]).abs() < 1e-6, "{affine:?}");
        }
        assert!((affine[0][3] - 60.45).abs() < 1e-5);
    }

    #[test]
    fn bad_headers_are_refused_with_their_numbers() {
        let cases = [
            (NiftiHeader { pixdim: [1., 0., 3., 3., 1., 0., 0., 0.], ..header() }, "voxel sizes"),
            (NiftiHeader { qform_code: 1, quatern_b: 1.0, quatern_c: 0.5, ..header() }, "longer than 1"),
            (NiftiHeader { qform_code: 1, quatern_b: f32::NAN, ..header() }, "longer than 1"),
            (NiftiHeader { sform_code: 1, srow_z: [0.; 4], ..header() }, "determinant 0"),
            (NiftiHeader { sform_code: 1, srow_z: [0., 0., f32::NAN, 0.], ..header() }, "determinant NaN"),
        ];
        for (header, part) in cases {
            let complaint = affine_of(&header).unwrap_err();
            assert!(complaint.contains(part), "{complaint} should say {part}");
        }
    }
}
