//! What the pages show between results: state, counters, the newest answer.

use super::{Frame, Identity, RunningScore};
use crate::pipeline::RunInfo;
use crate::protocol::RESULT_PROTOCOL;
use crate::vitals::Vitals;
use mindeye_config::Moment;
use mindeye_decode::effort::Effort;
use mindeye_preprocess::motion::RegistrationReport;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// State of the daemon, as the contract names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum DaemonState {
    /// Networks are loading.
    #[default]
    Starting,
    /// Warm, no run open.
    Ready,
    /// A run is open.
    Running,
    /// An interrupted run is being fed again.
    CatchingUp,
    /// A run is open and something went wrong; `trouble` says what.
    Degraded,
    /// The operator has stopped it.
    Stopped,
}

/// Everything a status message says that counters do not.
#[derive(Debug, Clone, Default)]
pub struct StatusBoard {
    /// State.
    pub state: DaemonState,
    /// The open or last run.
    pub run: Option<Arc<RunInfo>>,
    /// The run's times are index x TR.
    pub nominal: Option<bool>,
    /// Index of the next volume.
    pub next_index: u32,
    /// What went wrong last.
    pub trouble: Option<String>,
    /// What bends results without being wrong: the last trials lean to one condition.
    pub warning: Option<String>,
    /// How the run lies to the bundle's reference; `None` before its first volume, or without motion correction.
    pub registration: Option<RegistrationReport>,
    /// Score of the session so far.
    pub score: RunningScore,
    /// Pages shall show nothing.
    pub blanked: bool,
}

impl StatusBoard {
    /// Topic `status`.
    #[must_use]
    pub fn json(&self, identity: &Identity, vitals: &Vitals, stale_after_s: f64, now: Moment) -> Value {
        let start = self.run.as_ref().map(|run| &run.start);
        json!({
            "protocol": RESULT_PROTOCOL, "type": "status", "state": self.state,
            "session": start.map(|start| &start.session), "run": start.map(|start| &start.run),
            "next_index": self.next_index, "queue_depth": vitals.queue_depth(),
            "engine": identity.engine, "engine_details": identity.engine_details, "bundle": identity.bundle,
            "bundle_note": identity.bundle_note, "bundle_origin": identity.bundle_origin,
            "estimator_mismatch": identity.estimator_mismatch, "calibration": identity.calibration,
            "front_end": self.run.as_ref().and_then(|run| run.front_end.as_ref()).map(|front_end| &front_end.label),
            "tr_s": start.map(|start| start.tr_s), "speed": start.map(|start| start.speed()),
            "clock": self.nominal.map(|nominal| if nominal { "nominal" } else { "acquisition" }),
            "registration": self.registration, "stale_after_s": stale_after_s, "trouble": self.trouble, "warning": self.warning,
            "blanked": self.blanked,
            "volumes_accepted": vitals.volumes_accepted(), "volumes_refused": vitals.volumes_refused(),
            "volume_gaps": vitals.volume_gaps(), "deadlines_missed": vitals.deadlines_missed(),
            "last_volume_age_s": vitals.last_volume_age(now).map(|age| age.as_secs_f64()),
            "trials": trials(vitals), "score": self.score,
        })
    }
}

fn trials(vitals: &Vitals) -> Value {
    Effort::ALL
        .into_iter()
        .map(|effort| (effort.key().to_owned(), vitals.trials(effort.key()).into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The newest frames, for pages that connect later and for `/api/v1/latest`.
#[derive(Debug, Default)]
pub struct Latest {
    slots: Mutex<Slots>,
}

#[derive(Debug, Default, Clone)]
struct Slots {
    status: Option<Frame>,
    trial: Vec<Frame>,
    feedback: Option<f64>,
}

impl Latest {
    /// Keeps `frame` where it is the newest of its kind; of the newest trial every revision is kept.
    pub fn keep(&self, frame: &Frame, starts_trial: bool) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        match frame.topic {
            "status" => slots.status = Some(frame.clone()),
            "trial" => {
                if starts_trial {
                    slots.trial.clear();
                }
                slots.trial.push(frame.clone());
            }
            _ => {}
        }
    }

    /// Keeps the newest trial's number; `None` where it is missing.
    pub fn keep_feedback(&self, value: Option<f64>) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).feedback = value;
    }

    /// The newest trial's number.
    #[must_use]
    pub fn feedback(&self) -> Option<f64> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).feedback
    }

    /// Status, then the revisions of the newest trial.
    #[must_use]
    pub fn frames(&self) -> Vec<Frame> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner).clone();
        slots.status.into_iter().chain(slots.trial).collect()
    }

    /// The newest answer of the newest trial.
    #[must_use]
    pub fn trial(&self) -> Option<Frame> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).trial.last().cloned()
    }
}
