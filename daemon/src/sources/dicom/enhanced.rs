//! An enhanced multi-frame file of Siemens XA: one volume, one frame per slice, every frame with its own position and time.
//!
//! Each functional group is looked for in the frame first and in the shared groups then; frames are sorted by their place in
//! the stack, never by the file's order.

use super::elements::{
    ACQUISITION_DATE_TIME, Elements, FRAME_ACQUIRED, FRAMES, IN_STACK_POSITION, ORIENTATION, PIXEL_SPACING, POSITION,
    REPETITION_TIME, RESCALE_INTERCEPT, RESCALE_SLOPE, SIEMENS_21, TEMPORAL_POSITION, TIME_AFTER_START,
};
use super::geometry::{Stack, add, directions, rows_from_the_bottom, scaled};
use super::time::{Stamp, acquired_s, slice_times};
use super::volume::{Pixels, expected_volumes, index, repetition_time, series};
use super::{DicomError, DicomFile, DicomVolume};
use dicom_core::Tag;
use mindeye_preprocess::VoxelType;

pub(super) fn read(file: &DicomFile, pixels: &Pixels, voxels: &[u8]) -> Result<DicomVolume, DicomError> {
    let frames = frames(file)?;
    if voxels.len() < frames.len() * pixels.bytes() {
        return Err(DicomError::Malformed("fewer voxels than rows x columns x frames"));
    }
    let stamps: Option<Vec<Stamp>> = frames.iter().map(Frame::stamp).collect();
    let start =
        stamps.as_deref().and_then(earliest).or_else(|| file.top.text(ACQUISITION_DATE_TIME).and_then(Stamp::parse));
    let rescale = rescale(&frames)?;
    Ok(DicomVolume {
        series: series(file)?,
        index: index(file)?,
        tr_s: repetition_time(frames[0].decimal(REPETITION_TIME).or_else(|| file.top.decimal(REPETITION_TIME)))?,
        grid: stack(&frames, pixels)?.grid()?,
        dtype: if rescale.is_some() { VoxelType::Float32 } else { pixels.dtype },
        acquired_s: acquired_s(file, start),
        slice_timing_s: siemens_slice_times(&frames).or_else(|| stamps.map(|stamps| slice_times(&stamps))),
        expected_volumes: expected_volumes(file),
        voxels: collect(&frames, pixels, voxels, rescale),
    })
}

/// One slice.
struct Frame<'a> {
    /// Place in the file.
    number: usize,
    own: &'a Elements,
    shared: &'a Elements,
}

impl Frame<'_> {
    fn find<T>(&self, get: impl Fn(&Elements) -> Option<T>) -> Option<T> {
        get(self.own).or_else(|| get(self.shared))
    }

    fn decimal(&self, tag: Tag) -> Option<f64> {
        self.find(|elements| elements.decimal(tag))
    }

    fn array<const N: usize>(&self, tag: Tag, missing: &'static str) -> Result<[f64; N], DicomError> {
        self.find(|elements| elements.decimal_array(tag)).ok_or(DicomError::Malformed(missing))
    }

    fn stamp(&self) -> Option<Stamp> {
        self.own.text(FRAME_ACQUIRED).and_then(Stamp::parse)
    }
}

/// Siemens' own times after the start of the series are finer than the frames' stamps, which count in 2.5 ms.
fn siemens_slice_times(frames: &[Frame<'_>]) -> Option<Vec<f64>> {
    let time = |frame: &Frame<'_>| {
        let is_siemens = frame.own.text(SIEMENS_21) == Some("SIEMENS MR SDI 02");
        frame.own.decimal(TIME_AFTER_START).filter(|_| is_siemens)
    };
    let times: Vec<f64> = frames.iter().map(time).collect::<Option<_>>()?;
    let earliest = times.iter().copied().fold(f64::INFINITY, f64::min);
    Some(times.iter().map(|time| time - earliest).collect())
}

/// All frames by their place in the stack.
fn frames(file: &DicomFile) -> Result<Vec<Frame<'_>>, DicomError> {
    if file.frames.len() < 2 || file.top.whole(FRAMES).map(|frames| frames as usize) != Some(file.frames.len()) {
        return Err(DicomError::NotAVolume("not one frame per slice"));
    }
    let numbered = file.frames.iter().enumerate();
    let mut frames: Vec<_> = numbered.map(|(number, own)| Frame { number, own, shared: &file.shared }).collect();
    let place = |frame: &Frame<'_>| frame.own.long(IN_STACK_POSITION);
    frames.sort_by_key(place);
    let counts = frames.iter().zip(1..).all(|(frame, position)| place(frame) == Some(position));
    let moment = |frame: &Frame<'_>| frame.own.long(TEMPORAL_POSITION);
    let is_one_volume = frames.iter().all(|frame| moment(frame) == moment(&frames[0]));
    if counts && is_one_volume { Ok(frames) } else { Err(DicomError::NotAVolume("not one volume per file")) }
}

fn earliest(stamps: &[Stamp]) -> Option<Stamp> {
    let first = *stamps.first()?;
    stamps.iter().copied().min_by(|a, b| a.seconds_after(first).total_cmp(&b.seconds_after(first)))
}

/// The true positions of the first and last slice give the step between slices.
fn stack(frames: &[Frame<'_>], pixels: &Pixels) -> Result<Stack, DicomError> {
    let [first, last] = [&frames[0], &frames[frames.len() - 1]];
    let orientation = first.array(ORIENTATION, "no orientation")?;
    if last.array(ORIENTATION, "no orientation")? != orientation {
        return Err(DicomError::NotAVolume("slices are not parallel"));
    }
    let [row_direction, column_direction] = directions(orientation)?;
    let [dy, dx] = first.array::<2>(PIXEL_SPACING, "no pixel spacing")?;
    let position = first.array::<3>(POSITION, "no position")?;
    let way = add(last.array::<3>(POSITION, "no position")?, scaled(position, -1.0));
    Ok(Stack {
        dim: [pixels.columns, pixels.rows, frames.len()],
        row_direction,
        column_direction,
        slice_step: scaled(way, 1.0 / (frames.len() - 1) as f64),
        spacing: [dx, dy],
        first: position,
    })
}

/// Slope and intercept, equal in all frames; `None` where they change nothing.
fn rescale(frames: &[Frame<'_>]) -> Result<Option<[f64; 2]>, DicomError> {
    let of = |frame: &Frame<'_>| {
        [frame.decimal(RESCALE_SLOPE).unwrap_or(1.0), frame.decimal(RESCALE_INTERCEPT).unwrap_or(0.0)]
    };
    let rescale = of(&frames[0]);
    if frames.iter().any(|frame| of(frame) != rescale) {
        return Err(DicomError::NotAVolume("frames are scaled differently"));
    }
    Ok(Some(rescale).filter(|rescale| *rescale != [1.0, 0.0]))
}

fn collect(frames: &[Frame<'_>], pixels: &Pixels, voxels: &[u8], rescale: Option<[f64; 2]>) -> Vec<u8> {
    let mut volume = Vec::with_capacity(frames.len() * pixels.bytes());
    for frame in frames {
        let at = frame.number * pixels.bytes();
        rows_from_the_bottom(&voxels[at..at + pixels.bytes()], 2 * pixels.columns, &mut volume);
    }
    match rescale {
        None => volume,
        Some([slope, intercept]) => {
            let stored = volume.as_chunks::<2>().0.iter().map(|word| match pixels.dtype {
                VoxelType::Int16 => f64::from(i16::from_le_bytes(*word)),
                _ => f64::from(u16::from_le_bytes(*word)),
            });
            stored.flat_map(|value| ((value * slope + intercept) as f32).to_le_bytes()).collect()
        }
    }
}
