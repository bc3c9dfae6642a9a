//! The publisher's answers: from a clerk's decision to a message that is written, sent and counted.

use super::message::target;
use super::publisher::{Publisher, frame};
use super::{
    Answer, DueNotice, Feedback, FeedbackSeries, Identity, Part, ProductNotice, TargetScore, TrialMessage,
    feedback_json, trial_json,
};
use crate::journal::OutcomeContent;
use crate::pipeline::{Decoded, RunInfo, trial_noise};
use mindeye_config::{Moment, Step, sha256_of_bytes};
use mindeye_decode::effort::Effort;
use mindeye_preprocess::{Pattern, TrialBeta};
use std::sync::Arc;
use std::time::Duration;

impl Publisher {
    pub(super) fn beta(&mut self, run: &Arc<RunInfo>, beta: &TrialBeta) {
        let Some(open) = self.of_run(run) else { return };
        let values = little_endian(&beta.beta);
        match open.recorded_betas.get(&(beta.trial, beta.beta_revision)) {
            Some(recorded) if *recorded == values => {}
            Some(_) => {
                self.trouble(format!("trial {}: the beta after the restart differs from the recorded one", beta.trial))
            }
            None => self.write(run, beta_content(beta), values),
        }
    }

    pub(super) fn due(&mut self, notice: DueNotice) {
        let now = self.parts.clock.now();
        let run = notice.run.clone();
        let Some(open) = self.of_run(&run) else { return };
        let warning = open.conditions.due(notice.trial);
        let answer = open.clerk.due(notice, now);
        self.publish_some(&run, answer);
        self.warn(warning);
    }

    pub(super) fn product(&mut self, notice: &ProductNotice) {
        if notice.is_archive {
            return self.archive(notice);
        }
        let Some(open) = self.of_run(&notice.run) else { return };
        let is_late = open.clerk.is_final(notice.beta.trial);
        let answer = open.clerk.product(notice);
        if let (Decoded::Retrieval(retrieval), false) = (&notice.decoded, is_late) {
            self.feedback(&notice.run, |series| series.scored(&notice.beta, retrieval));
        }
        if is_late {
            self.write(&notice.run, late(notice), Vec::new());
        }
        self.publish_some(&notice.run, answer);
    }

    pub(super) fn goes_on(&mut self, run: &Arc<RunInfo>, trial: u32) {
        let answer = self.of_run(run).and_then(|open| open.clerk.goes_on(trial));
        self.publish_some(run, answer);
    }

    pub(super) fn decoded(&mut self, run: &Arc<RunInfo>, trial: u32, is_due: bool, part: Part) {
        if is_due {
            let answer = self.of_run(run).and_then(|open| open.clerk.decoded(trial, part));
            self.publish_some(run, answer);
        }
    }

    /// A picture made after its run: it goes to the record, and to nobody's screen.
    fn archive(&mut self, notice: &ProductNotice) {
        let Decoded::Reconstruction(made) = &notice.decoded else { return };
        let content = OutcomeContent::Archive {
            trial: notice.beta.trial,
            effort: made.effort,
            steps: made.steps,
            seed: made.seed,
            beta_revision: notice.beta.beta_revision,
        };
        self.write_to_record(&notice.run, content, made.picture.to_png());
    }

    pub(super) fn decode_failed(&mut self, run: &Arc<RunInfo>, trial: u32, message: String) {
        if let Some(open) = self.of_run(run) {
            open.clerk.failed(trial);
        }
        self.write(run, OutcomeContent::Failed { trial, message: message.clone() }, Vec::new());
        self.trouble(format!("trial {trial}: {message}"));
    }

    pub(super) fn never_due(&mut self, run: &Arc<RunInfo>, trial: u32) {
        let answer = self.of_run(run).and_then(|open| open.clerk.never_due(trial));
        self.publish_some(run, answer);
    }

    fn publish_some(&mut self, run: &Arc<RunInfo>, answer: Option<Answer>) {
        if let Some(answer) = answer {
            self.publish(run, &answer);
        }
    }

    pub(super) fn publish(&mut self, info: &Arc<RunInfo>, answer: &Answer) {
        let begun = self.parts.clock.now();
        let image = self.of_run(info).and_then(|open| open.images.get(&answer.trial).cloned());
        let registration_go = self.of_run(info).and_then(|open| Some(open.registration.as_ref()?.go));
        let png = answer.picture().map(|picture| picture.to_png()).unwrap_or_default();
        let now = self.parts.clock.now();
        let mut answer = answer.clone();
        let since_due = answer.due.as_ref().map(|due| self.since_due(due, now));
        answer.timings.add(Step::Publish, now.since(begun));
        self.add_journal_time(&mut answer);
        if let Some(since_due) = since_due {
            answer.timings.add(Step::Total, since_due);
        }
        let in_time = answer.due.as_ref().is_none_or(|due| now <= due.deadline);
        let gallery = self.parts.gallery.clone();
        let message = TrialMessage {
            identity: &self.parts.identity,
            run: info,
            answer: &answer,
            gallery: gallery.as_deref(),
            image: image.as_ref(),
            png_sha256: (!png.is_empty()).then(|| sha256_of_bytes(&png)),
            png: &png,
            noise_seed: self.noise_seed(info, &answer),
            since_due,
            registration_go,
            deadline_s: self.parts.deadline_s.unwrap_or(info.start.tr_s) / info.start.speed(),
            in_time,
        };
        let json = trial_json(&message);
        if answer.is_final {
            self.count(&answer, in_time, target(&message).as_ref());
        }
        self.write(info, OutcomeContent::Published(json.clone()), png.clone());
        self.write_result_line(&json);
        let starts_trial = self.shown_trial.replace((info.start.run.to_string(), answer.trial))
            != Some((info.start.run.to_string(), answer.trial));
        self.send(frame("trial", &json, png), starts_trial);
        if answer.is_final {
            self.feedback(info, |series| series.closed(answer.trial));
        }
    }

    /// A trial's number goes out as soon as it is there; that there will be none, with the final answer.
    fn feedback(&mut self, run: &Arc<RunInfo>, give: impl FnOnce(&mut FeedbackSeries) -> Option<Feedback>) {
        let given = self.of_run(run).and_then(|open| give(open.feedback.as_mut()?));
        let Some(given) = given else { return };
        self.write(run, OutcomeContent::Feedback(given), Vec::new());
        self.parts.latest.keep_feedback(given.value);
        self.send(frame("feedback", &feedback_json(run, &given), Vec::new()), false);
    }

    /// Writing and synchronising the due volume goes on beside everything else; an early answer may leave before it is done.
    fn add_journal_time(&self, answer: &mut Answer) {
        let took = answer.due.as_ref().and_then(|due| self.journal_times.get(&due.volume));
        if let Some(took) = took {
            answer.timings.add(Step::Journal, *took);
        }
    }

    /// Of a volume that an earlier process received only Unix time is left.
    fn since_due(&self, due: &DueNotice, now: Moment) -> Duration {
        if due.restored {
            return Duration::from_secs_f64((self.parts.clock.unix_s() - due.arrived_unix_s).max(0.0));
        }
        now.since(due.arrived)
    }

    /// That of the picture, or the one that a first candidate would have.
    fn noise_seed(&self, run: &RunInfo, answer: &Answer) -> u64 {
        let Identity { bundle_hash, seed, .. } = &self.parts.identity;
        let first = || trial_noise(bundle_hash, *seed, run, answer.trial).seed(0);
        answer.reconstruction.as_ref().map_or_else(first, |made| made.seed)
    }

    fn count(&mut self, answer: &Answer, in_time: bool, target: Option<&TargetScore>) {
        // A trial that never became due had no deadline to miss.
        let deadline_met = answer.due.is_none() || (in_time && answer.effort != Effort::Skipped);
        self.parts.vitals.trial_final(answer.effort.key(), deadline_met);
        let ours = [
            Step::Backbone,
            Step::Retrieval,
            Step::Prior,
            Step::LowLevel,
            Step::Unet,
            Step::Vae,
            Step::Publish,
            Step::Total,
        ];
        for step in ours {
            if let Some(took) = answer.timings.get(step) {
                self.parts.vitals.step(step, took);
            }
        }
        let shown = target.and_then(|target| self.parts.gallery.as_ref()?.find(&target.id));
        if let (Some(target), Some(shown), Some(retrieval)) = (target, shown, &answer.retrieval) {
            self.board.score.add(target, retrieval, shown);
        }
    }
}

fn late(notice: &ProductNotice) -> OutcomeContent {
    OutcomeContent::Late { trial: notice.beta.trial, product: notice.decoded.key().into() }
}

fn beta_content(beta: &TrialBeta) -> OutcomeContent {
    OutcomeContent::Beta {
        trial: beta.trial,
        beta_revision: beta.beta_revision,
        lag_s: beta.lag_s,
        first_volume: beta.first_volume,
        last_volume: beta.last_volume,
    }
}

fn little_endian(pattern: &Pattern) -> Vec<u8> {
    pattern.0.iter().flat_map(|value| value.to_le_bytes()).collect()
}
