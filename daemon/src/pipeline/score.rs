//! The scoring thread: a retrieval list for every estimate, on networks of its own, so that no picture ever delays one.

use super::{DecodeJob, Decoded, Job, Mailbox, StreamJob};
use crate::publish::{Part, ProductNotice, PublishEvent, StreamNotice};
use crossbeam_channel::Sender;
use mindeye_config::{Clock, Timings};
use mindeye_decode::{DecodeError, Decoder};
use std::sync::Arc;

/// What the loop is connected to.
pub struct ScoreContext {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Estimates.
    pub mailbox: Arc<Mailbox>,
    /// Publish thread.
    pub publish: Sender<PublishEvent>,
}

/// Works until the mailbox is closed.
pub fn score_loop(context: &ScoreContext, decoder: &mut Decoder) {
    // What fails here fails in the first trial too, which says so.
    let _ = decoder.rehearse();
    while let Some(job) = context.mailbox.pop() {
        match job {
            Job::Trial(job) => context.trial(decoder, job),
            Job::Stream(sample) => context.stream(decoder, sample),
        }
    }
}

impl ScoreContext {
    fn trial(&self, decoder: &mut Decoder, job: DecodeJob) {
        let is_past = job.end.is_some_and(|end| end <= self.clock.now());
        if !is_past && decoder.products().retrieval {
            self.score(decoder, &job);
        }
        self.send(PublishEvent::Decoded {
            run: job.run,
            trial: job.beta.trial,
            is_due: job.end.is_some(),
            part: Part::Scores,
        });
    }

    /// A sample of the baseline has no scores, and is published without.
    fn stream(&self, decoder: &mut Decoder, sample: StreamJob) {
        let mut timings = Timings::default();
        let pattern = sample.zscored.clone().filter(|_| decoder.products().retrieval);
        let retrieval = pattern.map(|pattern| decoder.retrieve(&pattern, &mut timings)).transpose();
        self.send(match retrieval {
            Ok(retrieval) => PublishEvent::Stream(StreamNotice { sample, retrieval, timings }),
            Err(error) => PublishEvent::Trouble(format!("volume {}, stream: {error}", sample.index)),
        });
    }

    fn score(&self, decoder: &mut Decoder, job: &DecodeJob) {
        let mut timings = Timings::default();
        self.send(match score(decoder, job, &mut timings) {
            Ok(decoded) => PublishEvent::Product(ProductNotice {
                run: job.run.clone(),
                beta: job.beta.clone(),
                decoded,
                timings,
                is_archive: false,
            }),
            Err(error) => {
                PublishEvent::DecodeFailed { run: job.run.clone(), trial: job.beta.trial, message: error.to_string() }
            }
        });
    }

    fn send(&self, event: PublishEvent) {
        // The publisher is gone only when the daemon stops.
        let _ = self.publish.send(event);
    }
}

/// The retrieval list of one estimate.
///
/// # Errors
/// What the decoder says.
pub fn score(decoder: &mut Decoder, job: &DecodeJob, timings: &mut Timings) -> Result<Decoded, DecodeError> {
    decoder.use_front_end(job.run.front_end.as_ref());
    decoder.retrieve(&job.beta.zscored, timings).map(Decoded::Retrieval)
}
