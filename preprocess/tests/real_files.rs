//! Real files beside the repository read as nibabel reads them; without them these tests say that they were skipped.

use mindeye_preprocess::{AffineSource, Mask, TimeUnit, VoxelType, read_bold};
use std::path::{Path, PathBuf};

/// What nibabel 5.4.2 says of files that stand beside the repository.
struct Real {
    path: &'static str,
    dim: [usize; 3],
    volumes: usize,
    source: AffineSource,
    tr_s: Option<f64>,
    unit: TimeUnit,
    /// The first three rows of the affine, diagonal then offset.
    diagonal: [f64; 3],
    offset: [f64; 3],
    sum: i64,
    /// Voxel, volume and value.
    sample: ([usize; 3], usize, i16),
}

const REAL: [Real; 3] = [
    Real {
        path: "fsl_feeds_fmri/filtered_func_data.nii.gz",
        dim: [64, 64, 21],
        volumes: 64,
        source: AffineSource::Pixdim,
        tr_s: Some(1.0),
        unit: TimeUnit::Unknown,
        diagonal: [-1.0, 1.0, 1.0],
        offset: [31.5, -31.5, -10.0],
        sum: 10_638_718_370,
        sample: ([32, 32, 10], 0, 17_511),
    },
    Real {
        path: "haxby_pymvpa/bold.nii.gz",
        dim: [40, 20, 1],
        volumes: 1452,
        source: AffineSource::Sform,
        tr_s: Some(2.5),
        unit: TimeUnit::Seconds,
        diagonal: [-3.0999999046325684, 3.75, 3.75],
        offset: [60.44999694824219, -35.625, 0.0],
        sum: 1_118_771_612,
        sample: ([20, 10, 0], 0, 1046),
    },
    Real {
        path: "haxby_pymvpa/haxby2001/sub001/BOLD/task001_run001/bold_25mm.nii.gz",
        dim: [6, 10, 10],
        volumes: 121,
        source: AffineSource::Sform,
        tr_s: Some(2.5),
        unit: TimeUnit::Seconds,
        diagonal: [-25.0, 25.0, 25.0],
        offset: [62.5, -112.5, -112.5],
        sum: 22_717_688,
        sample: ([1, 2, 0], 120, 41),
    },
];

fn shared_data() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("MINDEYE_SHARED_DATA").map_or_else(beside, PathBuf::from)
}

#[test]
fn real_files_read_as_nibabel_reads_them() {
    for real in REAL {
        let path = shared_data().join(real.path);
        if !path.exists() {
            eprintln!("skipped: {} is not beside the repository", real.path);
            continue;
        }
        let bold = read_bold(&path).unwrap();
        assert_eq!((bold.grid.dim, bold.volumes.len(), bold.dtype), (real.dim, real.volumes, VoxelType::Int16));
        assert_eq!(
            (bold.affine_source, bold.tr_s, bold.time_unit),
            (real.source, real.tr_s, real.unit),
            "{}",
            real.path
        );
        for row in 0..3 {
            let mut expected = [0.0, 0.0, 0.0, real.offset[row]];
            expected[row] = real.diagonal[row];
            assert_eq!(bold.grid.affine[row], expected, "{} row {row}", real.path);
        }
        let voxels = |bytes: &[u8]| bytes.chunks(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect::<Vec<_>>();
        let sum: i64 = bold.volumes.iter().flat_map(|v| voxels(v)).map(i64::from).sum();
        assert_eq!(sum, real.sum, "{}", real.path);
        let (ijk, volume, value) = real.sample;
        assert_eq!(voxels(&bold.volumes[volume])[bold.grid.linear_index(ijk)], value, "{}", real.path);
    }
}

#[test]
fn the_haxby_mask_selects_what_nibabel_counts() {
    let path = shared_data().join("haxby_pymvpa/mask.nii.gz");
    if !path.exists() {
        eprintln!("skipped: haxby_pymvpa/mask.nii.gz is not beside the repository");
        return;
    }
    let mask = Mask::read(&path).unwrap();
    assert_eq!(mask.len(), 530);
    assert!(mask.voxels().contains(&(mask.grid().linear_index([20, 10, 0]) as u32)));
}
