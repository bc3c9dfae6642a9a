//! A BIDS table is strict: one header line, tabs, as many cells as columns, and `n/a` for what is missing.

use crate::bids::BidsError;
use std::path::{Path, PathBuf};

/// A tab-separated file with its place on disk, so that every complaint can name file, line and column.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    path: PathBuf,
    columns: Vec<String>,
    /// Line number from 1, and one cell per column.
    lines: Vec<(usize, Vec<String>)>,
}

impl Table {
    /// Reads the table at `path`.
    ///
    /// # Errors
    /// [`BidsError::Unreadable`], or as [`Table::from_text`].
    pub fn read(path: &Path) -> Result<Self, BidsError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| BidsError::Unreadable { path: path.to_owned(), source })?;
        Self::from_text(&text, path)
    }

    /// Parses `text`; `path` is only for messages. Blank lines are skipped, a byte order mark too.
    ///
    /// # Errors
    /// [`BidsError::Line`] if there is no header, a column has no name or has the name of another, or a line has
    /// another number of cells than the header.
    pub fn from_text(text: &str, path: &Path) -> Result<Self, BidsError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let cells = |line: &str| line.split('\t').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let (header, columns) = lines.next().map_or((0, Vec::new()), |(at, line)| (at, cells(line)));
        let lines = lines.map(|(at, line)| (at + 1, cells(line))).collect();
        let table = Self { path: path.to_owned(), columns, lines };
        table.check_columns(header + 1)?;
        table.check_lengths()?;
        Ok(table)
    }

    fn check_columns(&self, line: usize) -> Result<(), BidsError> {
        let wrong = |problem| Err(BidsError::Line { path: self.path.clone(), line, problem });
        if self.columns.is_empty() {
            return wrong("a table starts with the names of its columns, the file is empty".into());
        }
        for (at, name) in self.columns.iter().enumerate() {
            if name.is_empty() {
                return wrong(format!("column {} has no name", at + 1));
            }
            if self.columns[..at].contains(name) {
                return wrong(format!("column `{name}` appears twice"));
            }
        }
        Ok(())
    }

    fn check_lengths(&self) -> Result<(), BidsError> {
        let columns = self.columns.len();
        match self.lines.iter().find(|(_, cells)| cells.len() != columns) {
            None => Ok(()),
            Some((line, cells)) => {
                let problem = format!("{} cells, the header has {columns} columns (tabs part them)", cells.len());
                Err(BidsError::Line { path: self.path.clone(), line: *line, problem })
            }
        }
    }

    /// Lines below the header, top to bottom.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.lines.iter().map(|(line, cells)| Row { table: self, line: *line, cells })
    }
}

/// One line of a table.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    table: &'a Table,
    line: usize,
    cells: &'a [String],
}

impl<'a> Row<'a> {
    /// The cell in `column`; `None` where there is no such column, or the cell is empty or `n/a`.
    #[must_use]
    pub fn cell(&self, column: &str) -> Option<&'a str> {
        let at = self.table.columns.iter().position(|name| name == column)?;
        Some(self.cells[at].as_str()).filter(|cell| !cell.is_empty() && *cell != "n/a")
    }

    /// The seconds in `column`.
    ///
    /// # Errors
    /// [`BidsError::Cell`] if there are none, or what is there is no finite number.
    pub fn seconds(&self, column: &str) -> Result<f64, BidsError> {
        let Some(cell) = self.cell(column) else {
            return Err(self.wrong(column, "is missing or empty, and seconds are wanted".into()));
        };
        let seconds = cell.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
        seconds.ok_or_else(|| self.wrong(column, format!("must be seconds, found `{cell}`")))
    }

    /// The whole number in `column`, if there is one.
    ///
    /// # Errors
    /// [`BidsError::Cell`] if what is there is no whole number from 0.
    pub fn whole(&self, column: &str) -> Result<Option<u32>, BidsError> {
        let Some(cell) = self.cell(column) else { return Ok(None) };
        let number = cell.parse().map_err(|_| self.wrong(column, format!("must be a whole number, found `{cell}`")))?;
        Ok(Some(number))
    }

    /// Line in the file, from 1 for the header.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// A complaint about this row's cell in `column`.
    #[must_use]
    pub fn wrong(&self, column: &str, problem: String) -> BidsError {
        BidsError::Cell { path: self.table.path.clone(), line: self.line, column: column.to_owned(), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_found_by_column_and_missing_ones_are_none() {
        let text = "\u{feff}onset\tnote\r\n1.5\t n/a \r\n\r\n2\thello\n";
        let table = Table::from_text(text, Path::new("e.tsv")).unwrap();
        let seen: Vec<_> =
            table.rows().map(|row| (row.line(), row.seconds("onset").unwrap(), row.cell("note"))).collect();
        assert_eq!(seen, [(2, 1.5, None), (4, 2.0, Some("hello"))]);
        assert_eq!(table.rows().next().unwrap().cell("elsewhere"), None);
    }

    #[test]
    fn a_malformed_table_is_named_by_line_and_both_sides() {
        let cases = [
            ("", "e.tsv: line 1: a table starts with the names of its columns"),
            ("\n\n", "e.tsv: line 1: a table starts with the names of its columns"),
            ("a\t\tb\n", "line 1: column 2 has no name"),
            ("a\tb\ta\n", "line 1: column `a` appears twice"),
            ("a\tb\n1\t2\n1 2\n", "line 3: 1 cells, the header has 2 columns"),
            ("a\tb\n1\t2\t3\n", "line 2: 3 cells, the header has 2 columns"),
        ];
        for (text, expected) in cases {
            let message = Table::from_text(text, Path::new("e.tsv")).unwrap_err().to_string();
            assert!(message.contains(expected), "{message} should say {expected}");
        }
    }
}
