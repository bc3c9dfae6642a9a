//! One program of the demo: it runs beside us, and what it says goes to a log (and to the screen, for a person).

use super::Audience;
use crate::command::{self, Running};
use crate::failure::{DATA, Failure, OTHER, Result, UNAVAILABLE, doing};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// A running program with its log.
pub(crate) struct Program {
    name: &'static str,
    running: Running,
    /// Its lines on standard error, until it ends.
    lines: Receiver<String>,
    log: PathBuf,
}

impl Program {
    pub(crate) fn start(name: &'static str, command: &mut Command, log: PathBuf, audience: Audience) -> Result<Self> {
        let file = File::create(&log).map_err(doing("make", &log))?;
        let output = file.try_clone().map_err(doing("open", &log))?;
        let mut running = Running::start(name, command.stdout(output).stderr(Stdio::piped()))?;
        let lines = match running.take_stderr() {
            Some(stderr) => command::lines_aside(stderr, teller(name, file, audience)),
            None => channel().1,
        };
        Ok(Self { name, running, lines, log })
    }

    /// Its next line; `None` while it says nothing. An error once it has ended.
    pub(crate) fn line(&mut self, patience: Duration) -> Result<Option<String>> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.running.wait(patience)?;
                Err(self.failure(status))
            }
        }
    }

    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.running.ended()
    }

    /// That it ended, with its last words; it must have.
    pub(crate) fn failure(&mut self, status: ExitStatus) -> Failure {
        while self.lines.recv_timeout(Duration::from_secs(1)).is_ok() {} // until the log is complete
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let said = command::last_line(&log).unwrap_or("it said nothing");
        let words = command::in_words(status);
        let message = format!("{} ended with {words}: {said} (log: {})", self.name, self.log.display());
        Failure::new(pass_on(status), message)
    }

    pub(crate) fn stop(&mut self) -> Option<ExitStatus> {
        self.running.stop()
    }
}

/// Bad data and missing things are so for our caller too; a bad command line of ours is not his.
fn pass_on(status: ExitStatus) -> u8 {
    match status.code() {
        Some(code) if code == i32::from(DATA) => DATA,
        Some(code) if code == i32::from(UNAVAILABLE) => UNAVAILABLE,
        _ => OTHER,
    }
}

fn teller(name: &'static str, mut log: File, audience: Audience) -> impl FnMut(&str) + Send + 'static {
    move |line| {
        // A full disk must not end the demo; the screen still shows the line.
        let _ = writeln!(log, "{line}");
        if audience == Audience::Person {
            eprintln!("{name:>7} │ {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (tempfile::TempDir, Program) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let program = Program::start("daemon", &mut command, folder.path().join("log"), Audience::Machine).unwrap();
        (folder, program)
    }

    #[test]
    fn its_lines_come_and_then_its_end_with_last_words() {
        let (_folder, mut program) = shell("echo one >&2; echo 'error: the bundle is bad' >&2; exit 65");
        let patience = Duration::from_secs(60);
        assert_eq!(program.line(patience).unwrap().as_deref(), Some("one"));
        assert_eq!(program.line(patience).unwrap().as_deref(), Some("error: the bundle is bad"));
        let failure = program.line(patience).unwrap_err();
        assert_eq!(failure.status, DATA);
        assert!(failure.message.starts_with("daemon ended with status 65: error: the bundle is bad (log: "));
    }

    #[test]
    fn silence_is_no_line_and_no_end() {
        let (_folder, mut program) = shell("sleep 600");
        assert_eq!(program.line(Duration::from_millis(10)).unwrap(), None);
        assert!(program.ended().unwrap().is_none());
    }
}
