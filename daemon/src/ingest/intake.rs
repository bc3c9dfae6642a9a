//! What is accepted, and why not: the whole state of the door, without sockets, files or clock.

use super::limits::{Limits, check_event};
use super::timeline::Timeline;
use crate::journal::{InputContent, RecordedRun};
use crate::protocol::{EventFields, EventMessage, Reason, Refusal, RunEnd, RunStart, VolumeHeader};
use mindeye_config::{Moment, Name};
use mindeye_preprocess::RawVolume;
use std::collections::{BTreeMap, BTreeSet};

/// What to do with a `run_start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStartVerdict {
    /// A new run begins.
    New,
    /// The open run goes on at this index.
    Resume {
        /// Index of the next volume.
        next_index: u32,
    },
}

/// What to do with a volume.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VolumeVerdict {
    /// Save it and process it.
    New {
        /// Indexes left out before it.
        gap_before: u32,
        /// Acquisition start, seconds after that of volume 0.
        start_s: f64,
        /// Whether `start_s` is index x TR for lack of a stamp.
        nominal: bool,
    },
    /// It was processed but could not be saved: save it now.
    SaveAgain,
    /// It is known already.
    Repeat,
}

/// What to do with an event or a `run_end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Save it and pass it on.
    New,
    /// It is known already.
    Repeat,
}

/// The door's memory.
#[derive(Debug)]
pub struct Intake {
    limits: Limits,
    open: Option<OpenRun>,
    closed: BTreeSet<(Name, Name)>,
    stopped: bool,
}

#[derive(Debug)]
struct OpenRun {
    start: RunStart,
    next_index: u32,
    checksums: BTreeMap<u32, u32>,
    unsaved: BTreeSet<u32>,
    events: BTreeMap<u32, EventFields>,
    timeline: Timeline,
    newest_end_s: f64,
    heard: Option<Moment>,
}

impl Intake {
    /// A door with no run open.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, open: None, closed: BTreeSet::new(), stopped: false }
    }

    /// Takes up a run that an earlier process left open. It gives way to any other run until it is heard of again.
    pub fn restore(&mut self, run: &RecordedRun) {
        let mut open = OpenRun::new(run.start.clone());
        for (record, voxels) in &run.records {
            match &record.content {
                InputContent::Volume(header) => {
                    open.note_volume(header, crc32fast::hash(voxels));
                }
                InputContent::Event(message) => open.note_event(&message.event),
                InputContent::RunStart(_) | InputContent::RunEnd(_) | InputContent::Command(_) => {}
            }
        }
        self.open = Some(open);
    }

    /// Remembers that a run has ended in an earlier process.
    pub fn remember_closed(&mut self, session: &Name, run: &Name) {
        self.closed.insert((session.clone(), run.clone()));
    }

    /// Whether an interrupted run may be taken up here.
    ///
    /// # Errors
    /// The refusal that its `run_start` would get from this bundle.
    pub fn admits(&self, start: &RunStart) -> Result<(), Refusal> {
        self.limits.admit(start).map_err(|refusal| refusal.of_run(start.run.as_str()))
    }

    /// Whether the operator has stopped the instrument.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// After `stop`, no run opens; after `arm`, runs open again.
    pub fn set_stopped(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    /// Index of the next volume of the open run.
    #[must_use]
    pub fn next_index(&self) -> Option<u32> {
        self.open.as_ref().map(|open| open.next_index)
    }

    /// The open run.
    #[must_use]
    pub fn open_run(&self) -> Option<&RunStart> {
        self.open.as_ref().map(|open| &open.start)
    }

    /// Judges a `run_start`.
    ///
    /// # Errors
    /// The refusal to send.
    pub fn run_start(&mut self, start: &RunStart, now: Moment) -> Result<RunStartVerdict, Refusal> {
        self.judge_run_start(start, now).map_err(|refusal| refusal.of_run(start.run.as_str()))
    }

    fn judge_run_start(&mut self, start: &RunStart, now: Moment) -> Result<RunStartVerdict, Refusal> {
        if self.stopped {
            return Err(Refusal::new(Reason::NotReady, "the operator has stopped the instrument; it must be armed"));
        }
        if self.closed.contains(&(start.session.clone(), start.run.clone())) {
            return Err(Refusal::new(Reason::RunClosed, "this run has ended; a new run needs a new name"));
        }
        let same = |open: &&mut OpenRun| open.start.session == start.session && open.start.run == start.run;
        if let Some(open) = self.open.as_mut().filter(same) {
            return open.resume(start, now);
        }
        self.make_way(now)?;
        self.limits.admit(start)?;
        let mut open = OpenRun::new(start.clone());
        open.heard = Some(now);
        self.open = Some(open);
        Ok(RunStartVerdict::New)
    }

    /// Whether another run may take the place of the open one.
    ///
    /// # Errors
    /// `busy` while the open run is under way.
    pub fn make_way(&self, now: Moment) -> Result<(), Refusal> {
        self.open.as_ref().map_or(Ok(()), |open| open.give_way(now, self.limits.idle_run))
    }

    /// Judges a volume.
    ///
    /// # Errors
    /// The refusal to send.
    pub fn volume(&mut self, header: &VolumeHeader, voxels: &[u8], now: Moment) -> Result<VolumeVerdict, Refusal> {
        let named = |refusal: Refusal| refusal.of_run(header.run.as_str()).of_volume(header.index);
        let (max_volume_bytes, max_gap) = (self.limits.max_volume_bytes, self.limits.max_gap);
        let open = self.run_named(&header.run).map_err(named)?;
        open.heard = Some(now);
        open.volume(header, voxels, max_volume_bytes, max_gap).map_err(named)
    }

    /// Judges an event.
    ///
    /// # Errors
    /// The refusal to send.
    pub fn event(&mut self, message: &EventMessage, now: Moment) -> Result<Verdict, Refusal> {
        let named = |refusal: Refusal| refusal.of_run(message.run.as_str()).of_trial(message.event.trial);
        let event_max_late_s = self.limits.event_max_late_s;
        let open = self.run_named(&message.run).map_err(named)?;
        open.heard = Some(now);
        open.event(&message.event, event_max_late_s).map_err(named)
    }

    /// Judges a `run_end`; a new one closes the run.
    ///
    /// # Errors
    /// The refusal to send.
    pub fn run_end(&mut self, end: &RunEnd) -> Result<Verdict, Refusal> {
        if self.is_closed(&end.run) {
            return Ok(Verdict::Repeat);
        }
        let open = self.run_named(&end.run).map_err(|refusal| refusal.of_run(end.run.as_str()))?;
        let key = (open.start.session.clone(), open.start.run.clone());
        self.closed.insert(key);
        self.open = None;
        Ok(Verdict::New)
    }

    /// Takes note that a volume of the open run could not be saved: it is wanted again.
    pub fn mark_unsaved(&mut self, run: &Name, index: u32) {
        if let Some(open) = self.open.as_mut().filter(|open| open.start.run == *run) {
            open.unsaved.insert(index);
        }
    }

    /// Takes note that an event could not be saved: it is wanted again.
    pub fn forget_event(&mut self, run: &Name, trial: u32) {
        if let Some(open) = self.open.as_mut().filter(|open| open.start.run == *run) {
            open.events.remove(&trial);
        }
    }

    /// Takes back a run whose opening could not be saved.
    pub fn forget_run(&mut self, run: &Name) {
        self.open.take_if(|open| open.start.run == *run);
    }

    fn is_closed(&self, run: &Name) -> bool {
        self.closed.iter().any(|(_, closed)| closed == run)
            && self.open.as_ref().is_none_or(|open| open.start.run != *run)
    }

    fn run_named(&mut self, run: &Name) -> Result<&mut OpenRun, Refusal> {
        if self.is_closed(run) {
            return Err(Refusal::new(Reason::RunClosed, format!("run `{run}` has ended")));
        }
        let other = self.open.as_ref().map(|open| open.start.run.clone());
        match self.open.as_mut().filter(|open| open.start.run == *run) {
            Some(open) => Ok(open),
            None => Err(Refusal::new(Reason::UnknownRun, unknown_run(run, other.as_ref()))),
        }
    }
}

fn check_not_too_large(voxels: &[u8], at_most: usize) -> Result<(), Refusal> {
    if voxels.len() <= at_most {
        return Ok(());
    }
    let message = format!("the voxels take {} bytes, at most {at_most} are accepted", voxels.len());
    Err(Refusal::new(Reason::TooLarge, message))
}

fn unknown_run(run: &Name, open: Option<&Name>) -> String {
    let open = open.map_or("no run is open".into(), |open| format!("the open run is `{open}`"));
    format!("run `{run}` was not started; {open}; send run_start first")
}

impl OpenRun {
    fn new(start: RunStart) -> Self {
        let events = start.events.iter().map(|event| (event.trial, event.clone())).collect();
        let timeline = Timeline::new(start.tr_s);
        Self {
            start,
            next_index: 0,
            checksums: BTreeMap::new(),
            unsaved: BTreeSet::new(),
            events,
            timeline,
            newest_end_s: 0.0,
            heard: None,
        }
    }

    fn resume(&mut self, start: &RunStart, now: Moment) -> Result<RunStartVerdict, Refusal> {
        if self.start != *start {
            let message = format!("run `{}` is open with other parameters; a new run needs a new name", start.run);
            return Err(Refusal::new(Reason::Conflict, message));
        }
        self.heard = Some(now);
        let next_index = self.unsaved.first().copied().unwrap_or(self.next_index);
        Ok(RunStartVerdict::Resume { next_index })
    }

    fn give_way(&self, now: Moment, idle: std::time::Duration) -> Result<(), Refusal> {
        match self.heard {
            Some(heard) if now.since(heard) < idle => Err(Refusal::new(
                Reason::Busy,
                format!(
                    "run `{}` is under way; end it first, or wait until it has been silent for {idle:?}",
                    self.start.run
                ),
            )),
            _ => Ok(()),
        }
    }

    fn volume(
        &mut self,
        header: &VolumeHeader,
        voxels: &[u8],
        max_volume_bytes: usize,
        max_gap: u32,
    ) -> Result<VolumeVerdict, Refusal> {
        self.check_kind(header)?;
        check_not_too_large(voxels, max_volume_bytes)?;
        let raw = self.check_voxels(header, voxels)?;
        let checksum = crc32fast::hash(voxels);
        if let Some(known) = self.checksums.get(&header.index) {
            return self.judge_known(header.index, *known == checksum);
        }
        let gap_before = self.gap_before(header.index, max_gap)?;
        if let Some(voxel) = raw.first_non_finite() {
            let message = format!("voxel {voxel} is NaN or infinite");
            return Err(Refusal::new(Reason::NonFinite, message));
        }
        let (start_s, nominal) = self.note_volume(header, checksum);
        Ok(VolumeVerdict::New { gap_before, start_s, nominal })
    }

    fn check_kind(&self, header: &VolumeHeader) -> Result<(), Refusal> {
        if header.dtype != self.start.dtype {
            let message = format!("the run has {}, the volume {}", self.start.dtype.name(), header.dtype.name());
            return Err(Refusal::new(Reason::Dtype, message));
        }
        if header.shape != self.start.shape {
            let message = format!("the run has {:?} voxels, the volume {:?}", self.start.shape, header.shape);
            return Err(Refusal::new(Reason::Geometry, message));
        }
        Ok(())
    }

    fn check_voxels<'a>(&self, header: &VolumeHeader, voxels: &'a [u8]) -> Result<RawVolume<'a>, Refusal> {
        RawVolume::new(header.dtype, self.start.grid().voxel_count(), voxels)
            .map_err(|error| Refusal::new(Reason::Size, error.to_string()))
    }

    fn judge_known(&mut self, index: u32, same: bool) -> Result<VolumeVerdict, Refusal> {
        if !same {
            let message = format!("volume {index} was accepted with other voxels");
            return Err(Refusal::new(Reason::Conflict, message));
        }
        Ok(if self.unsaved.remove(&index) { VolumeVerdict::SaveAgain } else { VolumeVerdict::Repeat })
    }

    fn gap_before(&self, index: u32, max_gap: u32) -> Result<u32, Refusal> {
        let Some(gap) = index.checked_sub(self.next_index) else {
            let message = format!("volume {index} was given up as a gap; the next is {}", self.next_index);
            return Err(Refusal::new(Reason::Index, message));
        };
        if gap <= max_gap {
            return Ok(gap);
        }
        let message = format!("expected {}, found {index}: a jump of more than {max_gap}", self.next_index);
        Err(Refusal::new(Reason::Index, message))
    }

    /// Returns the volume's acquisition start and whether it is nominal.
    fn note_volume(&mut self, header: &VolumeHeader, checksum: u32) -> (f64, bool) {
        self.checksums.insert(header.index, checksum);
        self.next_index = self.next_index.max(header.index.saturating_add(1));
        let (start_s, nominal) = self.timeline.note(header.index, header.acquired_s);
        self.newest_end_s = start_s + self.start.tr_s;
        (start_s, nominal)
    }

    fn event(&mut self, event: &EventFields, max_late_s: f64) -> Result<Verdict, Refusal> {
        check_event(event)?;
        let known = self.events.get(&event.trial);
        if known == Some(event) {
            return Ok(Verdict::Repeat);
        }
        let earliest_onset_s = known.map_or(event.onset_s, |known| known.onset_s.min(event.onset_s));
        let late_s = self.newest_end_s - earliest_onset_s;
        if late_s > max_late_s {
            let message = format!("the run is {late_s:.2} s past the onset, events are taken until {max_late_s} s");
            return Err(Refusal::new(Reason::LateEvent, message));
        }
        self.note_event(event);
        Ok(Verdict::New)
    }

    fn note_event(&mut self, event: &EventFields) {
        self.events.insert(event.trial, event.clone());
    }
}

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
