//! How far a long job has come, for whoever draws the bar.

/// One piece of a job that begins now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'a> {
    /// Pieces done so far.
    pub done: usize,
    /// Pieces in all.
    pub of: usize,
    /// What begins.
    pub what: &'a str,
}

/// Called at the beginning of each piece.
pub type Progress<'p> = dyn FnMut(Step<'_>) + 'p;
