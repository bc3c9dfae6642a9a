//! Who publishes what and when: revisions as products arrive, and exactly one final answer by the deadline.

use crate::pipeline::{Decoded, Reconstructed};
use crate::publish::{DueNotice, ProductNotice};
use mindeye_config::{Moment, Timings};
use mindeye_decode::effort::Effort;
use mindeye_decode::{Picture, Retrieval};
use mindeye_preprocess::TrialBeta;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a final answer has no product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// The deadline passed while the daemon was down.
    Restart,
    /// No volume lies in the trial's window.
    NoVolumes,
    /// Nothing was ready in time.
    Late,
    /// The run ended before the trial was due.
    RunEnded,
    /// The engine failed.
    Engine,
}

impl Skip {
    /// The word in messages.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::NoVolumes => "no_volumes",
            Self::Late => "late",
            Self::RunEnded => "run_ended",
            Self::Engine => "engine",
        }
    }
}

/// One publication of a trial.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Trial.
    pub trial: u32,
    /// Publications of this trial before this one.
    pub revision: u32,
    /// Nothing follows.
    pub is_final: bool,
    /// How far it got.
    pub effort: Effort,
    /// Why it is empty.
    pub skip: Option<Skip>,
    /// When and by which volume it became due; `None` before that, or when it never will.
    pub due: Option<DueNotice>,
    /// What was decoded.
    pub beta: Option<Arc<TrialBeta>>,
    /// Scores of the gallery.
    pub retrieval: Option<Arc<Retrieval>>,
    /// The blurry picture.
    pub blurry: Option<Arc<Picture>>,
    /// The picture drawn by diffusion.
    pub reconstruction: Option<Arc<Reconstructed>>,
    /// Steps that led here.
    pub timings: Timings,
}

impl Answer {
    /// The best picture there is.
    #[must_use]
    pub fn picture(&self) -> Option<&Picture> {
        let reconstruction = self.reconstruction.as_ref().map(|reconstruction| &reconstruction.picture);
        reconstruction.or(self.blurry.as_deref())
    }

    /// Names of what is in it.
    #[must_use]
    pub fn products(&self) -> Vec<&'static str> {
        let there = [
            ("retrieval", self.retrieval.is_some()),
            ("blurry", self.blurry.is_some()),
            ("reconstruction", self.reconstruction.is_some()),
        ];
        there.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name).collect()
    }
}

/// Which of the two threads that decode has given a trial all that it could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Retrieval list and scores.
    Scores,
    /// Pictures.
    Pictures,
}

/// The trials of one run.
#[derive(Debug, Default)]
pub struct Clerk {
    trials: BTreeMap<u32, Trial>,
}

#[derive(Debug, Default)]
struct Trial {
    due: Option<DueNotice>,
    beta: Option<Arc<TrialBeta>>,
    retrieval: Option<(Arc<Retrieval>, Timings)>,
    blurry: Option<(Arc<Picture>, Timings)>,
    reconstruction: Option<(Arc<Reconstructed>, Timings)>,
    /// Something came that is not published yet.
    has_news: bool,
    has_failed: bool,
    scores_done: bool,
    pictures_done: bool,
    revision: u32,
    is_final: bool,
}

impl Clerk {
    /// A run without trials.
    #[must_use]
    pub fn new() -> Self {
        Self { trials: BTreeMap::new() }
    }

    /// Takes note that an earlier process published `revisions` answers of `trial`, the last of them final or not.
    pub fn remember(&mut self, trial: u32, revisions: u32, is_final: bool) {
        let trial = self.trials.entry(trial).or_default();
        trial.revision = revisions;
        trial.is_final = is_final;
    }

    /// Whether the last answer of `trial` is out.
    #[must_use]
    pub fn is_final(&self, trial: u32) -> bool {
        self.trials.get(&trial).is_some_and(|trial| trial.is_final)
    }

    /// A trial is due: it is final at once where nothing can be decoded in time.
    pub fn due(&mut self, due: DueNotice, now: Moment) -> Option<Answer> {
        let skip = if due.deadline <= now {
            Some(if due.restored { Skip::Restart } else { Skip::Late })
        } else if due.has_beta {
            None
        } else {
            Some(Skip::NoVolumes)
        };
        let number = due.trial;
        let trial = self.trials.entry(number).or_default();
        trial.due = Some(due);
        skip.and_then(|skip| self.finish(number, skip))
    }

    /// A product is there; `None` when the trial is final already, or the product is of an estimate older than the one
    /// shown, or waits for what follows.
    pub fn product(&mut self, product: &ProductNotice) -> Option<Answer> {
        let number = product.beta.trial;
        let trial = self.trials.entry(number).or_default();
        if trial.is_final || trial.is_outdated(&product.beta) {
            return None;
        }
        trial.take(product);
        // A retrieval list goes out at once; a picture goes out with the answer that follows it.
        matches!(product.decoded, Decoded::Retrieval(_)).then(|| trial.answer(number, None))
    }

    /// A better picture of the trial is on its way: what there is goes out before it.
    pub fn goes_on(&mut self, number: u32) -> Option<Answer> {
        let trial = self.trials.get_mut(&number).filter(|trial| !trial.is_final && trial.has_news)?;
        Some(trial.answer(number, None))
    }

    /// One side has given all that it could for a due trial; the second makes it final.
    pub fn decoded(&mut self, number: u32, part: Part) -> Option<Answer> {
        let trial = self.trials.get_mut(&number)?;
        match part {
            Part::Scores => trial.scores_done = true,
            Part::Pictures => trial.pictures_done = true,
        }
        let is_done = trial.scores_done && trial.pictures_done;
        is_done.then(|| self.finish(number, Skip::Late)).flatten()
    }

    /// A product failed. It may be that lesser ones are tried: if nothing comes, the engine is why.
    pub fn failed(&mut self, trial: u32) {
        self.trials.entry(trial).or_default().has_failed = true;
    }

    /// The run ended before the trial was due.
    pub fn never_due(&mut self, trial: u32) -> Option<Answer> {
        self.trials.entry(trial).or_default();
        self.finish(trial, Skip::RunEnded)
    }

    /// Final answers that cannot wait any longer.
    pub fn at(&mut self, now: Moment) -> Vec<Answer> {
        let expired = |trial: &Trial| trial.last_call().is_some_and(|last_call| last_call <= now);
        let numbers: Vec<u32> =
            self.trials.iter().filter(|(_, trial)| expired(trial)).map(|(number, _)| *number).collect();
        numbers.into_iter().filter_map(|number| self.finish(number, Skip::Late)).collect()
    }

    /// When `at` should be asked again.
    #[must_use]
    pub fn next_call(&self) -> Option<Moment> {
        self.trials.values().filter_map(Trial::last_call).min()
    }

    /// The final answer, unless it was given; `skip` says why when there is no product.
    fn finish(&mut self, number: u32, skip: Skip) -> Option<Answer> {
        let trial = self.trials.get_mut(&number).filter(|trial| !trial.is_final)?;
        trial.is_final = true;
        let reason = if skip == Skip::Late && trial.has_failed { Skip::Engine } else { skip };
        let skip = (trial.effort() == Effort::Skipped).then_some(reason);
        let answer = trial.answer(number, skip);
        trial.let_go();
        Some(answer)
    }
}

impl Trial {
    fn is_outdated(&self, beta: &TrialBeta) -> bool {
        self.beta.as_ref().is_some_and(|shown| shown.beta_revision > beta.beta_revision)
    }

    /// An estimate newer than the one decoded before replaces all its products.
    fn take(&mut self, product: &ProductNotice) {
        let same = self.beta.as_ref().is_some_and(|beta| beta.beta_revision == product.beta.beta_revision);
        if !same {
            self.beta = Some(product.beta.clone());
            (self.retrieval, self.blurry, self.reconstruction) = (None, None, None);
        }
        let timings = product.timings.clone();
        match &product.decoded {
            Decoded::Retrieval(retrieval) => self.retrieval = Some((Arc::new(retrieval.clone()), timings)),
            Decoded::Blurry(picture) => self.blurry = Some((Arc::new(picture.clone()), timings)),
            Decoded::Reconstruction(picture) => self.reconstruction = Some((Arc::new(picture.clone()), timings)),
        }
        self.has_news = true;
    }

    /// Nothing follows a final answer: only that it was given is kept.
    fn let_go(&mut self) {
        *self = Self { revision: self.revision, is_final: true, ..Self::default() };
    }

    fn effort(&self) -> Effort {
        match (&self.reconstruction, &self.blurry, &self.retrieval) {
            (Some((reconstruction, _)), ..) => reconstruction.effort,
            (None, Some(_), _) => Effort::Blurry,
            (None, None, Some(_)) => Effort::Retrieval,
            (None, None, None) => Effort::Skipped,
        }
    }

    /// Steps of the due volume and of every product that is in the answer.
    fn timings(&self) -> Timings {
        let mut timings = self.due.as_ref().map(|due| due.timings.clone()).unwrap_or_default();
        let products = [
            self.retrieval.as_ref().map(|(_, timings)| timings),
            self.blurry.as_ref().map(|(_, timings)| timings),
            self.reconstruction.as_ref().map(|(_, timings)| timings),
        ];
        products.into_iter().flatten().for_each(|of_product| timings.merge(of_product));
        timings
    }

    fn last_call(&self) -> Option<Moment> {
        self.due.as_ref().filter(|_| !self.is_final).map(|due| due.last_call)
    }

    fn answer(&mut self, number: u32, skip: Option<Skip>) -> Answer {
        let revision = self.revision;
        self.revision += 1;
        self.has_news = false;
        Answer {
            trial: number,
            revision,
            is_final: self.is_final,
            effort: self.effort(),
            skip,
            due: self.due.clone(),
            beta: self.beta.clone(),
            retrieval: self.retrieval.as_ref().map(|(retrieval, _)| retrieval.clone()),
            blurry: self.blurry.as_ref().map(|(picture, _)| picture.clone()),
            reconstruction: self.reconstruction.as_ref().map(|(picture, _)| picture.clone()),
            timings: self.timings(),
        }
    }
}

#[cfg(test)]
#[path = "clerk_tests.rs"]
mod tests;
