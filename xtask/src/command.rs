//! Programs that we start: waited for with a limit, stopped in order, and never left behind.
//!
//! Each leads its own process group, so that a Ctrl-C reaches us first and we stop it with all that it started.

use crate::clock::Stopwatch;
use crate::failure::{Failure, Result};
use crate::interrupt;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a wait looks; a chore does not need better.
const POLL: Duration = Duration::from_millis(20);
/// How long nothing is read before it is asked whether the program has ended: longer than a line takes to get here.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a program may take to end once asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// A program that is stopped, at the latest, when this value goes (also when we panic).
pub(crate) struct Running {
    name: String,
    child: Child,
}

impl Running {
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).process_group(0).spawn().map_err(|error| {
            let program = command.get_program().to_string_lossy();
            Failure::unavailable(format!("cannot start {name} (`{program}`): {error}"))
        })?;
        Ok(Self { name: name.into(), child })
    }

    /// Standard error, where the command pipes it; once.
    pub(crate) fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// The status, if it has ended by itself.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(|error| Failure::other(format!("cannot wait for {}: {error}", self.name)))
    }

    /// Waits for its end; past `limit`, or when the user interrupts, it is stopped and that is the error.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let watch = Stopwatch::start();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            self.check(watch, limit)?;
            thread::sleep(POLL);
        }
    }

    fn check(&mut self, watch: Stopwatch, limit: Duration) -> Result<()> {
        let reason = if interrupt::asked() {
            "interrupted".to_owned()
        } else if watch.elapsed() > limit {
            format!("not done after {:.0} s, stopped", limit.as_secs_f64())
        } else {
            return Ok(());
        };
        self.stop();
        Err(Failure::other(format!("{}: {reason}", self.name)))
    }

    /// Asks it to end (SIGTERM to its group), and kills the group when it does not within the grace.
    pub(crate) fn stop(&mut self) -> Option<ExitStatus> {
        if let Ok(Some(status)) = self.ended() {
            return Some(status);
        }
        self.signal("TERM");
        let watch = Stopwatch::start();
        while watch.elapsed() < GRACE {
            if let Ok(Some(status)) = self.ended() {
                return Some(status);
            }
            thread::sleep(POLL);
        }
        self.signal("KILL");
        self.child.wait().ok()
    }

    /// It has ended, and something that it started still holds its output: that is stopped too.
    fn leave_none_behind(&self, status: ExitStatus) -> ExitStatus {
        self.signal("TERM");
        status
    }

    /// Through the shell's own `kill`: the system call itself would need `unsafe` or one more crate.
    fn signal(&self, name: &str) {
        let script = r#"kill -s "$1" -- "-$2""#;
        let group = self.child.id().to_string();
        // Whether it still lives is asked again by the caller.
        let _ = Command::new("sh").args(["-c", script, "sh", name, &group]).stderr(Stdio::null()).status();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs to the end with our own output streams; another status than 0 is an error.
pub(crate) fn finish(name: &str, command: &mut Command, limit: Duration) -> Result<()> {
    check_status(name, Running::start(name, command)?.wait(limit)?)
}

/// What a program left behind.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs to the end with standard error kept (and standard output, where the command pipes it).
pub(crate) fn keep(name: &str, command: &mut Command, limit: Duration) -> Result<Finished> {
    let mut running = Running::start(name, command.stderr(Stdio::piped()))?;
    let stdout = running.child.stdout.take().map(read_aside);
    let stderr = running.child.stderr.take().map(read_aside);
    let status = running.wait(limit)?;
    let text = |reader: Option<JoinHandle<String>>| reader.and_then(|r| r.join().ok()).unwrap_or_default();
    Ok(Finished { status, stdout: text(stdout), stderr: text(stderr) })
}

/// Standard output of a program that succeeds; else its last line on standard error is in the failure.
pub(crate) fn capture(name: &str, command: &mut Command, limit: Duration) -> Result<String> {
    let finished = keep(name, command.stdout(Stdio::piped()), limit)?;
    if finished.status.success() {
        return Ok(finished.stdout);
    }
    let said = last_line(&finished.stderr).unwrap_or("no message");
    Err(Failure::other(format!("{name}: {}: {said}", in_words(finished.status))))
}

/// Runs to the end and hands over each line of standard output as it comes.
pub(crate) fn each_line(
    name: &str,
    command: &mut Command,
    limit: Duration,
    mut line: impl FnMut(&str),
) -> Result<ExitStatus> {
    let watch = Stopwatch::start();
    let mut running = Running::start(name, command.stdout(Stdio::piped()))?;
    let Some(stdout) = running.child.stdout.take() else { return running.wait(limit) };
    let lines = lines_aside(stdout, |_| {});
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(text) => line(&text),
            Err(RecvTimeoutError::Timeout) => match running.ended()? {
                Some(status) => return Ok(running.leave_none_behind(status)),
                None => running.check(watch, limit)?,
            },
            Err(RecvTimeoutError::Disconnected) => return running.wait(limit.saturating_sub(watch.elapsed())),
        }
    }
}

/// The lines of a stream as they come, read by a thread that ends with the stream and shows each to `witness` first.
pub(crate) fn lines_aside(
    stream: impl Read + Send + 'static,
    mut witness: impl FnMut(&str) + Send + 'static,
) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(std::io::Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            witness(&line);
            // Read on when nobody listens any more: a full pipe would stop the program.
            let _ = sender.send(line);
        }
    });
    receiver
}

fn read_aside(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before a read error is still worth telling.
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

pub(crate) fn check_status(name: &str, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { Err(Failure::other(format!("{name}: {}", in_words(status)))) }
}

/// `status 65`, or `killed by signal 9`.
pub(crate) fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The last line that says anything.
pub(crate) fn last_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).rfind(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn lines_come_in_order_with_the_status() {
        let mut lines = Vec::new();
        let status =
            each_line("script", &mut shell("echo a; echo b; exit 3"), LONG, |line| lines.push(line.to_owned()));
        assert_eq!(lines, ["a", "b"]);
        assert_eq!(status.unwrap().code(), Some(3));
    }

    #[test]
    fn failing_program_is_named_with_status_and_last_words() {
        let failure = capture("script", &mut shell("echo first >&2; echo last >&2; exit 65"), LONG).unwrap_err();
        assert_eq!(failure.message, "script: status 65: last");
    }

    #[test]
    fn hung_program_is_stopped_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pid.display());
        let mut running = Running::start("script", &mut shell(&script)).unwrap();
        while !std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
            thread::sleep(POLL);
        }
        let failure = running.wait(Duration::from_millis(50)).unwrap_err();
        assert!(failure.message.contains("script: not done after"), "{}", failure.message);
        assert!(is_gone(std::fs::read_to_string(&pid).unwrap().trim()));
    }

    /// Ended: no such process, or one that only waits to be reaped.
    fn is_gone(pid: &str) -> bool {
        let watch = Stopwatch::start();
        while watch.elapsed() < LONG {
            match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
                Ok(stat) if !stat.contains(") Z ") => thread::sleep(POLL),
                _ => return true,
            }
        }
        false
    }

    #[test]
    fn output_held_open_by_something_left_behind_does_not_hang() {
        let mut lines = Vec::new();
        let script = "sleep 600 & echo done; exit 3";
        let status = each_line("script", &mut shell(script), LONG, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!((lines.as_slice(), status.code()), (["done".to_owned()].as_slice(), Some(3)));
    }

    #[test]
    fn missing_program_is_status_69() {
        let failure = finish("tool", &mut Command::new("no-such-tool-here"), LONG).unwrap_err();
        assert_eq!(failure.status, crate::failure::UNAVAILABLE);
        assert!(failure.message.starts_with("cannot start tool (`no-such-tool-here`): "), "{}", failure.message);
    }
}
