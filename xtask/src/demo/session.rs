//! One run of the demo: the daemon, the scanner, and the waits between them.

use super::program::Program;
use super::report;
use super::{Audience, Plan};
use crate::clock::{self, Stopwatch};
use crate::failure::{Failure, Result, doing};
use crate::interrupt;
use crate::workspace::Workspace;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(100);
/// Opening and warming up a demo bundle takes a second; this only ends a daemon that hangs.
const START_LIMIT: Duration = Duration::from_secs(120);
/// The last trial is final one TR after its last volume; then its line has to reach the file.
const RESULTS_LIMIT: Duration = Duration::from_secs(30);
/// From one phantom trial to the next at speed 1, with room for a busy machine (the phantom takes 6 s).
const TRIAL_LIMIT_S: f64 = 12.0;
/// Where the page is expected, if nothing else is there.
const USUAL_PAGE: &str = "127.0.0.1:8080";

/// Why the scanner does not run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    ScannerDone,
    Interrupted,
}

/// A daemon that listens, and what is needed to feed it.
pub(crate) struct Session {
    workspace: Workspace,
    daemon: Program,
    listening: Listening,
    /// Logs, journals and results.
    folder: PathBuf,
    results: PathBuf,
    /// How many final results have been told.
    told: usize,
}

/// What the daemon says once its sockets are open.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listening {
    volumes: String,
    http: String,
}

impl Session {
    /// Starts the daemon and waits until it listens.
    pub(crate) fn start(workspace: &Workspace, bundle: &Path, plan: Plan) -> Result<Self> {
        let (folder, run) = (workspace.target.join("demo"), clock::unix_seconds());
        fs::create_dir_all(&folder).map_err(doing("make", &folder))?;
        let results = folder.join(format!("results-{run}-{}.jsonl", std::process::id()));
        let mut command = workspace.program(workspace.release_binary("mindeye-daemon"));
        command.arg("run").arg("--bundle").arg(bundle);
        command.arg("--journal").arg(folder.join(format!("journal-{run}-{}", std::process::id())));
        command.args(["--bind", "tcp://127.0.0.1:0", "--publish", "tcp://127.0.0.1:0"]);
        command.args(["--http", page_address(plan.audience)]).arg("--results-file").arg(&results);
        let mut daemon = Program::start("daemon", &mut command, folder.join("daemon.log"), plan.audience)?;
        let listening = wait_until_listening(&mut daemon)?;
        Ok(Self { workspace: workspace.clone(), daemon, listening, folder, results, told: 0 })
    }

    /// Host and port of the page.
    pub(crate) fn page(&self) -> &str {
        &self.listening.http
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn results(&self) -> &Path {
        &self.results
    }

    /// Streams the phantom's run into the daemon, to its end or until the user interrupts.
    pub(crate) fn run_scanner(&mut self, plan: Plan) -> Result<End> {
        let mut command = self.workspace.program(self.workspace.release_binary("mindeye-daemon"));
        command.args(["scanner", "--connect", &self.listening.volumes, "--phantom"]);
        command.args(["--trials", &plan.trials.to_string(), "--speed", &plan.speed.to_string()]);
        command.args(["--seed", &plan.seed.to_string()]);
        let log = self.folder.join("scanner.log");
        let mut scanner = Program::start("scanner", &mut command, log, plan.audience)?;
        let (watch, limit) = (Stopwatch::start(), scanner_limit(plan));
        loop {
            self.tell(plan);
            match scanner.ended()? {
                Some(status) if status.success() => return Ok(End::ScannerDone),
                Some(status) => return Err(scanner.failure(status)),
                None if interrupt::asked() => return Ok(End::Interrupted),
                None if watch.elapsed() > limit => return Err(overdue("the scanner has not ended", limit)),
                None => self.check_daemon()?,
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until the daemon has written each trial's final line; lines that do not come are the report's affair.
    pub(crate) fn wait_for_results(&mut self, plan: Plan) -> Result<()> {
        let watch = Stopwatch::start();
        while watch.elapsed() < RESULTS_LIMIT && self.tell(plan) < plan.trials as usize {
            if interrupt::asked() {
                return Err(Failure::other("demo: interrupted"));
            }
            self.check_daemon()?;
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Counts the final results, and tells a change.
    fn tell(&mut self, plan: Plan) -> usize {
        let count = report::count_finals(&self.results);
        if count != self.told {
            eprintln!("demo: {count} of {} trials", plan.trials);
            self.told = count;
        }
        count
    }

    /// Keeps the page up until the user has seen enough.
    pub(crate) fn wait_for_interrupt(&mut self) -> Result<()> {
        while !interrupt::asked() {
            self.check_daemon()?;
            thread::sleep(POLL);
        }
        Ok(())
    }

    fn check_daemon(&mut self) -> Result<()> {
        match self.daemon.ended()? {
            Some(status) => Err(self.daemon.failure(status)),
            None => Ok(()),
        }
    }

    /// Ends the daemon; the results are complete afterwards.
    pub(crate) fn stop(&mut self) {
        match self.daemon.stop() {
            Some(status) if status.success() => {}
            Some(status) => eprintln!("demo: {}", self.daemon.failure(status).message),
            None => eprintln!("demo: the daemon could not be stopped"),
        }
    }
}

fn wait_until_listening(daemon: &mut Program) -> Result<Listening> {
    let watch = Stopwatch::start();
    while watch.elapsed() < START_LIMIT {
        if let Some(listening) = daemon.line(POLL)?.as_deref().and_then(parse_listening) {
            return Ok(listening);
        }
        if interrupt::asked() {
            return Err(Failure::other("demo: interrupted"));
        }
    }
    Err(overdue("the daemon does not listen", START_LIMIT))
}

/// Reads `listening volumes=tcp://127.0.0.1:P results=tcp://127.0.0.1:Q http=127.0.0.1:R`.
fn parse_listening(line: &str) -> Option<Listening> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "listening").skip(1).peekable();
    words.peek()?;
    let fields: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
    let field = |name| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Some(Listening { volumes: field("volumes")?, http: field("http")? })
}

/// A port that a person may remember, if it is free; a machine takes any.
fn page_address(audience: Audience) -> &'static str {
    let is_usual = audience == Audience::Person && TcpListener::bind(USUAL_PAGE).is_ok();
    if is_usual { USUAL_PAGE } else { "127.0.0.1:0" }
}

/// Nobody waits for ever for a machine's run; a person can see for himself.
fn scanner_limit(plan: Plan) -> Duration {
    match plan.audience {
        Audience::Person => Duration::MAX,
        Audience::Machine => {
            Duration::from_secs_f64(180.0 + (f64::from(plan.trials) + 5.0) * TRIAL_LIMIT_S / plan.speed)
        }
    }
}

fn overdue(what: &str, limit: Duration) -> Failure {
    Failure::other(format!("demo: {what} after {:.0} s", limit.as_secs_f64()))
}

#[cfg(test)]
mod tests;
