//! What can be wrong with a table of events or a sidecar: file, line, column and both sides.

use crate::bids::TrSource;
use std::path::PathBuf;

/// An error of the files beside a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BidsError {
    /// A file could not be read as UTF-8 text.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of a table is not what its header or the reader asks for.
    #[error("{}: line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line, from 1 for the header.
        line: usize,
        /// The disagreement, both sides.
        problem: String,
    },
    /// A cell of a table is missing or of the wrong kind.
    #[error("{}: line {line}: column `{column}` {problem}", path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// Line, from 1 for the header.
        line: usize,
        /// Column.
        column: String,
        /// The disagreement, both sides.
        problem: String,
    },
    /// The sidecar is not JSON, or its `RepetitionTime` is no number.
    #[error("{}: {problem}", path.display())]
    Sidecar {
        /// The file.
        path: PathBuf,
        /// The disagreement, both sides.
        problem: String,
    },
    /// Header and sidecar state different repetition times, and nothing decides between them.
    #[error(
        "{}: the header gives a TR of {header_s} s, the sidecar {} gives {sidecar_s} s; \
         set tr_s to the one that is true",
        path.display(), sidecar.display()
    )]
    TrDisagrees {
        /// The bold file.
        path: PathBuf,
        /// Its sidecar.
        sidecar: PathBuf,
        /// What the header says, seconds.
        header_s: f64,
        /// What the sidecar says, seconds.
        sidecar_s: f64,
    },
    /// Nothing states the repetition time.
    #[error(
        "{}: the header gives {header}, and there is no sidecar {} with a RepetitionTime; set tr_s",
        path.display(), sidecar.display()
    )]
    NoTr {
        /// The bold file.
        path: PathBuf,
        /// Where the sidecar would be.
        sidecar: PathBuf,
        /// What the header says, in words.
        header: String,
    },
    /// A repetition time that no scanner has.
    #[error(
        "{}: a TR of {tr_s} s by the {source_of_tr}; {} to {} s are possible: is it in another unit?",
        path.display(), crate::bids::repetition::SHORTEST_S, crate::bids::repetition::LONGEST_S
    )]
    ImpossibleTr {
        /// The bold file.
        path: PathBuf,
        /// The number, seconds.
        tr_s: f64,
        /// Who says so.
        source_of_tr: TrSource,
    },
}
