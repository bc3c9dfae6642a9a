//! The JSON of result messages, field by field as the contract has it.

use super::{Answer, Feedback, StreamNotice, TargetScore, VolumeNotice};
use crate::blind::StimulusImage;
use crate::pipeline::RunInfo;
use crate::protocol::RESULT_PROTOCOL;
use mindeye_config::Sha256;
use mindeye_decode::confidence::{Calibration, Verdict};
use mindeye_decode::effort::Effort;
use mindeye_decode::{Gallery, Retrieval};
use serde_json::{Value, json};
use std::time::Duration;

/// Who answers: the same for every message of a daemon.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Bundle label.
    pub bundle: String,
    /// Digest of the bundle's manifest.
    pub bundle_hash: Sha256,
    /// What the bundle says about itself.
    pub bundle_note: String,
    /// `checkpoint` or `random-init`.
    pub bundle_origin: &'static str,
    /// Engine, as named on the command line.
    pub engine: String,
    /// The engine's library version and threads.
    pub engine_details: String,
    /// Seed of all noise.
    pub seed: u64,
    /// Entries of the retrieval list.
    pub top_k: usize,
    /// How the betas here differ from those of the training, where that was allowed.
    pub estimator_mismatch: Option<String>,
    /// How scores become confidence, where the bundle says.
    pub calibration: Option<Calibration>,
}

/// An answer with everything that its message needs.
pub struct TrialMessage<'a> {
    /// Who answers.
    pub identity: &'a Identity,
    /// The run.
    pub run: &'a RunInfo,
    /// The answer.
    pub answer: &'a Answer,
    /// The gallery searched.
    pub gallery: Option<&'a Gallery>,
    /// What the participant saw, if told.
    pub image: Option<&'a StimulusImage>,
    /// PNG of the picture, empty without one.
    pub png: &'a [u8],
    /// Digest of the PNG.
    pub png_sha256: Option<Sha256>,
    /// Seed of this trial's noise.
    pub noise_seed: u64,
    /// From the due volume's last byte to now; `None` before a trial is due.
    pub since_due: Option<Duration>,
    /// From due to deadline on this machine's clock, seconds.
    pub deadline_s: f64,
    /// Whether the run's registration to the bundle's reference is a go; `None` where there is none.
    pub registration_go: Option<bool>,
    /// The answer leaves before the deadline (of a trial that is due), or before the trial is due.
    pub in_time: bool,
}

/// Topic `trial`.
#[must_use]
pub fn trial_json(message: &TrialMessage<'_>) -> Value {
    let (answer, run, identity) = (message.answer, message.run, message.identity);
    let (target, verdict) = (target(message), verdict(message));
    json!({
        "protocol": RESULT_PROTOCOL, "type": "trial",
        "session": run.start.session, "run": run.start.run,
        "trial": answer.trial, "revision": answer.revision, "final": answer.is_final,
        "beta_revision": answer.beta.as_ref().map(|beta| beta.beta_revision),
        "products": answer.products(), "effort": answer.effort, "steps": answer.reconstruction.as_ref().map_or(0, |made| made.steps),
        "reason": answer.skip.map(super::Skip::key),
        "evidence": evidence(answer),
        "deadline_met": message.in_time && answer.effort != Effort::Skipped,
        "deadline_s": message.deadline_s,
        "due_s": answer.due.as_ref().map(|due| due.due_s),
        "onset_to_publish_s": onset_to_publish_s(message),
        "clock": answer.due.as_ref().map(|due| if due.nominal { "nominal" } else { "acquisition" }),
        "timings_ms": answer.timings,
        "retrieval": retrieval_list(message),
        "pool_size": message.gallery.map(|gallery| gallery.ids.len()),
        "pool_contains_stimulus": pool_contains_stimulus(message),
        "chance": message.gallery.map(|gallery| 1.0 / gallery.ids.len() as f64),
        "confidence": verdict.map(|verdict| verdict.confidence),
        "answer": verdict.map(|verdict| verdict.answer),
        "target_scores": target,
        "image": message.image,
        "bundle": run.bundle(&identity.bundle), "engine": identity.engine, "seed": message.noise_seed,
        "estimator_mismatch": identity.estimator_mismatch,
        "registration_go": message.registration_go,
        "picture_bytes": message.png.len(), "picture_sha256": message.png_sha256,
    })
}

/// Topic `volume`. Motion is null where the recipe takes the head to lie still.
#[must_use]
pub fn volume_json(notice: &VolumeNotice) -> Value {
    let quality = &notice.quality;
    json!({
        "protocol": RESULT_PROTOCOL, "type": "volume",
        "session": notice.run.start.session, "run": notice.run.start.run, "index": notice.index,
        "motion": quality.motion.map(|motion| motion.0), "motion_converged": quality.converged,
        "framewise_displacement": quality.framewise_displacement_mm, "fd_jenkinson": quality.fd_jenkinson_mm,
        "dvars": quality.dvars, "tsnr": quality.tsnr_median, "spike": quality.spike, "spikes": quality.spikes,
        "motion_residual_percent": quality.residual_percent, "voxels_out_of_field": quality.out_of_field,
        "timings_ms": notice.timings, "gap_before": notice.gap_before,
        "clock": if notice.nominal { "nominal" } else { "acquisition" },
    })
}

/// Topic `stream`: a volume's residual, z-scored and scored against the gallery.
#[must_use]
pub fn stream_json(
    notice: &StreamNotice,
    identity: &Identity,
    gallery: Option<&Gallery>,
    lag_s: f64,
    registration_go: Option<bool>,
) -> Value {
    let StreamNotice { sample, retrieval, timings } = notice;
    let list = gallery.zip(retrieval.as_ref()).map(|(gallery, scores)| ranked(gallery, scores, identity.top_k));
    json!({
        "protocol": RESULT_PROTOCOL, "type": "stream",
        "session": sample.run.start.session, "run": sample.run.start.run, "index": sample.index,
        "sampled_s": sample.sampled_s, "shown_s": sample.shown_s, "lag_s": lag_s,
        "reason": if sample.zscored.is_none() { Some("baseline") } else { None },
        "retrieval": list.unwrap_or_else(|| json!([])),
        "pool_size": gallery.map(|gallery| gallery.ids.len()),
        "chance": gallery.map(|gallery| 1.0 / gallery.ids.len() as f64),
        "voxels_without_sd": sample.without_sd,
        "timings_ms": timings, "clock": if sample.nominal { "nominal" } else { "acquisition" },
        "bundle": identity.bundle, "engine": identity.engine,
        "estimator_mismatch": identity.estimator_mismatch, "registration_go": registration_go,
    })
}

/// Topic `feedback`: a trial's number, or why it has none.
#[must_use]
pub fn feedback_json(run: &RunInfo, feedback: &Feedback) -> Value {
    json!({
        "protocol": RESULT_PROTOCOL, "type": "feedback",
        "session": run.start.session, "run": run.start.run, "trial": feedback.trial,
        "value": feedback.value, "raw": feedback.raw, "missing": feedback.missing,
    })
}

/// The true picture's place in the list, where stimulus and gallery are known.
#[must_use]
pub(super) fn target(message: &TrialMessage<'_>) -> Option<TargetScore> {
    let gallery = message.gallery?;
    let retrieval = message.answer.retrieval.as_deref()?;
    let at = gallery.find(message.image?.0.as_str())?;
    Some(TargetScore {
        id: gallery.ids[at].clone(),
        score: retrieval.scores[at],
        rank: retrieval.rank_of(at),
        pool_size: gallery.ids.len(),
    })
}

/// What the bundle's calibration says of the list; `None` without either, and where another front end than the bundle's
/// made the scores.
fn verdict(message: &TrialMessage<'_>) -> Option<Verdict> {
    if message.run.front_end.is_some() {
        return None;
    }
    let calibration = message.identity.calibration.as_ref()?;
    message.answer.retrieval.as_deref().map(|retrieval| calibration.judge(retrieval))
}

fn evidence(answer: &Answer) -> Value {
    answer.beta.as_ref().map_or(Value::Null, |beta| {
        json!({
            "seconds_after_onset": beta.seconds_after_onset,
            "volumes_used": beta.volumes_used,
            "beta_se": beta.standard_error,
        })
    })
}

/// Onset to the end of the due volume's acquisition on the scanner's clock, and from its last byte to now on ours.
/// The time between both, the scanner's own reconstruction, is not known here and not included.
fn onset_to_publish_s(message: &TrialMessage<'_>) -> Option<f64> {
    let due = message.answer.due.as_ref()?;
    let since_due_s = message.since_due?.as_secs_f64();
    Some((due.due_s - due.onset_s) / message.run.start.speed() + since_due_s)
}

fn retrieval_list(message: &TrialMessage<'_>) -> Value {
    let (Some(gallery), Some(retrieval)) = (message.gallery, message.answer.retrieval.as_deref()) else {
        return json!([]);
    };
    ranked(gallery, retrieval, message.identity.top_k)
}

fn ranked(gallery: &Gallery, retrieval: &Retrieval, top_k: usize) -> Value {
    let best = retrieval.ranked(top_k).into_iter().enumerate();
    best.map(|(i, (at, score))| json!({"id": gallery.ids[at], "score": score, "rank": i + 1})).collect()
}

fn pool_contains_stimulus(message: &TrialMessage<'_>) -> Value {
    match (message.gallery, message.image) {
        (Some(gallery), Some(image)) => gallery.find(image.0.as_str()).is_some().into(),
        _ => "unknown".into(),
    }
}
