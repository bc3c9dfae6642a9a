//! A Siemens mosaic with a CSA2 header: all slices as tiles of one picture.

use super::EmittedRun;
use super::dicom::{Header, PATIENT, stored, time_after_noon};

const MR_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.4";

pub(super) fn file(run: &EmittedRun, header: &Header<'_>, voxels: &[u8]) -> Vec<u8> {
    let [columns, rows, slices] = run.grid.dim;
    let tiles = (1..=slices).find(|tiles| tiles * tiles >= slices).unwrap_or(1);
    let geometry = &header.geometry;
    let acquired = time_after_noon(f64::from(header.index) * run.tr_s);
    let mut top = header.identity(MR_IMAGE, "ORIGINAL\\PRIMARY\\M\\ND\\MOSAIC", |top| {
        top.text((8, 0x22), b"DA", "20260101").text((8, 0x31), b"TM", &time_after_noon(0.0));
        top.text((8, 0x32), b"TM", &acquired);
    });
    top.decimals((0x18, 0x50), &[geometry.slice_spacing()]).decimals((0x18, 0x80), &[run.tr_s * 1e3]);
    top.decimals((0x18, 0x88), &[geometry.slice_spacing()]).text((0x18, 0x1030), b"LO", "task-demo");
    top.text((0x19, 0x10), b"LO", "SIEMENS MR HEADER").short((0x19, 0x100A), slices);
    header.place(&mut top);
    // Where the first voxel would lie if the whole mosaic were one slice around the same centre.
    let [dy, dx] = geometry.spacing;
    let beyond = |tile: usize, spacing: f64| (tile * tiles - tile) as f64 / 2.0 * spacing;
    let (beyond_x, beyond_y) = (beyond(columns, dx), beyond(rows, dy));
    let [a, b, c, d, e, f] = geometry.orientation;
    let position: [f64; 3] =
        std::array::from_fn(|axis| geometry.first[axis] - [a, b, c][axis] * beyond_x - [d, e, f][axis] * beyond_y);
    top.decimals((0x20, 0x32), &position).decimals((0x20, 0x37), &geometry.orientation);
    top.text((0x20, 0x4000), b"LT", PATIENT);
    top.short((0x28, 2), 1).text((0x28, 4), b"CS", "MONOCHROME2").short((0x28, 0x10), rows * tiles);
    top.short((0x28, 0x11), columns * tiles).decimals((0x28, 0x30), &geometry.spacing);
    stored(&mut top, run.dtype);
    top.text((0x29, 0x10), b"LO", "SIEMENS CSA HEADER").bytes((0x29, 0x1010), b"OB", &csa(run, header));
    top.bytes((0x7FE0, 0x10), b"OW", &tiled(voxels, run.grid.dim, tiles));
    top.into_file(MR_IMAGE, &header.instance_uid())
}

/// Three tags that matter, and one that must not get out.
fn csa(run: &EmittedRun, header: &Header<'_>) -> Vec<u8> {
    let slices = run.grid.dim[2];
    let spacing = header.geometry.slice_spacing();
    let normal = header.geometry.slice_step.map(|x| format!("{:.8}", x / spacing)).to_vec();
    // Slices one after the other through the TR.
    let times = (0..slices).map(|slice| format!("{:.8}", slice as f64 * run.tr_s * 1e3 / slices as f64)).collect();
    let tags = [
        ("NumberOfImagesInMosaic", b"US\0\0", vec![slices.to_string()]),
        ("SliceNormalVector", b"FD\0\0", normal),
        ("MosaicRefAcqTimes", b"FD\0\0", times),
        ("PatientName", b"PN\0\0", vec![PATIENT.to_owned()]),
    ];
    let mut bytes = b"SV10\x04\x03\x02\x01".to_vec();
    let word = |bytes: &mut Vec<u8>, word: usize| bytes.extend((word as i32).to_le_bytes());
    word(&mut bytes, tags.len());
    word(&mut bytes, 77);
    for (name, vr, items) in tags {
        let mut field = name.as_bytes().to_vec();
        field.resize(64, 0);
        bytes.extend(field);
        word(&mut bytes, items.len());
        bytes.extend(vr);
        [0, items.len(), 77].into_iter().for_each(|value| word(&mut bytes, value));
        for item in items {
            [item.len(), item.len(), 77, item.len()].into_iter().for_each(|value| word(&mut bytes, value));
            bytes.extend(item.as_bytes());
            bytes.resize(bytes.len() + item.len().next_multiple_of(4) - item.len(), 0);
        }
    }
    bytes
}

/// Slices row by row in a grid of `tiles` squared, rows from the top.
fn tiled(voxels: &[u8], [columns, rows, slices]: [usize; 3], tiles: usize) -> Vec<u8> {
    let row_bytes = 2 * columns;
    let mut mosaic = vec![0; row_bytes * tiles * rows * tiles];
    for slice in 0..slices {
        for row in 0..rows {
            let from = (slice * rows + rows - 1 - row) * row_bytes;
            let to = ((slice / tiles * rows + row) * tiles + slice % tiles) * row_bytes;
            mosaic[to..to + row_bytes].copy_from_slice(&voxels[from..from + row_bytes]);
        }
    }
    mosaic
}
