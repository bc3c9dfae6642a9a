//! What a journal holds, as the work that it was.

use super::{VolumeWork, Work};
use crate::ingest::Timeline;
use crate::journal::{InputContent, InputRecord, RecordedRun};
use crate::protocol::VolumeHeader;
use mindeye_preprocess::Event;
use std::sync::Arc;
use std::time::Duration;

/// A record as work, in the order of acceptance.
pub(crate) fn recorded_work(recorded: &RecordedRun) -> impl Iterator<Item = Work> + '_ {
    let mut clock = RecordedClock::new(recorded);
    recorded.records.iter().filter_map(move |(record, voxels)| match &record.content {
        InputContent::Volume(header) => Some(Work::Volume(clock.volume(record, header, voxels))),
        InputContent::Event(message) => Some(Work::Event(Event {
            trial: message.event.trial,
            onset_s: message.event.onset_s,
            duration_s: message.event.duration_s,
        })),
        InputContent::RunEnd(_) => Some(Work::Close),
        InputContent::RunStart(_) | InputContent::Command(_) => None,
    })
}

/// Rebuilds what the door knew about time when each volume was accepted.
struct RecordedClock {
    timeline: Timeline,
    next_index: u32,
}

impl RecordedClock {
    fn new(recorded: &RecordedRun) -> Self {
        Self { timeline: Timeline::new(recorded.start.tr_s), next_index: 0 }
    }

    fn volume(&mut self, record: &InputRecord, header: &VolumeHeader, voxels: &[u8]) -> VolumeWork {
        let (start_s, nominal) = self.timeline.note(header.index, header.acquired_s);
        let gap_before = header.index.saturating_sub(self.next_index);
        self.next_index = header.index.saturating_add(1);
        VolumeWork {
            index: header.index,
            gap_before,
            start_s,
            nominal,
            dtype: header.dtype,
            voxels: Arc::new(voxels.to_vec()),
            arrived: record.arrived,
            arrived_unix_s: record.arrived_unix_s,
            received: Duration::ZERO,
        }
    }
}
