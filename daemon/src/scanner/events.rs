//! The trials of a recorded run, with what each showed: the only place outside the wire where the two meet.

use crate::blind::StimulusImage;
use crate::protocol::EventFields;
use mindeye_config::Name;
use mindeye_preprocess::bids::{BidsError, EventRow, Row, Table, event_rows};
use std::path::Path;

/// Reads a BIDS `events.tsv` by onset: `onset`, `duration`; `trial`, else the row's number over rows whose `trial_type`
/// is not rest; `image`, else the stem of `stim_file`, else `trial_type`; `condition`, a number from 0, where it is declared.
///
/// # Errors
/// [`BidsError`] naming file, line, column and both sides; an `image` must be a name (1 to 64 letters, digits, `-`, `_`).
pub fn read_events(path: &Path) -> Result<Vec<EventFields>, BidsError> {
    let table = Table::read(path)?;
    event_rows(&table)?.iter().map(fields).collect()
}

fn fields(row: &EventRow<'_>) -> Result<EventFields, BidsError> {
    let EventRow { event, row } = row;
    let (image, condition) = (image(row)?, condition(row)?);
    Ok(EventFields { onset_s: event.onset_s, duration_s: event.duration_s, trial: event.trial, image, condition })
}

fn condition(row: &Row<'_>) -> Result<Option<u16>, BidsError> {
    let wrong = |told: &str| row.wrong("condition", format!("must be a number from 0, found `{told}`"));
    row.cell("condition").map(|told| told.parse().map_err(|_| wrong(told))).transpose()
}

fn image(row: &Row<'_>) -> Result<Option<StimulusImage>, BidsError> {
    let stem = |file: &'_ str| Path::new(file).file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
    let columns = [
        ("image", row.cell("image").map(str::to_owned)),
        ("stim_file", row.cell("stim_file").and_then(stem)),
        ("trial_type", row.cell("trial_type").map(str::to_owned)),
    ];
    let Some((column, Some(named))) = columns.into_iter().find(|(_, named)| named.is_some()) else { return Ok(None) };
    let name = Name::new(&named).map_err(|error| row.wrong(column, format!("names no picture: {error}")))?;
    Ok(Some(StimulusImage(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<EventFields>, BidsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.tsv");
        std::fs::write(&path, text).unwrap();
        read_events(&path)
    }

    #[test]
    fn what_was_shown_is_the_image_then_the_stimulus_file_then_the_trial_type() {
        let text = "onset\tduration\ttrial_type\tstim_file\timage\n\
                    0\t3\trest\tn/a\tn/a\n3\t2\tface\tpics/a-1.png\tshown\n5\t2\tface\tpics/a-1.png\tn/a\n\
                    9.5\t2\thouse\tn/a\tn/a\n12\t2\tn/a\tn/a\tn/a\n";
        let events = read(text).unwrap();
        let seen = events.iter().map(|e| (e.trial, e.onset_s, e.image.as_ref().map(|image| image.0.as_str())));
        let expected = [(0, 3.0, Some("shown")), (1, 5.0, Some("a-1")), (2, 9.5, Some("house")), (3, 12.0, None)];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_bad_row_is_named_by_file_line_and_both_sides() {
        for (text, expected) in [
            ("onset\tduration\nsoon\t1\n", "line 2: column `onset` must be seconds, found `soon`"),
            ("onset\tduration\timage\n1\t1\ta/b\n", "line 2: column `image` names no picture"),
            ("onset\tduration\tcondition\n1\t1\tface\n", "column `condition` must be a number from 0, found `face`"),
            ("onset\tduration\n1\t1\t2\n", "line 2: 3 cells, the header has 2 columns"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
