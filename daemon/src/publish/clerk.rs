//! Who publishes what and when: revisions as products arrive, and exactly one final answer by the deadline.

use crate::pipeline::{Decoded, Effort};
use crate::publish::{DueNotice, ProductNotice};
use mindeye_config::{Moment, Timings};
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
    /// The picture.
    pub picture: Option<Arc<Picture>>,
    /// Steps that led here.
    pub timings: Timings,
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
    retrieval: Option<Arc<Retrieval>>,
    picture: Option<Arc<Picture>>,
    timings: Timings,
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

    /// A product is there; `None` when the trial is final already.
    pub fn product(&mut self, product: &ProductNotice) -> Option<Answer> {
        let number = product.beta.trial;
        let trial = self.trials.entry(number).or_default();
        if trial.is_final {
            return None;
        }
        trial.take(product);
        // A retrieval list goes out at once; the picture goes out with the final answer that follows it.
        matches!(product.decoded, Decoded::Retrieval(_)).then(|| trial.answer(number, None))
    }

    /// A job has given all that it could; that of a due trial makes it final.
    pub fn decoded(&mut self, trial: u32, is_due: bool) -> Option<Answer> {
        if is_due { self.finish(trial, Skip::Late) } else { None }
    }

    /// A job failed: a due trial is final with what there is.
    pub fn failed(&mut self, trial: u32) -> Option<Answer> {
        let is_due = self.trials.get(&trial).is_some_and(|trial| trial.due.is_some());
        if is_due { self.finish(trial, Skip::Engine) } else { None }
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
        let skip = (trial.effort() == Effort::Skipped).then_some(skip);
        let answer = trial.answer(number, skip);
        trial.let_go();
        Some(answer)
    }
}

impl Trial {
    /// An estimate newer than the one decoded before replaces all its products.
    fn take(&mut self, product: &ProductNotice) {
        let same = self.beta.as_ref().is_some_and(|beta| beta.beta_revision == product.beta.beta_revision);
        if !same {
            self.beta = Some(product.beta.clone());
            self.retrieval = None;
            self.picture = None;
            self.timings = Timings::default();
        }
        match &product.decoded {
            Decoded::Retrieval(retrieval) => self.retrieval = Some(Arc::new(retrieval.clone())),
            Decoded::Blurry(picture) => self.picture = Some(Arc::new(picture.clone())),
        }
        self.timings.merge(&product.timings);
    }

    /// Nothing follows a final answer: only that it was given is kept.
    fn let_go(&mut self) {
        *self = Self { revision: self.revision, is_final: true, ..Self::default() };
    }

    fn effort(&self) -> Effort {
        match (&self.picture, &self.retrieval) {
            (Some(_), _) => Effort::Blurry,
            (None, Some(_)) => Effort::Retrieval,
            (None, None) => Effort::Skipped,
        }
    }

    fn last_call(&self) -> Option<Moment> {
        self.due.as_ref().filter(|_| !self.is_final).map(|due| due.last_call)
    }

    fn answer(&mut self, number: u32, skip: Option<Skip>) -> Answer {
        let revision = self.revision;
        self.revision += 1;
        let mut timings = self.due.as_ref().map(|due| due.timings.clone()).unwrap_or_default();
        timings.merge(&self.timings);
        Answer {
            trial: number,
            revision,
            is_final: self.is_final,
            effort: self.effort(),
            skip,
            due: self.due.clone(),
            beta: self.beta.clone(),
            retrieval: self.retrieval.clone(),
            picture: self.picture.clone(),
            timings,
        }
    }
}

#[cfg(test)]
#[path = "clerk_tests.rs"]
mod tests;
