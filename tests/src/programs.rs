//! Programs of the workspace as a user runs them: found beside the test, watched, and ended with it.

use crate::{PATIENCE, eventually};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// Exit status; a program ended by a signal has none.
    pub status: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// The lines of standard error that begin with `error:`.
    #[must_use]
    pub fn errors(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| line.starts_with("error:")).collect()
    }
}

/// `target/<profile>`, which holds this test's `deps/` and every program.
///
/// # Panics
/// If the test does not lie where cargo puts tests.
#[must_use]
pub fn profile_dir() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    test.parent().and_then(std::path::Path::parent).expect("target/<profile>/deps").to_owned()
}

/// The program `name` of the workspace.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = profile_dir().join(name);
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// `mindeye-daemon VERB`, ready for its flags.
#[must_use]
pub fn daemon(verb: &str) -> Command {
    let mut command = Command::new(program("mindeye-daemon"));
    command.arg(verb);
    command
}

/// Runs `command` to its end.
///
/// # Panics
/// If it does not start or does not end.
pub fn run(command: &mut Command) -> Finished {
    let mut child = spawn(command.stdout(Stdio::piped()));
    let stdout = read_all(child.stdout.take().expect("a pipe"));
    let stderr = read_all(child.stderr.take().expect("a pipe"));
    let mut program = Program { child, lines: channel().1, seen: Vec::new() };
    let status = program.wait();
    let text = |thread: JoinHandle<String>| thread.join().expect("a reader does not panic");
    Finished { status, stdout: text(stdout), stderr: text(stderr) }
}

fn spawn(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn read_all(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks has nothing more to say.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A program at work, killed when dropped.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    /// Starts `command`; its standard error is read as it comes.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(command: &mut Command) -> Self {
        let mut child = spawn(command.stdout(Stdio::null()));
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, seen: Vec::new() }
    }

    /// The first line of standard error, from now on, that begins with `start`.
    ///
    /// # Panics
    /// If the program ends or falls silent before.
    pub fn line(&mut self, start: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.starts_with(start) => return line,
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("no `{start}` within {PATIENCE:?}, only {:#?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended without `{start}`, after {:#?}", self.seen),
            }
        }
    }

    /// Kills it without any chance to tidy up (SIGKILL), and waits until it is gone.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn kill(mut self) {
        self.child.kill().expect("our own child may be killed");
        self.wait();
    }

    /// Asks it to end (SIGTERM), and returns its exit status.
    ///
    /// # Panics
    /// If it does not end.
    pub fn terminate(mut self) -> Option<i32> {
        self.ask_to_end();
        self.wait()
    }

    /// Asks it to end (SIGTERM), and does not wait.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn ask_to_end(&self) {
        let asked = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        assert!(asked.is_ok_and(|asked| asked.success()), "kill -TERM");
    }

    /// Waits for its end; `None` when a signal ended it.
    ///
    /// # Panics
    /// If it does not end.
    pub fn wait(&mut self) -> Option<i32> {
        let ended = || self.child.try_wait().expect("a child can be asked");
        eventually("the end of a program", ended).code()
    }

    /// Waits for its end and returns what it said and its status.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn finish(mut self) -> (Option<i32>, Vec<String>) {
        let status = self.wait();
        let mut said = std::mem::take(&mut self.seen);
        said.extend(self.lines.iter());
        (status, said)
    }

    /// Whether it is still at work.
    ///
    /// # Panics
    /// If the system does not say.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended already is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
