//! Feeds a record through the live steps and compares what comes out.

use super::archive::{Archived, draw_in_full};
use super::pace::Pace;
use super::record::Product;
use super::record::Record;
use super::{ReplayDecisions, ReplayOptions, ReplayReport, ReplaySpeed};
use crate::blind::StimulusImage;
use crate::journal::RecordedRun;
use crate::pipeline::{
    DecodeJob, Decoded, DueTrial, Patience, Reconstructed, RunInfo, RunWorker, VolumeWork, Work, paint_trial,
    recorded_work, score, trial_noise,
};
use crate::publish::{Answer, DueNotice, Identity, Skip, TrialMessage, trial_json};
use crate::settings::Prepared;
use mindeye_config::{Clock, DaemonConfig, Failure, Moment, Sha256, Timings, sha256_of_bytes};
use mindeye_decode::effort::Effort;
use mindeye_decode::{DecodeError, Decoder, Progress, TrialNoise};
use mindeye_preprocess::TrialBeta;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A run on its way through the same steps again.
pub(super) struct Replayer {
    pub(super) prepared: Prepared,
    clock: Arc<dyn Clock>,
    worker: RunWorker,
    run: Arc<RunInfo>,
    images: BTreeMap<u32, StimulusImage>,
    record: Record,
    decisions: ReplayDecisions,
    pub(super) archives: bool,
    to_deadline: Duration,
    patience: Patience,
    pub(super) betas: Vec<Arc<TrialBeta>>,
    pub(super) answers: Vec<Value>,
    pub(super) pictures: Vec<(u32, Vec<u8>)>,
    pub(super) archive: Vec<Archived>,
    pub(super) report: ReplayReport,
}

impl Replayer {
    pub(super) fn new(
        prepared: Prepared,
        config: &DaemonConfig,
        clock: Arc<dyn Clock>,
        recorded: &RecordedRun,
        record: Record,
        options: &ReplayOptions,
    ) -> Result<Self, Failure> {
        let run = Arc::new(RunInfo { start: recorded.start.clone(), dir: recorded.dir.clone(), front_end: None });
        let patience = Patience::new(&config.deadline);
        let recipe = crate::settings::recipe(&prepared.bundle, config)?;
        let worker = RunWorker::new(&recipe, run.clone()).map_err(Failure::data)?;
        Ok(Self {
            prepared,
            clock,
            worker,
            images: crate::blind::images(recorded),
            record,
            decisions: options.decisions,
            archives: options.archive,
            to_deadline: patience.to_deadline(run.start.tr_s, run.start.speed()),
            patience,
            run,
            betas: Vec::new(),
            answers: Vec::new(),
            pictures: Vec::new(),
            archive: Vec::new(),
            report: ReplayReport::default(),
        })
    }

    pub(super) fn feed(&mut self, recorded: &RecordedRun, speed: ReplaySpeed) -> Result<(), Failure> {
        let mut pace = Pace::new(self.clock.clone(), speed);
        for work in recorded_work(recorded) {
            match work {
                Work::Volume(volume) => {
                    pace.wait_for(volume.arrived);
                    self.volume(&volume)?;
                }
                Work::Event(event) => {
                    self.worker.set_event(&event).map_err(Failure::data)?;
                }
                Work::Close => self.close(),
                Work::Open { .. } => {}
            }
        }
        Ok(())
    }

    fn volume(&mut self, volume: &VolumeWork) -> Result<(), Failure> {
        let arrived = self.clock.now();
        let output = self.worker.volume(volume, self.clock.as_ref()).map_err(Failure::data)?;
        self.report.volumes += 1;
        for beta in output.betas {
            self.compare_beta(&beta);
            self.betas.push(beta);
        }
        for due in output.due {
            self.decode(volume, due, arrived, &output.timings)?;
        }
        Ok(())
    }

    /// Trials that the run ended before.
    fn close(&mut self) {
        for trial in self.worker.close() {
            self.conclude(never_due(trial));
        }
    }

    fn compare_beta(&mut self, beta: &TrialBeta) {
        self.report.betas += 1;
        let ours: Vec<u8> = beta.beta.0.iter().flat_map(|value| value.to_le_bytes()).collect();
        match self.record.betas.get(&(beta.trial, beta.beta_revision)) {
            Some(recorded) if *recorded == ours => self.report.betas_identical += 1,
            Some(_) => self.report.betas_different += 1,
            None => {}
        }
    }

    fn decode(
        &mut self,
        volume: &VolumeWork,
        due: DueTrial,
        arrived: Moment,
        timings: &Timings,
    ) -> Result<(), Failure> {
        let deadline = arrived + self.to_deadline;
        let last_call = self.patience.last_call(deadline, self.to_deadline);
        let mut answer = answer(&self.run, volume, &due, arrived, deadline, timings);
        if let Some(beta) = due.beta {
            let job = DecodeJob { run: self.run.clone(), beta, end: Some(last_call) };
            match self.products(&job) {
                Ok(products) => products.iter().for_each(|(decoded, timings)| take(&mut answer, decoded, timings)),
                Err(_) if self.decisions == ReplayDecisions::Live => answer.skip = Some(Skip::Engine),
                Err(failed) => return Err(failed),
            }
            self.archive(&job, answer.effort)?;
        }
        self.conclude(answer);
        Ok(())
    }

    /// Draws in full what the trial got less of, where the bundle can.
    fn archive(&mut self, job: &DecodeJob, live: Effort) -> Result<(), Failure> {
        let decoder = &mut self.prepared.decoders.painter;
        if !self.archives || live == Effort::Full || decoder.offers().best() != Effort::Full {
            return Ok(());
        }
        let identity = &self.prepared.identity;
        let noise = trial_noise(&identity.bundle_hash, identity.seed, &self.run, job.beta.trial);
        self.archive.push(draw_in_full(decoder, job, noise, live).map_err(Failure::data)?);
        self.report.archived += 1;
        Ok(())
    }

    fn products(&mut self, job: &DecodeJob) -> Result<Vec<(Decoded, Timings)>, Failure> {
        let identity = &self.prepared.identity;
        let noise = trial_noise(&identity.bundle_hash, identity.seed, &self.run, job.beta.trial);
        let decoder = &mut self.prepared.decoders.painter;
        let made = match self.decisions {
            ReplayDecisions::Live => decide_anew(decoder, job, noise, self.clock.as_ref()),
            ReplayDecisions::Recorded => {
                let products = self.record.products(job.beta.trial).into_iter();
                products.map(|product| make(decoder, product, job, &noise)).collect()
            }
        };
        made.map_err(Failure::data)
    }

    fn conclude(&mut self, answer: Answer) {
        let png = answer.picture().map(|picture| picture.to_png()).unwrap_or_default();
        let sha256 = (!png.is_empty()).then(|| sha256_of_bytes(&png));
        self.compare_picture(answer.trial, sha256.as_ref());
        let now = self.clock.now();
        let since_due = answer.due.as_ref().map(|due| now.since(due.arrived));
        let identity: &Identity = &self.prepared.identity;
        let noise = trial_noise(&identity.bundle_hash, identity.seed, &self.run, answer.trial);
        let first_seed = || noise.seed(0);
        let message = TrialMessage {
            identity,
            run: &self.run,
            answer: &answer,
            gallery: self.prepared.bundle.gallery.as_deref(),
            image: self.images.get(&answer.trial),
            png: &png,
            png_sha256: sha256,
            noise_seed: answer.reconstruction.as_ref().map_or_else(first_seed, |made| made.seed),
            since_due,
            registration_go: self.worker.registration().map(|registration| registration.go),
            deadline_s: self.to_deadline.as_secs_f64(),
            in_time: answer.due.as_ref().is_none_or(|due| now <= due.deadline),
        };
        self.answers.push(trial_json(&message));
        self.report.trials += 1;
        if !png.is_empty() {
            self.pictures.push((answer.trial, png));
        }
    }

    fn compare_picture(&mut self, trial: u32, ours: Option<&Sha256>) {
        let Some(ours) = ours else { return };
        self.report.pictures += 1;
        match self.record.picture_sha256(trial) {
            Some(recorded) if recorded == ours.0 => self.report.pictures_identical += 1,
            Some(_) => self.report.pictures_different += 1,
            None => {}
        }
    }
}

fn answer(
    run: &Arc<RunInfo>,
    volume: &VolumeWork,
    due: &DueTrial,
    arrived: Moment,
    deadline: Moment,
    timings: &Timings,
) -> Answer {
    Answer {
        trial: due.trial,
        revision: 0,
        is_final: true,
        effort: Effort::Skipped,
        skip: Some(if due.beta.is_some() { Skip::Late } else { Skip::NoVolumes }),
        due: Some(DueNotice {
            run: run.clone(),
            trial: due.trial,
            onset_s: due.onset_s,
            due_s: due.due_s,
            volume: volume.index,
            nominal: volume.nominal,
            arrived,
            arrived_unix_s: volume.arrived_unix_s,
            deadline,
            last_call: deadline,
            has_beta: due.beta.is_some(),
            restored: false,
            timings: timings.clone(),
        }),
        beta: due.beta.clone(),
        retrieval: None,
        blurry: None,
        reconstruction: None,
        timings: timings.clone(),
    }
}

fn never_due(trial: u32) -> Answer {
    Answer {
        trial,
        revision: 0,
        is_final: true,
        effort: Effort::Skipped,
        skip: Some(Skip::RunEnded),
        due: None,
        beta: None,
        retrieval: None,
        blurry: None,
        reconstruction: None,
        timings: Timings::default(),
    }
}

fn take(answer: &mut Answer, decoded: &Decoded, timings: &Timings) {
    answer.timings.merge(timings);
    answer.skip = None;
    match decoded {
        Decoded::Retrieval(retrieval) => {
            answer.effort = answer.effort.max(Effort::Retrieval);
            answer.retrieval = Some(Arc::new(retrieval.clone()));
        }
        Decoded::Blurry(picture) => {
            answer.effort = answer.effort.max(Effort::Blurry);
            answer.blurry = Some(Arc::new(picture.clone()));
        }
        Decoded::Reconstruction(made) => {
            answer.effort = made.effort;
            answer.reconstruction = Some(Arc::new(made.clone()));
        }
    }
}

/// What the live threads would make of it now. What fails is left out, as it is live, where lesser products stand; when
/// nothing is left, the engine is why.
fn decide_anew(
    decoder: &mut Decoder,
    job: &DecodeJob,
    noise: TrialNoise,
    clock: &dyn Clock,
) -> Result<Vec<(Decoded, Timings)>, DecodeError> {
    let mut made = Vec::new();
    let mut failure = None;
    if decoder.products().retrieval {
        let mut timings = Timings::default();
        match score(decoder, job, &mut timings) {
            Ok(scores) => made.push((scores, timings)),
            Err(error) => failure = Some(error),
        }
    }
    if let Err(error) = paint_trial(decoder, job, noise, clock, |product| made.extend(product)) {
        failure.get_or_insert(error);
    }
    match failure {
        Some(error) if made.is_empty() => Err(error),
        _ => Ok(made),
    }
}

/// A recorded product once more.
fn make(
    decoder: &mut Decoder,
    product: Product,
    job: &DecodeJob,
    noise: &TrialNoise,
) -> Result<(Decoded, Timings), DecodeError> {
    let (zscored, mut timings) = (&job.beta.zscored, Timings::default());
    let decoded = match product {
        Product::Retrieval => Decoded::Retrieval(decoder.retrieve(zscored, &mut timings)?),
        Product::Blurry => Decoded::Blurry(decoder.blurry(zscored, &mut timings)?),
        Product::Reconstruction(effort, seed) => {
            let (made, took) = reconstruct(decoder, job, effort, noise, seed)?;
            timings = took;
            Decoded::Reconstruction(made)
        }
    };
    Ok((decoded, timings))
}

/// The candidate whose noise has `seed`; without one of this seed, the last.
fn reconstruct(
    decoder: &mut Decoder,
    job: &DecodeJob,
    effort: Effort,
    noise: &TrialNoise,
    seed: u64,
) -> Result<(Reconstructed, Timings), DecodeError> {
    let mut reconstruction = decoder.begin(&job.beta.zscored, effort, noise.clone())?;
    let mut last = None;
    loop {
        match reconstruction.step(decoder)? {
            Progress::Working => {}
            Progress::Picture(candidate) => {
                let (steps, is_it) = (reconstruction.steps(), candidate.seed == seed);
                let made = Reconstructed { picture: candidate.picture, effort, steps, seed: candidate.seed };
                last = Some((made, reconstruction.timings().clone()));
                if is_it {
                    break;
                }
            }
            Progress::Finished => break,
        }
    }
    Ok(last.expect("a reconstruction that ends without an error has drawn a candidate"))
}
