//! What the program is at: a bar on a terminal, one plain line per phase elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// Progress on standard error.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}");
            ProgressBar::new(1).with_style(style.expect("the template is a constant without errors"))
        });
        Self { bar }
    }

    /// A phase without steps.
    pub(crate) fn phase(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => eprintln!("{what}"),
        }
    }

    /// A phase of so many volumes.
    pub(crate) fn volumes(&self, what: &str, count: usize) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(count as u64);
                bar.set_message(what.to_owned());
            }
            None => eprintln!("{what} {count} volumes"),
        }
    }

    /// This volume is done.
    pub(crate) fn volume(&self, index: u32) {
        if let Some(bar) = &self.bar {
            bar.set_position(u64::from(index) + 1);
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
