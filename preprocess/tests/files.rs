//! Files in and out: round trips, headers as nibabel reads them, and every broken file refused by name and amount.

use mindeye_preprocess::{
    AffineSource, Grid, Mask, Pattern, PreprocessError, RawVolume, TimeUnit, VoxelType, read_bold, write_bold,
    write_volume,
};
use std::path::{Path, PathBuf};

fn grid() -> Grid {
    Grid { dim: [3, 4, 2], affine: [[-3., 0.25, 0., 40.], [0., 3.5, 0., -60.], [0., 0., 4., -10.], [0., 0., 0., 1.]] }
}

fn encode(dtype: VoxelType, value: i16) -> Vec<u8> {
    match dtype {
        VoxelType::Int16 => value.to_le_bytes().to_vec(),
        VoxelType::Uint16 => (value as u16).to_le_bytes().to_vec(),
        VoxelType::Float32 => (f32::from(value) / 4.0).to_le_bytes().to_vec(),
        VoxelType::Float64 => (f64::from(value) / 4.0).to_le_bytes().to_vec(),
    }
}

#[test]
fn a_run_comes_back_as_it_was_written_in_every_type_and_packed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    for dtype in VoxelType::ALL {
        for name in ["run.nii", "run.part.nii.gz"] {
            let path = folder.path().join(name);
            let volume = |t: i16| (0..24).flat_map(|v| encode(dtype, 100 * t + v)).collect::<Vec<u8>>();
            let volumes: Vec<Vec<u8>> = (0..3).map(volume).collect();
            write_bold(&path, &grid(), 1.5, dtype, &volumes).unwrap();
            let bold = read_bold(&path).unwrap();
            assert_eq!((bold.grid, bold.affine_source), (grid(), AffineSource::Sform), "{name} {}", dtype.name());
            assert_eq!((bold.tr_s, bold.time_unit, bold.dtype), (Some(1.5), TimeUnit::Seconds, dtype));
            assert!(bold.volumes == volumes, "{name} {}", dtype.name());
        }
    }
}

#[test]
fn equal_runs_give_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = ["a.nii.gz", "b.nii.gz"].map(|name| {
        let path = folder.path().join(name);
        write_volume(&path, &grid(), VoxelType::Int16, &[7; 48]).unwrap();
        std::fs::read(path).unwrap()
    });
    assert_eq!(bytes[0], bytes[1]);
}

/// A NIfTI-1 header with the fields that the tests turn, in either byte order, followed by `voxels`.
struct Header {
    big_endian: bool,
    dim: [i16; 8],
    datatype: i16,
    pixdim: [f32; 8],
    vox_offset: f32,
    scale: [f32; 2],
    units: u8,
    /// qform code, sform code, b, c, d, x, y, z.
    codes: [i16; 2],
    quaternion: [f32; 6],
    magic: [u8; 4],
}

impl Default for Header {
    fn default() -> Self {
        Self {
            big_endian: false,
            dim: [3, 5, 6, 7, 1, 1, 1, 1],
            datatype: 2,
            pixdim: [-1.0, 2.0, 2.5, 3.0, 0.0, 0.0, 0.0, 0.0],
            vox_offset: 352.0,
            scale: [0.0, 0.0],
            units: 10,
            codes: [0, 0],
            quaternion: [0.0; 6],
            magic: *b"n+1\0",
        }
    }
}

impl Header {
    fn file(&self, folder: &Path, voxels: &[u8]) -> PathBuf {
        let mut bytes = vec![0u8; 352];
        let i16s = |v: i16| if self.big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        let f32s = |v: f32| if self.big_endian { v.to_be_bytes() } else { v.to_le_bytes() };
        let size = if self.big_endian { 348i32.to_be_bytes() } else { 348i32.to_le_bytes() };
        bytes[..4].copy_from_slice(&size);
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        (0..8).for_each(|i| put(40 + 2 * i, &i16s(self.dim[i])));
        put(70, &i16s(self.datatype));
        (0..8).for_each(|i| put(76 + 4 * i, &f32s(self.pixdim[i])));
        put(108, &f32s(self.vox_offset));
        (0..2).for_each(|i| put(112 + 4 * i, &f32s(self.scale[i])));
        put(123, &[self.units]);
        (0..2).for_each(|i| put(252 + 2 * i, &i16s(self.codes[i])));
        (0..6).for_each(|i| put(256 + 4 * i, &f32s(self.quaternion[i])));
        put(344, &self.magic);
        bytes.extend(voxels);
        let path = folder.join("made.nii");
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

#[test]
fn an_oblique_qform_is_nibabels() {
    let folder = tempfile::tempdir().unwrap();
    let header = Header { codes: [1, 0], quaternion: [0.1, -0.2, 0.3, -90.0, 126.0, -72.0], ..Header::default() };
    let bold = read_bold(&header.file(folder.path(), &[0; 210])).unwrap();
    assert_eq!(bold.affine_source, AffineSource::Qform);
    // nibabel 5.4.2, Nifti1Header.get_best_affine() of the same fields.
    let nibabel = [
        [1.4799999666213983, -1.491042825589935, 0.9328342206154592, -90.0],
        [1.0328342557035766, 1.9999999627470963, 0.9164171348946458, 126.0],
        [0.8618894935233281, 0.16368091296298318, -2.699999991059303, -72.0],
    ];
    for (ours, theirs) in bold.grid.affine.iter().flatten().zip(nibabel.iter().flatten()) {
        // 1e-12: both compute in f64 from the same f32 fields.
        assert!((ours - theirs).abs() < 1e-12, "{ours} against {theirs}");
    }
}

#[test]
fn stored_types_byte_orders_and_scales_become_wire_types() {
    let folder = tempfile::tempdir().unwrap();
    let shape = |datatype, big_endian, scale| Header {
        dim: [3, 2, 1, 1, 1, 1, 1, 1],
        datatype,
        big_endian,
        scale,
        ..Header::default()
    };
    // (header, bytes of two voxels, wire type, values)
    let cases: [(Header, Vec<u8>, VoxelType, [f32; 2]); 9] = [
        (shape(2, false, [0., 0.]), vec![3, 255], VoxelType::Int16, [3., 255.]),
        (shape(256, false, [1., 0.]), vec![3, 255], VoxelType::Int16, [3., -1.]),
        (shape(4, true, [0., 0.]), vec![1, 2, 255, 255], VoxelType::Int16, [258., -1.]),
        (shape(512, false, [f32::NAN, f32::NAN]), vec![2, 1, 255, 255], VoxelType::Uint16, [258., 65_535.]),
        (
            shape(8, true, [0., 0.]),
            [70_000i32, -5].iter().flat_map(|v| v.to_be_bytes()).collect(),
            VoxelType::Float64,
            [70_000., -5.],
        ),
        (
            shape(16, true, [0., 0.]),
            [0.5f32, -5.].iter().flat_map(|v| v.to_be_bytes()).collect(),
            VoxelType::Float32,
            [0.5, -5.],
        ),
        (
            shape(64, false, [0., 0.]),
            [0.5f64, -5.].iter().flat_map(|v| v.to_le_bytes()).collect(),
            VoxelType::Float64,
            [0.5, -5.],
        ),
        (shape(4, false, [2.5, -1.]), vec![2, 0, 4, 0], VoxelType::Float32, [4., 9.]),
        (shape(2, false, [1., 10.]), vec![2, 4], VoxelType::Float32, [12., 14.]),
    ];
    for (header, voxels, dtype, values) in cases {
        let bold = read_bold(&header.file(folder.path(), &voxels)).unwrap();
        let mask = Mask::from_voxels(bold.grid.clone(), vec![0, 1]).unwrap();
        let mut pattern = Pattern::default();
        mask.gather(RawVolume::new(bold.dtype, 2, &bold.volumes[0]).unwrap(), &mut pattern).unwrap();
        assert_eq!((bold.dtype, &pattern.0[..]), (dtype, &values[..]), "NIfTI type {}", header.datatype);
    }
}

#[test]
fn the_header_tells_the_repetition_time_with_its_unit() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (0o12, 1.5, Some(1.5), TimeUnit::Seconds),
        (0o22, 2500.0, Some(2.5), TimeUnit::Milliseconds),
        (0o32, 8e5, Some(0.8), TimeUnit::Microseconds),
        (0o00, 1.0, Some(1.0), TimeUnit::Unknown),
        (0o12, 0.0, None, TimeUnit::Seconds),
        (0o12, f32::NAN, None, TimeUnit::Seconds),
    ];
    for (units, stored, tr_s, time_unit) in cases {
        let header = Header { units, pixdim: [1., 2., 2., 2., stored, 0., 0., 0.], ..Header::default() };
        let bold = read_bold(&header.file(folder.path(), &[0; 210])).unwrap();
        assert_eq!((bold.tr_s, bold.time_unit), (tr_s, time_unit), "{stored} in unit {units:#o}");
    }
}

#[test]
fn broken_files_are_refused_by_name_and_amount() {
    let folder = tempfile::tempdir().unwrap();
    let four = [4, 5, 6, 7, 3, 1, 1, 1];
    let cases = [
        (Header { dim: four, ..Header::default() }, 500, "volume 2 of 3 has 210 bytes, the file ends after 80 of them"),
        (Header { dim: [5, 5, 6, 7, 3, 2, 1, 1], ..Header::default() }, 0, "dim must be [3, x, y, z]"),
        (Header { dim: [4, 5, 6, 0, 3, 1, 1, 1], ..Header::default() }, 0, "found [4, 5, 6, 0, 3, 1, 1, 1]"),
        (Header { dim: [2, 5, 6, 1, 1, 1, 1, 1], ..Header::default() }, 30, "dim must be [3, x, y, z]"),
        (Header { datatype: 32, ..Header::default() }, 1680, "Complex64 are not read"),
        (Header { datatype: 3, ..Header::default() }, 210, "datatype"),
        (
            Header { vox_offset: 100.0, ..Header::default() },
            210,
            "voxels start at byte 352 or later, the header says 100",
        ),
        (Header { vox_offset: 1000.0, ..Header::default() }, 210, "voxels start at byte 1000, the file ends after 562"),
        (Header { scale: [f32::INFINITY, 0.0], ..Header::default() }, 210, "a scale must be finite"),
        (
            Header { units: 0o11, ..Header::default() },
            210,
            "lengths must be in millimetres (unit code 2), found code 1",
        ),
        (Header { magic: *b"ni1\0", ..Header::default() }, 210, "found a header of a pair"),
        (Header { magic: *b"abcd", ..Header::default() }, 210, "made.nii"),
        (Header { pixdim: [1., -2., 2., 2., 1., 0., 0., 0.], ..Header::default() }, 210, "voxel sizes"),
    ];
    for (header, voxels, part) in cases {
        let error = read_bold(&header.file(folder.path(), &vec![0; voxels])).unwrap_err();
        assert!(matches!(error, PreprocessError::Format { .. }), "{error}");
        let line = error.to_string();
        assert!(line.contains(part) && line.contains("made.nii"), "{line:?} should say {part:?}");
    }
    let short = folder.path().join("short.nii");
    std::fs::write(&short, [0; 100]).unwrap();
    assert!(read_bold(&short).unwrap_err().to_string().ends_with("the file ends after 100"));
    let absent = folder.path().join("absent.nii");
    assert!(matches!(read_bold(&absent), Err(PreprocessError::File { .. })));
    let odd = folder.path().join("run.img");
    assert!(write_volume(&odd, &grid(), VoxelType::Int16, &[0; 48]).unwrap_err().to_string().contains(".nii.gz"));
}

#[test]
fn a_packed_file_that_breaks_off_or_was_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.nii.gz");
    let volume = |t: u32| (0..96u32).map(|v| ((v * 40_503 + t * 97) >> 3) as u8).collect::<Vec<u8>>();
    write_bold(&path, &grid(), 2.0, VoxelType::Float32, &(0..8).map(volume).collect::<Vec<_>>()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() * 2 / 3]).unwrap();
    let line = read_bold(&path).unwrap_err().to_string();
    assert!(line.contains("of 8 has 96 bytes, the file ends after"), "{line}");
    let mut changed = whole.clone();
    *changed.iter_mut().rev().nth(5).unwrap() ^= 1; // in the checksum, the first half of the last 8 bytes
    for (what, bytes) in [("cut in the checksum", &whole[..whole.len() - 6]), ("another checksum", &changed[..])] {
        std::fs::write(&path, bytes).unwrap();
        let line = read_bold(&path).unwrap_err().to_string();
        assert!(line.contains("after the last voxel"), "{what}: {line}");
    }
}

#[test]
fn a_mask_comes_back_as_it_was_written_and_bad_masks_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mask.nii.gz");
    let mask = Mask::from_voxels(grid(), vec![0, 5, 23]).unwrap();
    mask.write(&path).unwrap();
    assert_eq!(Mask::read(&path).unwrap(), mask);

    let float = |values: [f32; 24]| {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        write_volume(&path, &grid(), VoxelType::Float32, &bytes).unwrap();
        Mask::read(&path).map(|mask| mask.voxels().to_vec()).map_err(|e| e.to_string())
    };
    let with = |voxel: usize, value| std::array::from_fn(|i| if i == voxel { value } else { 0.0 });
    assert_eq!(float(with(7, 0.5)).unwrap(), [7], "probability masks count where they are not zero");
    assert!(float([0.0; 24]).unwrap_err().ends_with("no voxel of 24 is selected"));
    assert!(float(with(7, f32::NAN)).unwrap_err().contains("voxel 7"));
    write_bold(&path, &grid(), 1.0, VoxelType::Int16, &[vec![1; 48], vec![1; 48]]).unwrap();
    assert!(Mask::read(&path).unwrap_err().to_string().ends_with("a mask has one volume, found 2"));

    let cases =
        [(vec![], "no voxel of 24"), (vec![3, 3], "must ascend"), (vec![5, 3], "must ascend"), (vec![24], "outside")];
    for (voxels, part) in cases {
        let line = Mask::from_voxels(grid(), voxels).unwrap_err().to_string();
        assert!(line.contains(part), "{line}");
    }
}
