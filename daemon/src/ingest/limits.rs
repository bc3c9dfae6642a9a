//! What the door lets in, from configuration and bundle.

use crate::protocol::{Reason, Refusal, RunStart, affine_is_finite};
use mindeye_config::{DaemonConfig, MotionKind, Name};
use mindeye_decode::Bundle;
use mindeye_preprocess::Grid;
use mindeye_preprocess::motion::can_be_registered;
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
    /// Which grids a run may have.
    pub grid: GridRule,
    /// Largest volume in bytes.
    pub max_volume_bytes: usize,
    /// Largest jump of the volume index.
    pub max_gap: u32,
    /// A run silent for this long gives way to another.
    pub idle_run: Duration,
    /// An event may come this many seconds after its onset.
    pub event_max_late_s: f64,
}

/// Which grids a run may have.
#[derive(Debug, Clone, PartialEq)]
pub enum GridRule {
    /// That of the bundle's mask: volumes are gathered as they come.
    Masks {
        /// The mask's.
        grid: Grid,
        /// Largest distance in mm between the corners of both grids.
        tolerance_mm: f64,
    },
    /// Any on which a head can be found: each run is registered to the bundle's reference.
    Registered,
}

impl GridRule {
    /// The rule of a bundle, by its recipe.
    #[must_use]
    pub fn of(bundle: &Bundle, config: &DaemonConfig) -> Self {
        match bundle.recipe.motion.kind {
            MotionKind::None => {
                let grid = bundle.mask.grid().clone();
                Self::Masks { grid, tolerance_mm: config.volumes.grid_tolerance_mm }
            }
            MotionKind::Rigid => Self::Registered,
        }
    }

    fn check(&self, start: &RunStart) -> Result<(), Refusal> {
        let found = match self {
            Self::Masks { grid, tolerance_mm } => check_same(grid, *tolerance_mm, &start.grid()),
            Self::Registered => can_be_registered(&start.grid()).map_err(|error| error.to_string()),
        };
        found.map_err(|message| Refusal::new(Reason::Geometry, message))
    }
}

fn check_same(mask: &Grid, tolerance_mm: f64, run: &Grid) -> Result<(), String> {
    if run.dim != mask.dim {
        return Err(format!("the bundle's mask has {:?} voxels, the run {:?}", mask.dim, run.dim));
    }
    let apart_mm = mask.corner_distance_mm(run);
    if apart_mm <= tolerance_mm {
        return Ok(());
    }
    Err(format!("the run's grid lies {apart_mm:.2} mm from the bundle's mask, at most {tolerance_mm} mm is accepted"))
}

impl Limits {
    /// The limits that `config` sets for runs on grids of this rule.
    #[must_use]
    pub fn new(config: &DaemonConfig, grid: GridRule) -> Self {
        Self {
            session: config.session.as_ref().map(|session| session.session.clone()),
            grid,
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
        self.grid.check(start)?;
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
