//! Which volumes belong to a trial: a rule of acquisition times alone, so that a late event gets the beta of a timely one.
//!
//! A revision lag is due at the first volume whose acquisition ends at or after onset + lag. Its beta rests on the
//! volumes up to that one, wherever the run has got to when it is computed.

use crate::glm::GlmBeta;
use crate::window::Window;
use crate::{Event, MissedReason, Pattern, RecordedVolume, TrialBeta, TrialMissed, VolumeRing};
use mindeye_config::PreprocessConfig;

/// Two times that differ by less are equal, in seconds: far above rounding of run times, far below any TR.
pub(crate) const SAME_TIME_S: f64 = 1e-9;

/// A trial and how far its estimates have come.
pub(crate) struct Trial {
    pub(crate) event: Event,
    /// Row of the first revision lag that has not been estimated.
    next_lag: usize,
    /// Betas made so far: the next one's revision.
    betas: u32,
}

/// A revision lag.
#[derive(Clone, Copy)]
pub(crate) struct Lag {
    row: usize,
    /// Seconds after onset.
    seconds: f64,
}

impl Trial {
    pub(crate) fn new(event: Event) -> Self {
        Self { event, next_lag: 0, betas: 0 }
    }

    /// Starts the estimates anew; revisions go on counting.
    pub(crate) fn correct(&mut self, event: Event) {
        self.event = event;
        self.next_lag = 0;
    }

    /// The next lag that is due at run time `now_s`, once.
    pub(crate) fn take_due(&mut self, lags_s: &[f64], now_s: f64) -> Option<Lag> {
        let lag = Lag { row: self.next_lag, seconds: *lags_s.get(self.next_lag)? };
        if now_s < lag.due_s(&self.event) {
            return None;
        }
        self.next_lag += 1;
        Some(lag)
    }

    /// Gives a beta its revision.
    pub(crate) fn number(&mut self, beta: TrialBeta) -> TrialBeta {
        let beta = self.unnumbered(beta);
        self.betas += 1;
        beta
    }

    /// The beta as the next revision would be numbered, without counting it.
    pub(crate) fn unnumbered(&self, beta: TrialBeta) -> TrialBeta {
        TrialBeta { beta_revision: self.betas, ..beta }
    }
}

impl Lag {
    pub(crate) fn new(row: usize, lags_s: &[f64]) -> Self {
        Self { row, seconds: lags_s[row] }
    }

    /// The lag is due once an acquisition ends here or later, run seconds.
    pub(crate) fn due_s(self, event: &Event) -> f64 {
        event.onset_s + self.seconds - SAME_TIME_S
    }

    pub(crate) fn missed(self, event: &Event, reason: MissedReason) -> TrialMissed {
        TrialMissed { trial: event.trial, lag_row: self.row, lag_s: self.seconds, reason }
    }
}

/// When volumes are sampled, and what of them a recipe wants.
pub(crate) struct Timing<'a> {
    recipe: &'a PreprocessConfig,
    tr_s: f64,
}

impl<'a> Timing<'a> {
    pub(crate) fn new(recipe: &'a PreprocessConfig, tr_s: f64) -> Self {
        Self { recipe, tr_s }
    }

    /// The beta of `event` at `lag` from the volumes in `ring`, or why there is none; its revision is left at 0.
    pub(crate) fn estimate(&self, ring: &mut VolumeRing, event: &Event, lag: Lag) -> Result<TrialBeta, MissedReason> {
        if self.has_forgotten(ring, event, lag) {
            return Err(MissedReason::VolumesForgotten);
        }
        let volumes = self.up_to_due(ring, lag.due_s(event));
        let response = between(&volumes, |v| self.in_window(v, event));
        let baseline = between(&volumes, |v| self.in_baseline(v, event));
        let (Some(first), Some(last), Some(due)) = (response.first(), response.last(), volumes.last()) else {
            return Err(MissedReason::NoVolumeInWindow);
        };
        let window = Window {
            response: response.iter().map(|(_, v)| *v).collect(),
            baseline: baseline.iter().map(|(_, v)| *v).collect(),
            mean_so_far: &due.1.mean_so_far,
            unit: self.recipe.unit,
        };
        let estimate = window.estimate();
        Ok(TrialBeta {
            trial: event.trial,
            beta_revision: 0,
            lag_row: lag.row,
            lag_s: lag.seconds,
            onset_s: event.onset_s,
            seconds_after_onset: self.end_s(last.1) - event.onset_s,
            first_volume: first.0,
            last_volume: last.0,
            volumes_used: response.len() as u32,
            baseline_volumes: baseline.len() as u32,
            voxels_without_beta: estimate.voxels_without_beta,
            standard_error: estimate.standard_error,
            beta: estimate.beta,
            zscored: Pattern::default(),
        })
    }

    /// A GLM's beta as a trial's; its revision is left at 0.
    pub(crate) fn of_glm(
        &self,
        event: &Event,
        lag: Lag,
        beta: Result<GlmBeta, MissedReason>,
    ) -> Result<TrialBeta, MissedReason> {
        let GlmBeta { beta, standard_error, voxels_without_beta, first, last, volumes, other_volumes } = beta?;
        Ok(TrialBeta {
            trial: event.trial,
            beta_revision: 0,
            lag_row: lag.row,
            lag_s: lag.seconds,
            onset_s: event.onset_s,
            seconds_after_onset: last.acquisition.start_s + self.tr_s - event.onset_s,
            first_volume: first.index,
            last_volume: last.index,
            volumes_used: volumes,
            baseline_volumes: other_volumes,
            voxels_without_beta,
            standard_error,
            beta,
            zscored: Pattern::default(),
        })
    }

    /// The volumes that had come when the lag was due: all up to the first whose acquisition ends at `due_s` or later.
    fn up_to_due<'r>(&self, ring: &'r mut VolumeRing, due_s: f64) -> Vec<(u32, &'r RecordedVolume)> {
        let mut volumes = Vec::new();
        for (index, volume) in ring.volumes() {
            volumes.push((index, volume));
            if self.end_s(volume) >= due_s {
                break;
            }
        }
        volumes
    }

    /// The ring has dropped a volume that the beta rests on, or the one at which it was due.
    fn has_forgotten(&self, ring: &VolumeRing, event: &Event, lag: Lag) -> bool {
        let beta = &self.recipe.beta;
        let looks_back = beta.baseline_s > 0.0;
        let earliest_s = event.onset_s + if looks_back { -beta.baseline_s } else { beta.window_start_s };
        ring.forgotten_start_s().is_some_and(|start_s| {
            self.sampled_at(start_s) >= earliest_s - SAME_TIME_S || start_s + self.tr_s >= lag.due_s(event)
        })
    }

    fn in_window(&self, volume: &RecordedVolume, event: &Event) -> bool {
        let after_onset_s = self.sampled_at(volume.start_s) - event.onset_s;
        let beta = &self.recipe.beta;
        (beta.window_start_s - SAME_TIME_S..=beta.window_end_s + SAME_TIME_S).contains(&after_onset_s)
    }

    /// A volume sampled at the onset itself belongs to the response.
    fn in_baseline(&self, volume: &RecordedVolume, event: &Event) -> bool {
        let after_onset_s = self.sampled_at(volume.start_s) - event.onset_s;
        (-self.recipe.beta.baseline_s - SAME_TIME_S..-SAME_TIME_S).contains(&after_onset_s)
    }

    fn sampled_at(&self, start_s: f64) -> f64 {
        start_s + self.recipe.slice_reference * self.tr_s
    }

    fn end_s(&self, volume: &RecordedVolume) -> f64 {
        volume.start_s + self.tr_s
    }
}

fn between<'r>(
    volumes: &[(u32, &'r RecordedVolume)],
    belongs: impl Fn(&RecordedVolume) -> bool,
) -> Vec<(u32, &'r RecordedVolume)> {
    volumes.iter().copied().filter(|(_, volume)| belongs(volume)).collect()
}
