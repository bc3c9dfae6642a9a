//! A stage turns one volume's worth of input into one output; the trait exists so that one conformance suite
//! (`conformance`) holds every stage to the same promises.

use crate::PreprocessError;

/// One step of the path from volume to beta. The pipeline itself is a struct with named fields ([`crate::RunPreprocessor`]).
pub trait Stage: Send {
    /// What it takes; the lifetime lets an input borrow the receiver's bytes.
    type In<'a>: ?Sized;
    /// What it gives; the caller owns it and hands it in again, so that a run allocates once.
    type Out;

    /// Takes one input and overwrites `out`.
    ///
    /// # Errors
    /// Whatever the stage refuses; its state is then as before the call.
    fn process_into(&mut self, input: &Self::In<'_>, out: &mut Self::Out) -> Result<(), PreprocessError>;

    /// Volumes by which an output lags the input it describes: 0 if each output is of the newest volume.
    fn delay_volumes(&self) -> u32;

    /// Forgets every input; what the stage was made with stays.
    fn reset(&mut self);
}
