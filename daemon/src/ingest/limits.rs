//! What the door lets in, from configuration and bundle.

use crate::protocol::{Reason, Refusal, RunStart, affine_is_finite};
use mindeye_config::{DaemonConfig, Name};
use mindeye_preprocess::Grid;
use std::time::Duration;

/// Longest side of a volume in voxels.
const MAX_SIDE: usize = 1024;

/// Longest run that can be planned: 100,000 volumes are two days at a TR of 2 s.
const MAX_VOLUMES: u32 = 100_000;

/// The limits of one daemon.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Only this session may open runs, when set.
    pub session: Option<Name>,
    /// Grid of the bundle's mask.
    pub grid: Grid,
    /// Largest distance in mm between the corners of both grids.
    pub grid_tolerance_mm: f64,
    /// Largest volume in bytes.
    pub max_volume_bytes: usize,
    /// Largest jump of the volume index.
    pub max_gap: u32,
    /// A run silent for this long gives way to another.
    pub idle_run: Duration,
    /// An event may come this many seconds after its onset.
    pub event_max_late_s: f64,
}

impl Limits {
    /// The limits that `config` sets for a bundle on `grid`.
    #[must_use]
    pub fn new(config: &DaemonConfig, grid: Grid) -> Self {
        Self {
            session: config.session.as_ref().map(|session| session.session.clone()),
            grid,
            grid_tolerance_mm: config.volumes.grid_tolerance_mm,
            max_volume_bytes: config.volumes.max_volume_mib as usize * (1 << 20),
            max_gap: config.volumes.max_gap,
            idle_run: Duration::from_secs_f64(config.volumes.idle_run_s),
            event_max_late_s: config.trial.event_max_late_s,
        }
    }

    /// Checks a run against the bundle and against reason.
    pub(super) fn admit(&self, start: &RunStart) -> Result<(), Refusal> {
        self.check_session(start)?;
        check_numbers(start)?;
        self.check_size(start)?;
        self.check_grid(start)?;
        start.events.iter().try_for_each(check_event)?;
        check_trials_are_unique(start)
    }

    fn check_session(&self, start: &RunStart) -> Result<(), Refusal> {
        match &self.session {
            Some(session) if *session != start.session => Err(Refusal::new(
                Reason::Conflict,
                format!("this daemon is configured for session `{session}`, the run belongs to `{}`", start.session),
            )),
            _ => Ok(()),
        }
    }

    fn check_size(&self, start: &RunStart) -> Result<(), Refusal> {
        let bytes = start.grid().voxel_count().saturating_mul(start.dtype.bytes());
        if bytes <= self.max_volume_bytes {
            return Ok(());
        }
        let message = format!("a volume would take {bytes} bytes, at most {} are accepted", self.max_volume_bytes);
        Err(Refusal::new(Reason::TooLarge, message))
    }

    fn check_grid(&self, start: &RunStart) -> Result<(), Refusal> {
        if start.shape != self.grid.dim {
            let message = format!("the bundle's mask has {:?} voxels, the run {:?}", self.grid.dim, start.shape);
            return Err(Refusal::new(Reason::Geometry, message));
        }
        let apart_mm = self.grid.corner_distance_mm(&start.grid());
        if apart_mm <= self.grid_tolerance_mm {
            return Ok(());
        }
        let message = format!(
            "the run's grid lies {apart_mm:.2} mm from the bundle's mask, at most {} mm is accepted",
            self.grid_tolerance_mm
        );
        Err(Refusal::new(Reason::Geometry, message))
    }
}

fn check_numbers(start: &RunStart) -> Result<(), Refusal> {
    let malformed = |message: String| Err(Refusal::new(Reason::Malformed, message));
    if !(0.02..=60.0).contains(&start.tr_s) {
        return malformed(format!("tr_s must be 0.02 to 60 seconds, found {}", start.tr_s));
    }
    if !(0.01..=10_000.0).contains(&start.speed()) {
        return malformed(format!("speed must be 0.01 to 10000, found {}", start.speed()));
    }
    if start.shape.iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
        return malformed(format!("each side must be 1 to {MAX_SIDE} voxels, found {:?}", start.shape));
    }
    if let Some(volumes) = start.expected_volumes.filter(|volumes| !(1..=MAX_VOLUMES).contains(volumes)) {
        return malformed(format!("expected_volumes must be 1 to {MAX_VOLUMES}, found {volumes}"));
    }
    if let Some(times) = start.slice_timing_s.as_ref().filter(|times| times.len() != start.shape[2]) {
        return malformed(format!("slice_timing_s has {} times for {} slices", times.len(), start.shape[2]));
    }
    if !affine_is_finite(&start.affine) {
        return malformed("affine must be finite with last row 0 0 0 1".into());
    }
    Ok(())
}

fn check_trials_are_unique(start: &RunStart) -> Result<(), Refusal> {
    let mut seen = std::collections::BTreeSet::new();
    match start.events.iter().find(|event| !seen.insert(event.trial)) {
        None => Ok(()),
        Some(event) => {
            let message = format!("trial {} stands twice in `events`", event.trial);
            Err(Refusal::new(Reason::Malformed, message).of_trial(event.trial))
        }
    }
}

/// Onsets may lie before volume 0 by a minute at most; durations are not negative.
pub(super) fn check_event(event: &crate::protocol::EventFields) -> Result<(), Refusal> {
    let plausible = (-60.0..=1e6).contains(&event.onset_s) && (0.0..=1e5).contains(&event.duration_s);
    if plausible {
        return Ok(());
    }
    let message = format!("onset_s {} or duration_s {} is out of range", event.onset_s, event.duration_s);
    Err(Refusal::new(Reason::Malformed, message).of_trial(event.trial))
}
