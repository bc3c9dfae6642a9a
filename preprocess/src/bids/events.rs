//! BIDS events become trials: `onset`, `duration`, and a number; what was shown stays in the table.

use crate::Event;
use crate::bids::{BidsError, Row, Table};
use std::collections::BTreeMap;

/// A trial with the row it comes from: a caller that may know what was shown reads it there.
#[derive(Debug, Clone, Copy)]
pub struct EventRow<'a> {
    /// When.
    pub event: Event,
    /// The row.
    pub row: Row<'a>,
}

/// The trials of `table` by onset: rows whose `trial_type` is not rest, numbered by their `trial`, else by their
/// place among these rows (from 0, top to bottom).
///
/// # Errors
/// As [`event_of`], and [`BidsError::Cell`] if two rows have the same number.
pub fn event_rows(table: &Table) -> Result<Vec<EventRow<'_>>, BidsError> {
    let mut lines = BTreeMap::new();
    let mut rows = Vec::new();
    for (number, row) in table.rows().filter(|row| !is_rest(row)).enumerate() {
        let event = event_of(&row, number as u32)?;
        if let Some(first) = lines.insert(event.trial, row.line()) {
            return Err(row.wrong("trial", format!("has trial {}, and so has line {first}", event.trial)));
        }
        rows.push(EventRow { event, row });
    }
    rows.sort_by(|a, b| a.event.onset_s.total_cmp(&b.event.onset_s));
    Ok(rows)
}

/// The event of one row; `number` is its trial where the row does not say.
///
/// # Errors
/// [`BidsError::Cell`] if `onset` or `duration` is no time, a duration is negative, or `trial` is no whole number.
pub fn event_of(row: &Row<'_>, number: u32) -> Result<Event, BidsError> {
    let trial = row.whole("trial")?.unwrap_or(number);
    let event = Event { trial, onset_s: row.seconds("onset")?, duration_s: row.seconds("duration")? };
    if event.duration_s < 0.0 {
        return Err(row.wrong("duration", format!("must be 0 or more, found {}", event.duration_s)));
    }
    Ok(event)
}

fn is_rest(row: &Row<'_>) -> bool {
    row.cell("trial_type").is_some_and(|kind| kind.eq_ignore_ascii_case("rest"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn trials(text: &str) -> Result<Vec<(u32, f64, f64)>, BidsError> {
        let table = Table::from_text(text, Path::new("events.tsv"))?;
        let rows = event_rows(&table)?;
        Ok(rows.iter().map(|r| (r.event.trial, r.event.onset_s, r.event.duration_s)).collect())
    }

    #[test]
    fn rest_is_no_trial_and_rows_are_numbered_before_they_are_sorted() {
        let cases = [
            ("onset\tduration\ttrial_type\n0\t3\tRest\n9\t2\tface\n3\t2\thouse\n", vec![(1, 3.0, 2.0), (0, 9.0, 2.0)]),
            ("onset\tduration\ttrial\n0\t3\t7\n-4\t2\t0\n", vec![(0, -4.0, 2.0), (7, 0.0, 3.0)]),
            ("duration\tonset\n", vec![]),
        ];
        for (text, expected) in cases {
            assert_eq!(trials(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_bad_row_is_named_by_file_line_column_and_both_sides() {
        let cases = [
            ("onset\tduration\nsoon\t1\n", "events.tsv: line 2: column `onset` must be seconds, found `soon`"),
            ("onset\tduration\nnan\t1\n", "line 2: column `onset` must be seconds, found `nan`"),
            ("onset\n1\n", "line 2: column `duration` is missing or empty"),
            ("onset\tduration\n1\tn/a\n", "line 2: column `duration` is missing or empty"),
            ("onset\tduration\n1\t-2\n", "line 2: column `duration` must be 0 or more, found -2"),
            ("onset\tduration\ttrial\n1\t1\t-2\n", "line 2: column `trial` must be a whole number, found `-2`"),
            ("onset\tduration\ttrial\n1\t1\t4\n2\t1\t4\n", "line 3: column `trial` has trial 4, and so has line 2"),
        ];
        for (text, expected) in cases {
            let message = trials(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message} should say {expected}");
        }
    }
}
