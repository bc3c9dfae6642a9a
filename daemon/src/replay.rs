//! A recorded run once more: the same betas bit for bit, and, on the CPU engine, the same pictures.

use crate::journal::{OUTCOMES_FILE, Outcome, OutcomeContent, RecordedRun, read_outcomes, read_run};
use crate::pipeline::{
    DecodeJob, Decoded, DueTrial, Effort, Product, Recipe, RunInfo, RunWorker, Typical, VolumeWork, Work, decode_trial,
    make_product, recorded_work,
};
use crate::publish::{Answer, DueNotice, Identity, Skip, TrialMessage, noise_seed, trial_json};
use crate::settings::Prepared;
use mindeye_config::{Clock, DaemonConfig, Failure, Moment, Sha256, Timings, sha256_of_bytes};
use mindeye_preprocess::TrialBeta;
use ndarray::Array2;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// When each volume is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReplaySpeed {
    /// As it arrived.
    Recorded,
    /// As fast as possible.
    Max,
}

/// What each trial gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReplayDecisions {
    /// What it got then.
    Recorded,
    /// What there is time for now.
    Live,
}

/// A replay to be made.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// Folder of the run, or its input journal.
    pub journal: PathBuf,
    /// When each volume is fed.
    pub speed: ReplaySpeed,
    /// What each trial gets.
    pub decisions: ReplayDecisions,
    /// New folder for betas, answers and pictures.
    pub out: PathBuf,
}

/// What was replayed, and how it compares with the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    /// Volumes fed.
    pub volumes: usize,
    /// Betas estimated.
    pub betas: usize,
    /// Betas that are in the record with the same bytes.
    pub betas_identical: usize,
    /// Betas that are in the record with other bytes.
    pub betas_different: usize,
    /// Final answers.
    pub trials: usize,
    /// Pictures made.
    pub pictures: usize,
    /// Pictures that are in the record with the same bytes.
    pub pictures_identical: usize,
    /// Pictures that are in the record with other bytes.
    pub pictures_different: usize,
}

/// Replays a run and writes `betas.npy`, `betas.tsv`, `trials.jsonl`, `pictures/` and `replay.json` into a new folder.
///
/// # Errors
/// Status 64 for a journal that does not exist or an `out` that does, 65 for one that cannot be read or a volume that cannot be
/// preprocessed, 1 when nothing can be written.
pub fn replay(
    options: &ReplayOptions,
    prepared: Prepared,
    config: &DaemonConfig,
    clock: Arc<dyn Clock>,
) -> Result<ReplayReport, Failure> {
    if options.out.exists() {
        return Err(Failure::usage(format!("{} exists; a replay is written into a new folder", options.out.display())));
    }
    let recorded = read_recorded(&options.journal)?;
    let record = Record::read(&recorded.dir)?;
    let mut replayer = Replayer::new(prepared, config, clock, &recorded, record, options.decisions)?;
    replayer.feed(&recorded, options.speed)?;
    replayer.write(&options.out).map_err(|error| Failure::other(format!("{}: {error}", options.out.display())))?;
    Ok(replayer.report)
}

fn read_recorded(journal: &Path) -> Result<RecordedRun, Failure> {
    let dir = if journal.is_file() { journal.parent().unwrap_or(journal) } else { journal };
    if !dir.join(crate::journal::INPUT_FILE).is_file() {
        let wanted = crate::journal::INPUT_FILE;
        return Err(Failure::usage(format!("{} holds no {wanted}; name the folder of one run", dir.display())));
    }
    read_run(dir).map_err(Failure::data)
}

/// What the outcomes journal says.
#[derive(Default)]
struct Record {
    betas: BTreeMap<(u32, u32), Vec<u8>>,
    finals: BTreeMap<u32, Value>,
}

impl Record {
    fn read(dir: &Path) -> Result<Self, Failure> {
        let mut record = Self::default();
        for Outcome { content, body } in read_outcomes(&dir.join(OUTCOMES_FILE)).map_err(Failure::data)? {
            match content {
                OutcomeContent::Beta { trial, beta_revision, .. } => {
                    record.betas.insert((trial, beta_revision), body);
                }
                OutcomeContent::Published(json) if json["final"] == true => {
                    let trial = json["trial"].as_u64().and_then(|trial| u32::try_from(trial).ok());
                    trial.map(|trial| record.finals.insert(trial, json));
                }
                _ => {}
            }
        }
        Ok(record)
    }

    /// The products that a trial's final answer had.
    fn products(&self, trial: u32) -> Vec<Product> {
        let names = self.finals.get(&trial).and_then(|json| json["products"].as_array());
        let named = |name: &Value| match name.as_str() {
            Some("retrieval") => Some(Product::Retrieval),
            Some("blurry") => Some(Product::Blurry),
            _ => None,
        };
        names.map(|names| names.iter().filter_map(named).collect()).unwrap_or_default()
    }

    fn picture_sha256(&self, trial: u32) -> Option<&str> {
        self.finals.get(&trial)?["picture_sha256"].as_str()
    }
}

struct Replayer {
    prepared: Prepared,
    clock: Arc<dyn Clock>,
    worker: RunWorker,
    run: Arc<RunInfo>,
    images: BTreeMap<u32, crate::blind::StimulusImage>,
    record: Record,
    decisions: ReplayDecisions,
    deadline: Duration,
    guard: Duration,
    typical: Typical,
    betas: Vec<Arc<TrialBeta>>,
    answers: Vec<Value>,
    pictures: Vec<(u32, Vec<u8>)>,
    report: ReplayReport,
}

impl Replayer {
    fn new(
        prepared: Prepared,
        config: &DaemonConfig,
        clock: Arc<dyn Clock>,
        recorded: &RecordedRun,
        record: Record,
        decisions: ReplayDecisions,
    ) -> Result<Self, Failure> {
        let run = Arc::new(RunInfo { start: recorded.start.clone(), dir: recorded.dir.clone() });
        let recipe: Recipe = crate::settings::recipe(&prepared.bundle, config);
        let worker = RunWorker::new(&recipe, run.clone()).map_err(Failure::data)?;
        Ok(Self {
            typical: Typical::from_warm_up(&prepared.report),
            prepared,
            clock,
            worker,
            images: crate::blind::images(recorded),
            record,
            decisions,
            deadline: Duration::from_secs_f64(config.deadline_s(run.start.tr_s) / run.start.speed()),
            guard: Duration::from_secs_f64(config.deadline.guard_ms / 1e3),
            run,
            betas: Vec::new(),
            answers: Vec::new(),
            pictures: Vec::new(),
            report: ReplayReport::default(),
        })
    }

    fn feed(&mut self, recorded: &RecordedRun, speed: ReplaySpeed) -> Result<(), Failure> {
        let mut pace = Pace { clock: self.clock.clone(), speed, begun: None };
        for work in recorded_work(recorded) {
            match work {
                Work::Volume(volume) => {
                    pace.wait_for(volume.arrived);
                    self.volume(&volume)?;
                }
                Work::Event(event) => {
                    self.worker.set_event(&event).map_err(Failure::data)?;
                }
                Work::Open { .. } | Work::Close => {}
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
        let deadline = arrived + self.deadline;
        let mut answer = answer(&self.run, volume, &due, arrived, deadline, timings);
        if let Some(beta) = due.beta {
            let job = DecodeJob { run: self.run.clone(), beta, deadline: Some(deadline) };
            for (decoded, timings) in self.products(&job, deadline)? {
                take(&mut answer, decoded, &timings);
            }
        }
        self.conclude(answer, deadline);
        Ok(())
    }

    fn products(&mut self, job: &DecodeJob, deadline: Moment) -> Result<Vec<(Decoded, Timings)>, Failure> {
        let mut made = Vec::new();
        let decoder = &mut self.prepared.decoder;
        match self.decisions {
            ReplayDecisions::Live => {
                let end = Some(deadline - self.guard);
                let emit = |decoded, timings| made.push((decoded, timings));
                decode_trial(decoder, job, end, &mut self.typical, self.clock.as_ref(), emit).map_err(Failure::data)?;
            }
            ReplayDecisions::Recorded => {
                for product in self.record.products(job.beta.trial) {
                    let mut timings = Timings::default();
                    made.push((make_product(decoder, product, job, &mut timings).map_err(Failure::data)?, timings));
                }
            }
        }
        Ok(made)
    }

    fn conclude(&mut self, answer: Answer, deadline: Moment) {
        let png = answer.picture.as_ref().map(|picture| picture.to_png()).unwrap_or_default();
        let sha256 = (!png.is_empty()).then(|| sha256_of_bytes(&png));
        self.compare_picture(answer.trial, sha256.as_ref());
        let now = self.clock.now();
        let since_due = answer.due.as_ref().map(|due| now.since(due.arrived));
        let identity: &Identity = &self.prepared.identity;
        let start = &self.run.start;
        let message = TrialMessage {
            identity,
            run: &self.run,
            answer: &answer,
            gallery: self.prepared.bundle.gallery.as_deref(),
            image: self.images.get(&answer.trial),
            png: &png,
            png_sha256: sha256,
            noise_seed: noise_seed(&identity.bundle_hash, identity.seed, &start.session, &start.run, answer.trial, 0),
            since_due,
            deadline_s: self.deadline.as_secs_f64(),
            in_time: now <= deadline,
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

    /// Everything goes into a folder beside `out`, which is renamed once it is whole.
    fn write(&self, out: &Path) -> std::io::Result<()> {
        let partial = out.with_extension("partial");
        std::fs::create_dir_all(partial.join("pictures"))?;
        std::fs::write(partial.join("betas.tsv"), self.betas_table())?;
        self.write_betas(&partial.join("betas.npy"))?;
        let lines: Vec<String> = self.answers.iter().map(Value::to_string).collect();
        std::fs::write(partial.join("trials.jsonl"), lines.join("\n") + "\n")?;
        for (trial, png) in &self.pictures {
            std::fs::write(partial.join(format!("pictures/trial-{trial:04}.png")), png)?;
        }
        std::fs::write(partial.join("replay.json"), serde_json::to_string_pretty(&self.report)?)?;
        std::fs::rename(&partial, out)
    }

    fn betas_table(&self) -> String {
        let mut table = String::from("trial\tbeta_revision\tlag_s\tonset_s\tfirst_volume\tlast_volume\tvolumes_used\n");
        for beta in &self.betas {
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "{}\t{}\t{}\t{}\t{}\t{}\t{}",
                beta.trial,
                beta.beta_revision,
                beta.lag_s,
                beta.onset_s,
                beta.first_volume,
                beta.last_volume,
                beta.volumes_used
            );
        }
        table
    }

    /// f32 [betas, voxels], mask order, the recipe's unit.
    fn write_betas(&self, path: &Path) -> std::io::Result<()> {
        let voxels = self.prepared.bundle.mask.len();
        let values: Vec<f32> = self.betas.iter().flat_map(|beta| beta.beta.0.iter().copied()).collect();
        let betas = Array2::from_shape_vec((self.betas.len(), voxels), values).map_err(std::io::Error::other)?;
        ndarray_npy::write_npy(path, &betas).map_err(std::io::Error::other)
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
            has_beta: due.beta.is_some(),
            restored: false,
            timings: timings.clone(),
        }),
        beta: due.beta.clone(),
        retrieval: None,
        picture: None,
        timings: timings.clone(),
    }
}

fn take(answer: &mut Answer, decoded: Decoded, timings: &Timings) {
    answer.timings.merge(timings);
    answer.skip = None;
    match decoded {
        Decoded::Retrieval(retrieval) => {
            answer.effort = answer.effort.max(Effort::Retrieval);
            answer.retrieval = Some(Arc::new(retrieval));
        }
        Decoded::Blurry(picture) => {
            answer.effort = Effort::Blurry;
            answer.picture = Some(Arc::new(picture));
        }
    }
}

/// Waits as long between volumes as it took then.
struct Pace {
    clock: Arc<dyn Clock>,
    speed: ReplaySpeed,
    begun: Option<(Moment, Moment)>,
}

impl Pace {
    fn wait_for(&mut self, arrived: Moment) {
        if self.speed == ReplaySpeed::Max {
            return;
        }
        let now = self.clock.now();
        let (first_arrived, begun) = *self.begun.get_or_insert((arrived, now));
        // A restart in between starts the recorded clock anew; its volumes are then fed at once.
        std::thread::sleep((begun + arrived.since(first_arrived)).since(now));
    }
}
