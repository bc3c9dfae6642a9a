//! The log: one line per epoch, the same bytes for the same training (times stand in the last column alone).

use crate::TrainError;
use std::path::Path;

/// One epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochRow {
    /// Epoch, from 1.
    pub epoch: u32,
    /// Steps done after it.
    pub step: u64,
    /// The numbers of the epoch, one for each of [`Log::names`].
    pub values: Vec<f64>,
    /// How long it took, seconds.
    pub seconds: f64,
}

/// All epochs so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Log {
    /// What `values` are.
    pub names: Vec<String>,
    /// The epochs.
    pub rows: Vec<EpochRow>,
}

impl Log {
    /// As CSV.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text = format!("epoch,step,{},seconds\n", self.names.join(","));
        for row in &self.rows {
            let values: String = row.values.iter().map(|value| format!(",{value}")).collect();
            text.push_str(&format!("{},{}{values},{:.3}\n", row.epoch, row.step, row.seconds));
        }
        text
    }

    /// Reads what [`Log::csv`] wrote; `path` is only for messages.
    ///
    /// # Errors
    /// [`TrainError::Malformed`] naming the line.
    pub fn parse(text: &str, path: &Path) -> Result<Self, TrainError> {
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let ["epoch", "step", names @ .., "seconds"] = &header[..] else {
            return Err(TrainError::malformed(path, "the first line must be epoch,step,...,seconds"));
        };
        let rows = lines.enumerate().map(|(i, line)| {
            row(line, names.len())
                .ok_or_else(|| TrainError::malformed(path, format!("line {}: `{line}` is no epoch", i + 2)))
        });
        Ok(Self { names: names.iter().map(ToString::to_string).collect(), rows: rows.collect::<Result<_, _>>()? })
    }

    /// The values called `name`, one per epoch.
    #[must_use]
    pub fn column(&self, name: &str) -> Vec<f64> {
        let Some(at) = self.names.iter().position(|n| n == name) else { return Vec::new() };
        self.rows.iter().map(|row| row.values[at]).collect()
    }
}

fn row(line: &str, values: usize) -> Option<EpochRow> {
    let cells: Vec<&str> = line.split(',').collect();
    let [epoch, step, middle @ .., seconds] = &cells[..] else { return None };
    let middle: Option<Vec<f64>> = middle.iter().map(|cell| cell.parse().ok()).collect();
    Some(EpochRow {
        epoch: epoch.parse().ok()?,
        step: step.parse().ok()?,
        values: middle.filter(|middle| middle.len() == values)?,
        seconds: seconds.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_comes_back_exactly_and_a_broken_line_is_named() {
        let rows = vec![EpochRow { epoch: 1, step: 3, values: vec![0.1 + 0.2, f64::NAN.max(1e-300)], seconds: 1.5 }];
        let log = Log { names: vec!["loss".into(), "val_loss".into()], rows };
        let csv = log.csv();
        assert_eq!(Log::parse(&csv, Path::new("log.csv")).unwrap(), log);
        assert_eq!(log.column("val_loss"), [1e-300]);
        assert_eq!(log.column("nothing"), [0.0; 0]);
        for (text, expected) in
            [("", "first line"), ("epoch,step,a,seconds\n1,2,x,3\n", "line 2"), (&format!("{csv}2,3\n"), "line 3")]
        {
            let error = Log::parse(text, Path::new("log.csv")).unwrap_err().to_string();
            assert!(error.starts_with("log.csv: ") && error.contains(expected), "{error}");
        }
    }
}
