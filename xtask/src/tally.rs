//! Reads the output of `cargo test` as it comes: what passed, what failed, and what was skipped for which reason.
//!
//! A test that lacks something prints `skipped: <reason>` and returns; to libtest it passed, to us it did not run.
//! libtest shows the output of such tests under `successes:` when called with `--show-output`.

use std::fmt;

/// A test that did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skip {
    pub(crate) test: String,
    pub(crate) reason: String,
}

/// Whether a line is for the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Show,
    /// Output of a test that passed.
    Hide,
}

/// Where in the output of one test binary we are.
#[derive(Debug, Default)]
enum Section {
    #[default]
    Tests,
    /// With the test whose output it is.
    Successes(Option<String>),
    Failures,
}

/// The counts so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
    skips: Vec<Skip>,
    failures: Vec<String>,
    section: Section,
    /// Index in `skips` from which on they are of the present test binary.
    binary_start: usize,
}

impl Tally {
    pub(crate) fn read(&mut self, line: &str) -> Line {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.end_binary(counts);
            return Line::Show;
        }
        match (line, &mut self.section) {
            ("successes:", _) => self.section = Section::Successes(None),
            ("failures:", _) => self.section = Section::Failures,
            (_, Section::Tests) => self.read_test(line),
            (_, Section::Successes(test)) => match heading(line) {
                Some(name) => *test = Some(name.into()),
                None => self.read_output(line),
            },
            (_, Section::Failures) => {}
        }
        if matches!(self.section, Section::Successes(_)) { Line::Hide } else { Line::Show }
    }

    /// `test NAME ... ok`, `... FAILED`, `... ignored` or `... ignored, REASON`.
    fn read_test(&mut self, line: &str) {
        let Some((test, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... ")) else {
            return;
        };
        if outcome == "FAILED" {
            self.failures.push(test.into());
        } else if let Some(reason) = outcome.strip_prefix("ignored") {
            let reason = reason.strip_prefix(", ").unwrap_or("ignored");
            self.skips.push(Skip { test: test.into(), reason: reason.into() });
        }
    }

    /// A line that a passing test printed.
    fn read_output(&mut self, line: &str) {
        let Section::Successes(Some(test)) = &self.section else { return };
        let Some((_, reason)) = line.split_once("skipped: ") else { return };
        let is_known = self.skips[self.binary_start..].iter().any(|skip| skip.test == *test);
        if !is_known {
            self.skips.push(Skip { test: test.clone(), reason: reason.trim().into() });
            self.passed = self.passed.wrapping_sub(1); // counted as passed by the result line, which comes after
        }
    }

    /// `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
    fn end_binary(&mut self, counts: &str) {
        let count =
            |what: &str| counts.split([';', '.']).find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok());
        self.passed = self.passed.wrapping_add(count("passed").unwrap_or(0));
        self.failed += count("failed").unwrap_or(0);
        self.section = Section::Tests;
        self.binary_start = self.skips.len();
    }

    /// Something broke that no test reported: a build, or a test binary that died.
    pub(crate) fn add_breakage(&mut self, what: String) {
        self.failed += 1;
        self.failures.push(what);
    }

    pub(crate) fn failed(&self) -> usize {
        self.failed
    }

    /// What failed and what was skipped, each with its name; empty when nothing was.
    pub(crate) fn details(&self) -> String {
        let skips: Vec<String> = self.skips.iter().map(|skip| format!("{}: {}", skip.test, skip.reason)).collect();
        list("skipped", &skips) + &list("failed", &self.failures)
    }
}

/// The closing line: `N passed, N failed, N skipped`.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skips.len())
    }
}

/// The test's name in `---- NAME stdout ----`.
fn heading(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

fn list(title: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    format!("{title} ({}):\n{}", items.len(), items.iter().map(|item| format!("  {item}\n")).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As libtest prints it with `--show-output`: two binaries, a skipped, an ignored and a failing test.
    const OUTPUT: &str = "
running 4 tests
test page::is_drawn ... ok
test page::says_when_stale ... ok
test gpu::warm_up ... ignored, wants a GPU
test volumes::add_up ... ok

successes:

---- page::is_drawn stdout ----
looking for a browser
skipped: no chromium on this machine
skipped: once more

---- volumes::add_up stdout ----
failures: none of them
sum 3


successes:
    page::is_drawn
    page::says_when_stale
    volumes::add_up

test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s


running 2 tests
test betas ... FAILED
test page::is_drawn ... ok

successes:

---- page::is_drawn stdout ----
here it ran

failures:

---- betas stdout ----
assertion failed: skipped: not a skip

failures:
    betas

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.25s
";

    fn tally(output: &str) -> (Tally, Vec<Line>) {
        let mut tally = Tally::default();
        let lines = output.lines().map(|line| tally.read(line)).collect();
        (tally, lines)
    }

    #[test]
    fn skipped_tests_do_not_count_as_passed() {
        let (tally, _) = tally(OUTPUT);
        assert_eq!(tally.to_string(), "3 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn skips_and_failures_are_listed_with_their_reasons() {
        let (tally, _) = tally(OUTPUT);
        let expected = "skipped (2):\n  gpu::warm_up: wants a GPU\n  page::is_drawn: no chromium on this machine\n\
                        failed (1):\n  betas\n";
        assert_eq!(tally.details(), expected);
    }

    #[test]
    fn output_of_passing_tests_is_hidden_and_the_rest_is_shown() {
        let (_, shown) = tally(OUTPUT);
        let shown: Vec<&str> =
            OUTPUT.lines().zip(shown).filter(|(_, line)| *line == Line::Show).map(|(text, _)| text).collect();
        assert!(!shown.contains(&"looking for a browser"));
        assert!(shown.contains(&"assertion failed: skipped: not a skip"));
        assert!(shown.contains(&"test betas ... FAILED"));
        assert_eq!(shown.iter().filter(|line| line.starts_with("test result: ")).count(), 2);
    }

    #[test]
    fn ignored_without_reason_is_a_skip_too() {
        let (tally, _) =
            tally("test src/lib.rs - gain (line 3) ... ignored\ntest result: ok. 0 passed; 0 failed; 1 ignored;");
        assert_eq!(tally.to_string(), "0 passed, 0 failed, 1 skipped");
        assert_eq!(tally.details(), "skipped (1):\n  src/lib.rs - gain (line 3): ignored\n");
    }

    #[test]
    fn nothing_ran_is_nothing_passed() {
        assert_eq!(tally("").0.to_string(), "0 passed, 0 failed, 0 skipped");
        assert_eq!(tally("").0.details(), "");
    }

    #[test]
    fn breakage_counts_as_a_failure() {
        let (mut tally, _) = tally("test result: ok. 2 passed; 0 failed; 0 ignored;");
        tally.add_breakage("cargo test: status 101".into());
        assert_eq!(tally.to_string(), "2 passed, 1 failed, 0 skipped");
        assert_eq!(tally.details(), "failed (1):\n  cargo test: status 101\n");
    }
}
