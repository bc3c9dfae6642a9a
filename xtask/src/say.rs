//! Progress for a person, on standard error; standard output belongs to reports.

use std::io::IsTerminal;

/// Whether progress is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    Spoken,
    Quiet,
}

impl Voice {
    pub(crate) fn of(quiet: bool) -> Self {
        if quiet { Self::Quiet } else { Self::Spoken }
    }

    pub(crate) fn say(self, line: &str) {
        if self == Self::Spoken {
            eprintln!("{line}");
        }
    }

    /// Whether a moving progress bar would be seen by a person.
    pub(crate) fn has_screen(self) -> bool {
        self == Self::Spoken && std::io::stderr().is_terminal()
    }
}

/// Lines in a box, so that an address stands out from the log around it.
pub(crate) fn boxed(lines: &[String]) -> String {
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let rule = "─".repeat(width + 4);
    let body: String = lines.iter().map(|line| format!("│  {line:<width$}  │\n")).collect();
    format!("┌{rule}┐\n{body}└{rule}┘")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn box_is_as_wide_as_its_longest_line() {
        let drawn = boxed(&["MindEye".into(), "http://127.0.0.1:8080/".into()]);
        let widths: Vec<usize> = drawn.lines().map(|line| line.chars().count()).collect();
        assert_eq!(widths, [28; 4]);
    }
}
