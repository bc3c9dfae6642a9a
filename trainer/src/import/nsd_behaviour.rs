//! NSD's table of responses: which of the 73,000 pictures each trial showed.

use super::ImportError;
use mindeye_preprocess::bids::{Row, Table};
use std::path::Path;

/// One line of `responses.tsv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Response {
    /// From 1.
    pub(super) session: u32,
    /// From 1, within the session.
    pub(super) run: u32,
    /// From 1, within the run.
    pub(super) trial: u32,
    /// From 1, `73KID`.
    pub(super) picture: u32,
    /// From 1 among the subject's own 10,000, `10KID`: the first 1,000 are those that all subjects saw.
    pub(super) own: u32,
}

impl Response {
    /// One of the shared 1,000, on which the papers test.
    pub(super) fn shared(&self) -> bool {
        self.own <= 1000
    }
}

/// Trials of the table at `path`, in its order: the order of the betas.
pub(super) fn read_responses(path: &Path) -> Result<Vec<Response>, ImportError> {
    ImportError::require(path, "it tells which picture each trial showed")?;
    let table = Table::read(path)?;
    table.rows().map(|row| response(&row)).collect()
}

fn response(row: &Row<'_>) -> Result<Response, ImportError> {
    let whole = |column: &str| {
        let number = row.whole(column)?.filter(|number| *number > 0);
        number.ok_or_else(|| row.wrong(column, "must be a whole number from 1".into()))
    };
    Ok(Response {
        session: whole("SESSION")?,
        run: whole("RUN")?,
        trial: whole("TRIAL")?,
        picture: whole("73KID")?,
        own: whole("10KID")?,
    })
}
