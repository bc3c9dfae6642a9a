//! The promises of every [`Stage`], written once: run these over a new stage before anything else.
//!
//! Each function panics with a sentence when the promise is broken, so it serves as the body of a test. That a stage
//! may move to another thread needs no test: [`Stage`] asks for `Send`.

use crate::Stage;

/// The same inputs after `reset` give the same bytes, also into outputs that still hold something else.
///
/// # Panics
/// If they do not, or if the stage refuses an input.
pub fn same_bytes_after_reset<S: Stage>(
    stage: &mut S,
    inputs: &[&S::In<'_>],
    bytes_of: impl Fn(&S::Out) -> Vec<u8>,
    blank: impl Fn() -> S::Out,
) {
    let first = outputs(stage, inputs, &bytes_of, &mut blank());
    assert!(first.iter().any(|bytes| !bytes.is_empty()), "the inputs must bring the stage to some output");
    stage.reset();
    let mut dirty = blank();
    for input in inputs {
        stage.process_into(input, &mut dirty).expect("an input that was accepted once");
    }
    stage.reset();
    assert_eq!(outputs(stage, inputs, &bytes_of, &mut dirty), first, "same input after reset, other bytes");
}

/// A change of input `at` shows first in output `at + delay_volumes()`.
///
/// # Panics
/// If it shows earlier, later or never, or if the stage refuses an input.
pub fn promised_delay_is_observed<S: Stage>(
    stage: &mut S,
    quiet: &[&S::In<'_>],
    disturbed: &[&S::In<'_>],
    at: usize,
    bytes_of: impl Fn(&S::Out) -> Vec<u8>,
    blank: impl Fn() -> S::Out,
) {
    stage.reset();
    let without = outputs(stage, quiet, &bytes_of, &mut blank());
    stage.reset();
    let with = outputs(stage, disturbed, &bytes_of, &mut blank());
    let observed = without.iter().zip(&with).position(|(a, b)| a != b);
    let promised = at + stage.delay_volumes() as usize;
    assert_eq!(observed, Some(promised), "first output that differs, for a change of input {at}");
}

/// A refused input leaves no trace: what follows gives the bytes that it gives without it.
///
/// # Panics
/// If the stage accepts `refused`, or remembers it.
pub fn refusal_changes_nothing<S: Stage>(
    stage: &mut S,
    inputs: &[&S::In<'_>],
    refused: &S::In<'_>,
    bytes_of: impl Fn(&S::Out) -> Vec<u8>,
    blank: impl Fn() -> S::Out,
) {
    stage.reset();
    let expected = outputs(stage, inputs, &bytes_of, &mut blank());
    stage.reset();
    let mut out = blank();
    let mut found = Vec::new();
    for input in inputs {
        assert!(stage.process_into(refused, &mut blank()).is_err(), "the stage accepted what it should refuse");
        stage.process_into(input, &mut out).expect("an input that was accepted once");
        found.push(bytes_of(&out));
    }
    assert_eq!(found, expected, "a refused input changed what follows");
}

fn outputs<S: Stage>(
    stage: &mut S,
    inputs: &[&S::In<'_>],
    bytes_of: &impl Fn(&S::Out) -> Vec<u8>,
    out: &mut S::Out,
) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for input in inputs {
        stage.process_into(input, out).expect("a conformance input must be acceptable");
        all.push(bytes_of(out));
    }
    all
}
