//! The ring remembers the last N volumes of the run, and a volume that never came is a visible hole in it.

use crate::Pattern;
use ringbuf::HeapRb;
use ringbuf::traits::Observer;

/// One place of the ring: a volume, or a gap.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Index of the volume in the run, 0-based.
    pub index: u32,
    /// What came; `None` is a gap: it is never filled, neither by time nor by interpolation.
    pub volume: Option<RecordedVolume>,
}

/// A volume as the ring keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedVolume {
    /// Acquisition start, seconds since volume 0.
    pub start_s: f64,
    /// The mask's voxels, scanner's units.
    pub pattern: Pattern,
    /// Mean of each voxel up to and including this volume, same unit: a trial is judged against what was known when
    /// it was due, however late its event came.
    pub mean_so_far: Vec<f64>,
}

/// The last N slots of a run, oldest first. N volumes of V voxels take N V 12 bytes: 64 x 15,724 are 12 MB.
pub struct VolumeRing {
    slots: HeapRb<Slot>,
    /// Acquisition start of the newest volume that was overwritten.
    forgotten_start_s: Option<f64>,
}

impl VolumeRing {
    /// An empty ring for `volumes` slots, at least one.
    #[must_use]
    pub fn new(volumes: usize) -> Self {
        Self { slots: HeapRb::new(volumes.max(1)), forgotten_start_s: None }
    }

    /// Slots that it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.capacity().get()
    }

    /// Slots that it holds, gaps included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.occupied_len()
    }

    /// True before the first volume.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Slots, oldest first. (`&mut` because the ring's owner is also its only reader.)
    pub fn slots(&mut self) -> impl DoubleEndedIterator<Item = &Slot> {
        let (older, newer) = self.slots.as_slices();
        older.iter().chain(newer)
    }

    /// Volumes with their indices, oldest first, gaps left out.
    pub fn volumes(&mut self) -> impl DoubleEndedIterator<Item = (u32, &RecordedVolume)> {
        self.slots().filter_map(|slot| Some((slot.index, slot.volume.as_ref()?)))
    }

    /// Acquisition start of the newest volume that the ring has forgotten, seconds since volume 0.
    #[must_use]
    pub fn forgotten_start_s(&self) -> Option<f64> {
        self.forgotten_start_s
    }

    /// Adds a volume by copying `pattern` and `mean_so_far` into the storage of the slot it overwrites.
    pub fn push_volume(&mut self, index: u32, start_s: f64, pattern: &Pattern, mean_so_far: &[f64]) {
        let mut volume = self.make_room().unwrap_or_else(|| RecordedVolume {
            start_s,
            pattern: Pattern::default(),
            mean_so_far: Vec::new(),
        });
        volume.start_s = start_s;
        volume.pattern.0.clone_from(&pattern.0);
        volume.mean_so_far.clear();
        volume.mean_so_far.extend_from_slice(mean_so_far);
        self.slots.push_overwrite(Slot { index, volume: Some(volume) });
    }

    /// Adds gaps for the volumes `missing`; of a gap longer than the ring only the end is kept.
    pub fn push_gap(&mut self, missing: std::ops::Range<u32>) {
        let kept = self.capacity().min(missing.len());
        for index in missing.end - kept as u32..missing.end {
            self.make_room();
            self.slots.push_overwrite(Slot { index, volume: None });
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.forgotten_start_s = None;
    }

    /// Takes out the oldest slot of a full ring and returns its volume for reuse.
    fn make_room(&mut self) -> Option<RecordedVolume> {
        if self.len() < self.capacity() {
            return None;
        }
        let volume = self.slots.try_pop()?.volume?;
        self.forgotten_start_s = Some(volume.start_s);
        Some(volume)
    }
}
