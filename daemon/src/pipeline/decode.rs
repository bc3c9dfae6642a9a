//! The decode thread: earliest deadline first, one product after the other while there is time.

use super::effort::{Product, Typical, next_product};
use super::mailbox::{DecodeJob, Mailbox};
use crate::publish::{ProductNotice, PublishEvent};
use crossbeam_channel::Sender;
use mindeye_config::{Clock, Timings};
use mindeye_decode::{DecodeError, Decoder, Picture, Retrieval};
use std::sync::Arc;
use std::time::Duration;

/// What the loop is connected to.
pub struct DecodeContext {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Jobs.
    pub mailbox: Arc<Mailbox>,
    /// Publish thread.
    pub publish: Sender<PublishEvent>,
}

/// A finished part of an answer.
#[derive(Debug, Clone)]
pub enum Decoded {
    /// Scores of the whole gallery.
    Retrieval(Retrieval),
    /// The blurry picture.
    Blurry(Picture),
}

impl Decoded {
    /// Which product it is.
    #[must_use]
    pub fn product(&self) -> Product {
        match self {
            Self::Retrieval(_) => Product::Retrieval,
            Self::Blurry(_) => Product::Blurry,
        }
    }
}

/// Works until the mailbox is closed.
pub fn decode_loop(context: &DecodeContext, decoder: &mut Decoder, mut typical: Typical) {
    while let Some(job) = context.mailbox.pop() {
        let emit = |decoded, timings| context.send_product(&job, decoded, timings);
        let outcome = decode_trial(decoder, &job, &mut typical, context.clock.as_ref(), emit);
        context.send(match outcome {
            Ok(()) => PublishEvent::Decoded { run: job.run, trial: job.beta.trial, is_due: job.end.is_some() },
            Err(error) => {
                PublishEvent::DecodeFailed { run: job.run, trial: job.beta.trial, message: error.to_string() }
            }
        });
    }
}

impl DecodeContext {
    fn send(&self, event: PublishEvent) {
        // The publisher is gone only when the daemon stops.
        let _ = self.publish.send(event);
    }

    fn send_product(&self, job: &DecodeJob, decoded: Decoded, timings: Timings) {
        let (run, beta) = (job.run.clone(), job.beta.clone());
        self.send(PublishEvent::Product(ProductNotice { run, beta, decoded, timings }));
    }
}

/// Makes the products of one job, cheapest first, as long as they usually fit before its end. A job without an end was
/// made before its trial is due and gets a retrieval list only.
///
/// # Errors
/// What the decoder says; products made before are already emitted.
pub fn decode_trial(
    decoder: &mut Decoder,
    job: &DecodeJob,
    typical: &mut Typical,
    clock: &dyn Clock,
    mut emit: impl FnMut(Decoded, Timings),
) -> Result<(), DecodeError> {
    let available = available(decoder, job.end.is_some());
    let mut done = Vec::new();
    loop {
        let begun = clock.now();
        let slack = job.end.map_or(Duration::MAX, |end| end.since(begun));
        let Some(product) = next_product(&available, &done, slack, typical) else { return Ok(()) };
        let mut timings = Timings::default();
        let decoded = make_product(decoder, product, job, &mut timings)?;
        typical.learn(product, clock.now().since(begun));
        emit(decoded, timings);
        done.push(product);
    }
}

fn available(decoder: &Decoder, is_due: bool) -> Vec<Product> {
    let products = decoder.products();
    let retrieval = products.retrieval.then_some(Product::Retrieval);
    let blurry = (products.blurry && is_due).then_some(Product::Blurry);
    retrieval.into_iter().chain(blurry).collect()
}

/// Makes one product of one job.
///
/// # Errors
/// What the decoder says.
pub fn make_product(
    decoder: &mut Decoder,
    product: Product,
    job: &DecodeJob,
    timings: &mut Timings,
) -> Result<Decoded, DecodeError> {
    match product {
        Product::Retrieval => decoder.retrieve(&job.beta.zscored, timings).map(Decoded::Retrieval),
        Product::Blurry => decoder.blurry(&job.beta.zscored, timings).map(Decoded::Blurry),
    }
}
