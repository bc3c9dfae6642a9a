//! From loose volumes to runs: put in order, told once, ended by number, by silence or by the next run.

use super::event::{IgnoreReason, Ignored, RunPlan, SourceEvent, SourceVolume};
use mindeye_config::{Clock, Moment, SourceConfig};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Volumes that may wait for an earlier one; beyond that the earlier is given up at once.
const MAX_HELD: usize = 64;

/// When runs go on and end.
#[derive(Debug, Clone, Copy)]
pub struct RunRules {
    /// A later volume waits this long for an earlier one.
    pub reorder: Duration,
    /// A run that is silent for this long ends.
    pub end_after: Duration,
    /// A run ends after this many volumes.
    pub expected_volumes: Option<u32>,
}

impl RunRules {
    /// The rules of `config`, whose times are checked to be positive.
    #[must_use]
    pub fn new(config: &SourceConfig) -> Self {
        Self {
            reorder: Duration::from_secs_f64(config.reorder_s),
            end_after: Duration::from_secs_f64(config.end_after_s),
            expected_volumes: config.expected_volumes,
        }
    }
}

/// A source's one open run, and what it has to tell.
pub struct Assembler {
    clock: Arc<dyn Clock>,
    rules: RunRules,
    open: Option<OpenRun>,
    outbox: Vec<SourceEvent>,
}

struct OpenRun {
    /// Of the first volume that was told.
    plan: Option<RunPlan>,
    next: u32,
    held: BTreeMap<u32, (RunPlan, SourceVolume)>,
    /// Since when the earliest held volume waits.
    waiting: Moment,
    heard: Moment,
}

impl Assembler {
    /// No run is open.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, rules: RunRules) -> Self {
        Self { clock, rules, open: None, outbox: Vec::new() }
    }

    /// Whether a run is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Opens a run, ending the one before. It is told with its first volume.
    pub fn begin(&mut self) {
        self.end();
        let now = self.clock.now();
        self.open = Some(OpenRun { plan: None, next: 0, held: BTreeMap::new(), waiting: now, heard: now });
    }

    /// Adds a volume to the open run.
    pub fn add(&mut self, plan: RunPlan, volume: SourceVolume) {
        let now = self.clock.now();
        let Some(open) = self.open.as_mut() else {
            return self.ignore(Ignored::new(IgnoreReason::Duplicate, "a volume of a run that has ended"));
        };
        open.heard = now;
        if let Err(ignored) = open.take(plan, volume, now) {
            return self.ignore(ignored);
        }
        self.release(now);
    }

    /// Ends the open run, telling what is held.
    pub fn end(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        while open.give_up_gap() {
            open.tell(&mut self.outbox);
        }
        if open.plan.is_some() {
            self.outbox.push(SourceEvent::RunEnd { volumes: open.next });
        }
    }

    /// Notes something that is no volume of a run.
    pub fn ignore(&mut self, ignored: Ignored) {
        self.outbox.push(SourceEvent::Ignored(ignored));
    }

    /// Everything to tell, after a look at the clock.
    pub fn take(&mut self) -> Vec<SourceEvent> {
        let now = self.clock.now();
        self.release(now);
        if self.open.as_ref().is_some_and(|open| now.since(open.heard) > self.rules.end_after) {
            self.end();
        }
        std::mem::take(&mut self.outbox)
    }

    fn release(&mut self, now: Moment) {
        let Some(open) = self.open.as_mut() else { return };
        open.tell(&mut self.outbox);
        let overdue = now.since(open.waiting) > self.rules.reorder || open.held.len() > MAX_HELD;
        if overdue && open.give_up_gap() {
            open.tell(&mut self.outbox);
        }
        if !open.held.is_empty() && overdue {
            open.waiting = now;
        }
        let expected = open.plan.as_ref().and_then(|plan| self.rules.expected_volumes.or(plan.expected_volumes));
        if expected.is_some_and(|expected| open.next >= expected) {
            self.end();
        }
    }
}

impl OpenRun {
    fn take(&mut self, plan: RunPlan, volume: SourceVolume, now: Moment) -> Result<(), Ignored> {
        if self
            .plan
            .as_ref()
            .or_else(|| self.held.values().next().map(|(plan, _)| plan))
            .is_some_and(|first| !first.agrees_with(&plan))
        {
            return Err(Ignored::new(IgnoreReason::Geometry, "another grid, type or TR than the volumes before it"));
        }
        if volume.index < self.next || self.held.contains_key(&volume.index) {
            let explanation = format!("volume {} came twice, or after it was given up as a gap", volume.index);
            return Err(Ignored::new(IgnoreReason::Duplicate, explanation));
        }
        if self.held.is_empty() {
            self.waiting = now;
        }
        self.held.insert(volume.index, (plan, volume));
        Ok(())
    }

    /// Tells all volumes that follow without a gap.
    fn tell(&mut self, outbox: &mut Vec<SourceEvent>) {
        while let Some((plan, volume)) = self.held.remove(&self.next) {
            if self.plan.is_none() {
                outbox.push(SourceEvent::RunStart(plan.clone()));
                self.plan = Some(plan);
            }
            self.next += 1;
            outbox.push(SourceEvent::Volume(volume));
        }
    }

    /// Goes on with the earliest volume that is there, if there is one.
    fn give_up_gap(&mut self) -> bool {
        let earliest = self.held.keys().next().copied();
        earliest.inspect(|earliest| self.next = *earliest).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mindeye_config::{ManualClock, Name};
    use mindeye_preprocess::{VoxelType, phantom};
    use proptest::prelude::*;

    fn plan() -> RunPlan {
        RunPlan {
            run: Name::new("r").unwrap(),
            tr_s: 1.5,
            grid: phantom::grid(),
            dtype: VoxelType::Int16,
            slice_timing_s: None,
            expected_volumes: None,
        }
    }

    fn volume(index: u32) -> SourceVolume {
        SourceVolume { index, acquired_s: None, voxels: vec![index as u8] }
    }

    fn assembler(expected_volumes: Option<u32>) -> (Assembler, Arc<ManualClock>) {
        let clock = ManualClock::new();
        let (reorder, end_after) = (Duration::from_secs(1), Duration::from_secs(60));
        let mut assembler = Assembler::new(clock.clone(), RunRules { reorder, end_after, expected_volumes });
        assembler.begin();
        (assembler, clock)
    }

    /// Events as words: `start`, indexes, `end`, reasons.
    fn words(events: &[SourceEvent]) -> String {
        let word = |event: &SourceEvent| match event {
            SourceEvent::RunStart(_) => "start".into(),
            SourceEvent::Volume(volume) => volume.index.to_string(),
            SourceEvent::RunEnd { volumes } => format!("end{volumes}"),
            SourceEvent::Ignored(ignored) => ignored.reason.key().into(),
        };
        events.iter().map(word).collect::<Vec<String>>().join(" ")
    }

    #[test]
    fn volumes_are_told_in_order_and_a_gap_only_after_the_wait() {
        let (mut assembler, clock) = assembler(None);
        for index in [1, 0, 3, 4, 3] {
            assembler.add(plan(), volume(index));
        }
        assert_eq!(words(&assembler.take()), "start 0 1 duplicate");
        clock.advance(Duration::from_millis(1001));
        assert_eq!(words(&assembler.take()), "3 4");
        assembler.add(plan(), volume(2));
        assert_eq!(words(&assembler.take()), "duplicate", "2 was given up");
        clock.advance(Duration::from_secs(61));
        assert_eq!(words(&assembler.take()), "end5");
        assembler.add(plan(), volume(5));
        assert_eq!(words(&assembler.take()), "duplicate", "the run has ended");
    }

    #[test]
    fn a_run_ends_with_its_last_planned_volume() {
        let (mut assembler, _) = assembler(Some(2));
        (0..3).for_each(|index| assembler.add(plan(), volume(index)));
        assert_eq!(words(&assembler.take()), "start 0 1 end2 duplicate");
    }

    #[test]
    fn a_change_of_geometry_is_ignored_and_the_run_goes_on() {
        let (mut assembler, _) = assembler(None);
        assembler.add(plan(), volume(0));
        let mut moved = plan();
        moved.grid.affine[0][3] += 0.5;
        assembler.add(moved, volume(1));
        assembler.add(plan(), volume(1));
        assert_eq!(words(&assembler.take()), "start 0 geometry 1");
    }

    proptest! {
        #[test]
        fn a_burst_in_any_order_loses_none(order in Just((0u32..8).collect::<Vec<_>>()).prop_shuffle()) {
            let (mut assembler, _) = assembler(None);
            order.iter().for_each(|index| assembler.add(plan(), volume(*index)));
            prop_assert_eq!(words(&assembler.take()), "start 0 1 2 3 4 5 6 7");
        }
    }
}
