//! One trial's picture on its way: what the policy decides is carried out here, one network run at a time.

use super::{DecodeJob, Decoded, Reconstructed};
use mindeye_config::{Moment, Timings};
use mindeye_decode::effort::{Action, Effort, Job, Running, State, Work};
use mindeye_decode::{Candidate, DecodeError, Decoder, Progress, Reconstruction, TrialNoise};

/// What an action brought.
pub type Made = Option<(Decoded, Timings)>;

/// A trial that gets pictures.
pub struct Easel {
    /// The estimate.
    pub job: DecodeJob,
    /// What the policy knows of it.
    pub state: Job,
    noise: TrialNoise,
    reconstruction: Option<Reconstruction>,
    /// The best effort drawn so far.
    pub best: Effort,
}

impl Easel {
    /// A due trial: pictures until `job.end`. Its retrieval list is another's work.
    #[must_use]
    pub fn new(job: DecodeJob, noise: TrialNoise) -> Self {
        let state = Job { end: job.end, retrieval: State::Done, ..Job::default() };
        Self { job, state, noise, reconstruction: None, best: Effort::Retrieval }
    }

    /// The same trial after its run: the full reconstruction, however long it takes, for the record alone.
    #[must_use]
    pub fn for_archive(job: DecodeJob, noise: TrialNoise) -> Self {
        let job = DecodeJob { end: None, ..job };
        let state = Job {
            end: Some(Moment(u64::MAX)),
            retrieval: State::Done,
            blurry: State::Done,
            fast: State::Failed,
            ..Job::default()
        };
        Self { job, state, noise, reconstruction: None, best: Effort::Blurry }
    }

    /// Whether the run is over and the picture for the record.
    #[must_use]
    pub fn is_archive(&self) -> bool {
        self.job.end.is_none()
    }

    /// Carries out what the policy decided, except [`Action::Finish`], which is the caller's.
    ///
    /// # Errors
    /// What the decoder says; the effort counts as failed, and the next lesser one may be tried.
    pub fn act(&mut self, action: Action, decoder: &mut Decoder) -> Result<Made, DecodeError> {
        decoder.use_front_end(self.job.run.front_end.as_ref());
        match action {
            Action::Blurry => self.draw_blurry(decoder),
            Action::Begin(effort) => self.begin(effort, decoder).map(|()| None),
            Action::Step => self.step(decoder),
            Action::Cut => {
                self.give_up();
                Ok(None)
            }
            Action::Retrieve | Action::Finish => Ok(None),
        }
    }

    fn draw_blurry(&mut self, decoder: &mut Decoder) -> Result<Made, DecodeError> {
        let mut timings = Timings::default();
        self.state.blurry = State::Failed;
        let picture = decoder.blurry(&self.job.beta.zscored, &mut timings)?;
        self.state.blurry = State::Done;
        self.best = self.best.max(Effort::Blurry);
        Ok(Some((Decoded::Blurry(picture), timings)))
    }

    fn begin(&mut self, effort: Effort, decoder: &Decoder) -> Result<(), DecodeError> {
        self.give_up();
        *self.rung(effort) = State::Failed;
        let reconstruction = decoder.begin(&self.job.beta.zscored, effort, self.noise.clone())?;
        *self.rung(effort) = State::Open;
        self.state.running = Some(Running { effort, remaining: reconstruction.remaining() });
        self.reconstruction = Some(reconstruction);
        Ok(())
    }

    fn step(&mut self, decoder: &mut Decoder) -> Result<Made, DecodeError> {
        let Some(reconstruction) = self.reconstruction.as_mut() else { return Ok(None) };
        let progress = reconstruction.step(decoder);
        let (effort, remaining) = (reconstruction.effort(), reconstruction.remaining());
        let (steps, timings) = (reconstruction.steps(), reconstruction.timings().clone());
        let progress = progress.inspect_err(|_| self.give_up())?;
        self.state.running = (remaining != Work::default()).then_some(Running { effort, remaining });
        match progress {
            Progress::Picture(candidate) => Ok(self.drawn(candidate, effort, steps, timings)),
            Progress::Working | Progress::Finished => Ok(None),
        }
    }

    fn drawn(&mut self, candidate: Candidate, effort: Effort, steps: usize, timings: Timings) -> Made {
        *self.rung(effort) = State::Done;
        self.best = self.best.max(effort);
        if self.state.running.is_none() {
            self.reconstruction = None;
        }
        let Candidate { picture, seed, is_best, .. } = candidate;
        is_best.then_some((Decoded::Reconstruction(Reconstructed { picture, effort, steps, seed }), timings))
    }

    /// Ends what is running; an effort without a picture is not begun again.
    fn give_up(&mut self) {
        self.reconstruction = None;
        if let Some(running) = self.state.running.take() {
            let rung = self.rung(running.effort);
            if *rung == State::Open {
                *rung = State::Failed;
            }
        }
    }

    fn rung(&mut self, effort: Effort) -> &mut State {
        match effort {
            Effort::Full => &mut self.state.full,
            _ => &mut self.state.fast,
        }
    }
}
