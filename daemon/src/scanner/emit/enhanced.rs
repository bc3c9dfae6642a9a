//! An enhanced multi-frame file as XA exports it: one frame per slice, all that matters in the frame's own groups.

use super::EmittedRun;
use super::dicom::{Header, PATIENT, stored, time_after_noon};
use super::element::Elements;

const ENHANCED_MR_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.4.1";

pub(super) fn file(run: &EmittedRun, header: &Header<'_>, voxels: &[u8]) -> Vec<u8> {
    let [columns, rows, slices] = run.grid.dim;
    let begin_s = f64::from(header.index) * run.tr_s;
    let mut top = header.identity(ENHANCED_MR_IMAGE, "ORIGINAL\\PRIMARY\\FMRI\\NONE", |top| {
        top.text((8, 0x2A), b"DT", &format!("20260101{}", time_after_noon(begin_s)));
        top.text((8, 0x31), b"TM", &time_after_noon(0.0));
    });
    top.text((0x18, 0x1030), b"LO", "task-demo");
    header.place(&mut top);
    top.text((0x20, 0x105), b"IS", &run.volumes.to_string()).text((0x20, 0x4000), b"LT", PATIENT);
    top.short((0x28, 2), 1).text((0x28, 4), b"CS", "MONOCHROME2").text((0x28, 8), b"IS", &slices.to_string());
    top.short((0x28, 0x10), rows).short((0x28, 0x11), columns);
    stored(&mut top, run.dtype);
    top.sequence((0x5200, 0x9229), &[shared(run)]);
    let frames: Vec<Elements> = (0..slices).map(|slice| frame(run, header, slice, begin_s)).collect();
    top.sequence((0x5200, 0x9230), &frames);
    top.bytes((0x7FE0, 0x10), b"OW", &from_the_top(voxels, columns, rows));
    top.into_file(ENHANCED_MR_IMAGE, &header.instance_uid())
}

fn shared(run: &EmittedRun) -> Elements {
    let mut timing = Elements::default();
    timing.decimals((0x18, 0x80), &[run.tr_s * 1e3]);
    let mut shared = Elements::default();
    shared.sequence((0x18, 0x9112), &[timing]);
    shared
}

fn frame(run: &EmittedRun, header: &Header<'_>, slice: usize, begin_s: f64) -> Elements {
    let geometry = &header.geometry;
    // Slices one after the other through the TR.
    let acquired = time_after_noon(begin_s + slice as f64 * run.tr_s / run.grid.dim[2] as f64);
    let one = |fill: &dyn Fn(&mut Elements)| {
        let mut item = Elements::default();
        fill(&mut item);
        [item]
    };
    let mut frame = Elements::default();
    let content = one(&|item| {
        item.text((0x18, 0x9074), b"DT", &format!("20260101{acquired}")).text((0x20, 0x9056), b"SH", "1");
        item.long((0x20, 0x9057), slice + 1).long((0x20, 0x9128), header.index as usize + 1);
        item.text((0x20, 0x9158), b"LT", PATIENT);
    });
    frame.sequence((0x20, 0x9111), &content);
    frame.sequence((0x20, 0x9113), &one(&|item| _ = item.decimals((0x20, 0x32), &geometry.slice(slice))));
    frame.sequence((0x20, 0x9116), &one(&|item| _ = item.decimals((0x20, 0x37), &geometry.orientation)));
    let measures = one(&|item| {
        item.decimals((0x18, 0x50), &[geometry.slice_spacing()]).decimals((0x28, 0x30), &geometry.spacing);
    });
    frame.sequence((0x28, 0x9110), &measures);
    let values = one(&|item| _ = item.decimals((0x28, 0x1052), &[0.0]).decimals((0x28, 0x1053), &[1.0]));
    frame.sequence((0x28, 0x9145), &values);
    frame
}

fn from_the_top(voxels: &[u8], columns: usize, rows: usize) -> Vec<u8> {
    let slices = voxels.chunks_exact(2 * columns * rows);
    slices.flat_map(|slice| slice.rchunks_exact(2 * columns)).flatten().copied().collect()
}
