//! Reading between voxels agrees with scipy and nibabel, whose answers lie in `fixtures/resample.tsv`
//! (`tests/oracle/resample_fixture.py` wrote them).

use mindeye_preprocess::resample::{Affine, Kernel, Volume, resample};
use mindeye_preprocess::{Grid, Mask, PreprocessError, RawVolume, VoxelType};

fn volume() -> Volume {
    let affine = [[-2.9, 0.4, 0.1, 20.0], [0.3, 2.8, -0.9, -14.5], [0.2, 0.8, 3.1, -12.25], [0., 0., 0., 1.]];
    let grid = Grid { dim: [12, 11, 10], affine };
    let values = (0..grid.voxel_count()).map(|v| ((v * 7919 + v * v * 104_729) % 1009) as f32);
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    let raw = RawVolume::new(VoxelType::Float32, grid.voxel_count(), &bytes).unwrap();
    Volume::from_raw(grid, raw).unwrap()
}

fn target() -> Grid {
    let affine = [[2.1, -0.3, 0.2, -4.0], [0.4, 2.2, 0.3, -8.0], [-0.1, -0.2, 2.6, -5.0], [0., 0., 0., 1.]];
    Grid { dim: [9, 8, 7], affine }
}

#[test]
fn trilinear_and_bspline_are_those_of_nibabel_and_scipy() {
    let table = include_str!("fixtures/resample.tsv");
    for (order, kernel) in [("1", Kernel::Trilinear), ("3", Kernel::CubicBspline)] {
        let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split('\t').collect()).collect();
        let rows: Vec<_> = rows.into_iter().filter(|row| row[0] == order).collect();
        assert!(rows.len() > 300, "the fixture covers most of the 504 voxels");
        let voxels = rows.iter().map(|row| row[1].parse().unwrap()).collect();
        let mask = Mask::from_voxels(target(), voxels).unwrap();
        let (pattern, out_of_field) = resample(&volume(), &mask, &Affine::IDENTITY, kernel).unwrap();
        assert_eq!(out_of_field, 0);
        for (row, found) in rows.iter().zip(&pattern.0) {
            let expected: f64 = row[2].parse().unwrap();
            // 2e-3 of 1,000: scipy works in f64, we read in f32 with weights of a few roundings.
            assert!((f64::from(*found) - expected).abs() < 2e-3, "{}: {found} against {expected}", kernel.name());
        }
    }
}

#[test]
fn every_kernel_gives_back_the_voxels_themselves() {
    let volume = volume();
    let all = (0..volume.grid().voxel_count() as u32).collect();
    let mask = Mask::from_voxels(volume.grid().clone(), all).unwrap();
    for kernel in Kernel::ALL {
        let (pattern, out_of_field) = resample(&volume, &mask, &Affine::IDENTITY, kernel).unwrap();
        assert_eq!(out_of_field, 0);
        for (found, expected) in pattern.0.iter().zip(volume.values()) {
            // 2e-3 of 1,000: as above; coordinates come back from millimetres to 1e-13 of a voxel.
            assert!((found - expected).abs() < 2e-3, "{}: {found} against {expected}", kernel.name());
        }
    }
}

#[test]
fn a_single_slice_is_refused() {
    let grid = Grid { dim: [8, 8, 1], ..target() };
    let bytes = [0u8; 64 * 4];
    let slice = Volume::from_raw(grid, RawVolume::new(VoxelType::Float32, 64, &bytes).unwrap()).unwrap();
    let mask = Mask::from_voxels(target(), vec![0]).unwrap();
    let error = resample(&slice, &mask, &Affine::IDENTITY, Kernel::Keys).unwrap_err();
    assert!(matches!(error, PreprocessError::FlatGrid { .. }), "{error}");
}
