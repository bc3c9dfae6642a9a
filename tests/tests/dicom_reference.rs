//! Siemens files of real scanners against dcm2niix, value by value, and against damage of every kind.

use mindeye_daemon::sources::dicom::{DicomError, DicomVolume, read_dicom};
use mindeye_preprocess::{Bold, VoxelType, read_bold};
use mindeye_tests::shared_data;
use proptest::prelude::*;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A series as the scanner wrote it, and what dcm2niix made of it.
struct Case {
    folder: &'static str,
    reference: &'static str,
    dtype: VoxelType,
}

const CASES: [Case; 4] = [
    Case {
        folder: "siemens_mosaic_qa/In/ep2d_Asc_2",
        reference: "siemens_mosaic_qa/Ref/2_ep2d_Asc",
        dtype: VoxelType::Int16,
    },
    Case {
        folder: "siemens_mosaic_qa/In/ep2d_Int_4",
        reference: "siemens_mosaic_qa/Ref/4_ep2d_Int",
        dtype: VoxelType::Int16,
    },
    Case {
        folder: "siemens_mosaic_qa/In/cmrr_Asc_6",
        reference: "siemens_mosaic_qa/Ref/6_cmrr_Asc",
        dtype: VoxelType::Uint16,
    },
    Case { folder: "siemens_xa30_enhanced/dicom", reference: "siemens_xa30_enhanced/xa30", dtype: VoxelType::Int16 },
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.collect();
    files.sort();
    files
}

fn read_series(folder: &Path) -> Vec<DicomVolume> {
    let read = |path: &PathBuf| read_dicom(&std::fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{error}"));
    let mut volumes: Vec<DicomVolume> = files(folder).iter().map(read).collect();
    volumes.sort_by_key(|volume| volume.index);
    volumes
}

fn beside(reference: &Path, extension: &str) -> PathBuf {
    PathBuf::from(format!("{}.{extension}", reference.display()))
}

#[test]
fn geometry_timing_and_voxels_are_those_of_dcm2niix() {
    for case in &CASES {
        let Some(folder) = shared_data(case.folder) else { return };
        let reference =
            folder.ancestors().nth(Path::new(case.folder).components().count()).unwrap().join(case.reference);
        let bold = read_bold(&beside(&reference, "nii.gz")).unwrap();
        let sidecar: Value = serde_json::from_slice(&std::fs::read(beside(&reference, "json")).unwrap()).unwrap();
        let volumes = read_series(&folder);
        assert_eq!(volumes.len(), bold.volumes.len(), "{}", case.folder);
        for (index, volume) in volumes.iter().enumerate() {
            let place = format!("{} volume {index}", case.folder);
            assert_eq!(volume.index as usize, index, "{place}");
            assert_eq!(volume.dtype, case.dtype, "{place}");
            assert_same_grid(volume, &bold, &place);
            assert_same_timing(volume, &sidecar, &place);
            assert!(volume.voxels == bold.volumes[index], "{place}: voxels differ");
        }
        assert_stamps_follow_the_tr(&volumes, case.folder);
    }
}

fn assert_same_grid(volume: &DicomVolume, bold: &Bold, place: &str) {
    assert_eq!(volume.grid.dim, bold.grid.dim, "{place}");
    // 1e-3 mm: the reference is f32, and public files round positions to six digits.
    let apart = volume.grid.affine.iter().flatten().zip(bold.grid.affine.iter().flatten()).map(|(a, b)| (a - b).abs());
    let most = apart.fold(0.0, f64::max);
    assert!(most < 1e-3, "{place}: affines differ by {most} mm: {:?} {:?}", volume.grid.affine, bold.grid.affine);
}

fn assert_same_timing(volume: &DicomVolume, sidecar: &Value, place: &str) {
    assert_eq!(Some(volume.tr_s), sidecar["RepetitionTime"].as_f64(), "{place}");
    let expected: Vec<f64> =
        sidecar["SliceTiming"].as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
    let found = volume.slice_timing_s.as_ref().unwrap();
    assert_eq!(found.len(), expected.len(), "{place}");
    // 1e-6 s: the scanner writes 67.49999999 ms and dcm2niix 0.0675 s. dcm2niix's times are those of volume 0; Siemens counts
    // in ticks of 2.5 ms, of which a later volume may have one more or less.
    let tolerance = if volume.index == 0 { 1e-6 } else { 2.5e-3 + 1e-6 };
    let most = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(most < tolerance, "{place}: slice times differ by {most} s: {found:?} {expected:?}");
}

fn assert_stamps_follow_the_tr(volumes: &[DicomVolume], place: &str) {
    let stamps: Vec<f64> = volumes.iter().map(|volume| volume.acquired_s.expect(place)).collect();
    for pair in stamps.windows(2) {
        // 5.1 ms: two ticks of the 2.5 ms in which Siemens counts.
        assert!((pair[1] - pair[0] - volumes[0].tr_s).abs() < 5.1e-3, "{place}: {stamps:?}");
    }
}

/// A file of each kind.
fn specimens() -> Option<[Vec<u8>; 2]> {
    let mosaic = shared_data("siemens_mosaic_qa/In/ep2d_Asc_2/IM-0001-0001.dcm")?;
    let enhanced = shared_data("siemens_xa30_enhanced/dicom/vol_0001.dcm")?;
    Some([mosaic, enhanced].map(|path| std::fs::read(path).unwrap()))
}

#[test]
fn a_growing_file_is_incomplete_until_its_last_voxel() {
    let Some(specimens) = specimens() else { return };
    for whole in &specimens {
        let last = read_dicom(whole).map(|_| whole.len()).unwrap();
        // The voxels stand last, before at most some padding.
        let enough = (0..last).rev().take(4096).find(|length| read_dicom(&whole[..*length]).is_err()).unwrap();
        for length in (0..enough).step_by(997).chain([enough]) {
            assert_eq!(read_dicom(&whole[..length]), Err(DicomError::Incomplete), "{length} of {last} bytes");
        }
    }
}

#[test]
fn a_thousand_nested_sequences_are_refused() {
    let Some([mosaic, _]) = specimens() else { return };
    let begin = 132 + mosaic[132..].windows(4).position(|tag| tag == [8, 0, 5, 0] || tag == [8, 0, 8, 0]).unwrap();
    let mut bomb = mosaic[..begin].to_vec();
    for _ in 0..100_000 {
        bomb.extend([0x08, 0, 0x40, 0x11, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff]);
        bomb.extend([0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff]);
    }
    assert_eq!(read_dicom(&bomb), Err(DicomError::Malformed("sequences are nested too deeply")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_file_with_damage_anywhere_is_read_or_refused(
        which in 0usize..2, at in 0usize..260_000, damage in prop::collection::vec(any::<u8>(), 1..12), cut in 0usize..400_000,
    ) {
        let Some(mut specimens) = specimens() else { return Ok(()) };
        let bytes = &mut specimens[which];
        let at = at % bytes.len();
        let end = (at + damage.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&damage[..end - at]);
        let _ = read_dicom(bytes);
        let _ = read_dicom(&bytes[..cut.min(bytes.len())]);
    }

    #[test]
    fn a_header_with_damage_near_its_beginning_is_read_or_refused(
        which in 0usize..2, at in 132usize..9000, byte in any::<u8>(),
    ) {
        let Some(mut specimens) = specimens() else { return Ok(()) };
        specimens[which][at] = byte;
        let _ = read_dicom(&specimens[which]);
    }
}
