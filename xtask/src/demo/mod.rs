//! `cargo xtask demo`: a simulated scanner streams into the daemon, for a person to watch or a machine to judge.
//!
//! ```text
//! setup ─► release build ─► demo bundle ─► daemon ◄─volumes── scanner (phantom)
//!                                            ├──► page, for a person
//!                                            └──► results file ─► report, for a machine
//! ```

mod bundle;
mod chance;
mod program;
mod report;
mod session;

use crate::command;
use crate::failure::{Failure, Result};
use crate::say::{self, Voice};
use crate::setup;
use crate::workspace::Workspace;
use report::Report;
use session::{End, Session};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A cold release build on two slow cores takes minutes; this only ends one that hangs.
const BUILD_LIMIT: Duration = Duration::from_secs(60 * 60);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Opens no browser, ends with the run, and exits 0 if every trial got a picture.
    #[arg(long)]
    headless: bool,
    /// How many trials the scanner shows [default: 10 headless, 50 otherwise].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    trials: Option<u32>,
    /// Prints the report as JSON.
    #[arg(long, requires = "headless")]
    json: bool,
    /// Also wants no deadline missed, 95 % of trials at full effort and, from 40 trials on, ranks better than chance.
    #[arg(long, requires = "headless")]
    strict: bool,
    /// How many times faster than life the scanner runs [default: 4 headless, 1 otherwise].
    #[arg(long, value_name = "N", value_parser = speed)]
    speed: Option<f64>,
    /// Of the phantom's noise, head motion and stimuli.
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
}

/// The arguments with their defaults.
#[derive(Debug, Clone, Copy)]
struct Plan {
    trials: u32,
    speed: f64,
    seed: u64,
    audience: Audience,
}

/// Who looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    Person,
    Machine,
}

impl Arguments {
    fn plan(&self) -> Plan {
        let (audience, trials, speed) =
            if self.headless { (Audience::Machine, 10, 4.0) } else { (Audience::Person, 50, 1.0) };
        Plan { trials: self.trials.unwrap_or(trials), speed: self.speed.unwrap_or(speed), seed: self.seed, audience }
    }
}

fn speed(text: &str) -> std::result::Result<f64, String> {
    let speed = text.parse().map_err(|error| format!("{error}"))?;
    if (0.01..=1000.0).contains(&speed) { Ok(speed) } else { Err("not between 0.01 and 1000".into()) }
}

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let plan = arguments.plan();
    setup::run(workspace, Voice::Spoken)?;
    build(workspace)?;
    let bundle = bundle::ready(workspace)?;
    let session = Session::start(workspace, &bundle, plan)?;
    match plan.audience {
        Audience::Person => watch(session, plan),
        Audience::Machine => judge(session, plan, arguments),
    }
}

fn build(workspace: &Workspace) -> Result<()> {
    eprintln!("demo: building the daemon and the exporter (release; minutes when nothing is built yet)");
    let mut cargo =
        workspace.cargo(&["build", "--release", "-p", "mindeye-daemon", "-p", "mindeye-exporter", "--bins"]);
    command::finish("cargo build", cargo.stdout(std::io::stderr()), BUILD_LIMIT)
}

/// Shows the page until the user has seen enough.
fn watch(mut session: Session, plan: Plan) -> Result<()> {
    let address = format!("http://{}/", session.page());
    let lines = ["MindEye live: what the scanner shows, and what the brain tells".to_owned(), address.clone()];
    eprintln!("{}\nCtrl-C ends the demo. Logs and journal: {}", say::boxed(&lines), session.folder().display());
    open_browser(&address);
    if session.run_scanner(plan)? == End::ScannerDone {
        eprintln!("demo: the scanner has shown its {} trials; {address} stays up until Ctrl-C", plan.trials);
        session.wait_for_interrupt()?;
    }
    session.stop();
    eprint!("\n{}", Report::read(session.results(), plan)?.table());
    Ok(())
}

/// Runs to the end, prints the report, and fails when it falls short.
#[expect(clippy::print_stdout, reason = "the report is what was asked for")]
fn judge(mut session: Session, plan: Plan, arguments: &Arguments) -> Result<()> {
    if session.run_scanner(plan)? == End::Interrupted {
        return Err(Failure::other("demo: interrupted"));
    }
    session.wait_for_results(plan)?;
    session.stop();
    let report = Report::read(session.results(), plan)?;
    if arguments.json {
        println!("{}", report.json())
    } else {
        print!("{}", report.table())
    }
    let complaints = report.complaints(plan.trials, arguments.strict);
    if complaints.is_empty() { Ok(()) } else { Err(Failure::other(format!("demo: {}", complaints.join("; ")))) }
}

/// Tries to show the page; the address is on the screen for those without a desktop.
fn open_browser(address: &str) {
    let has_desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if !has_desktop {
        return; // xdg-open would start a text browser over the log
    }
    let mut open = Command::new("xdg-open");
    open.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Not having a browser is no failure of the demo.
    let _ = open.spawn();
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        demo: Arguments,
    }

    fn parse(line: &str) -> std::result::Result<Arguments, clap::Error> {
        CommandLine::try_parse_from(std::iter::once("demo").chain(line.split_whitespace())).map(|line| line.demo)
    }

    #[test]
    fn defaults_differ_for_person_and_machine() {
        let (person, machine) = (parse("").unwrap().plan(), parse("--headless").unwrap().plan());
        assert_eq!((person.trials, person.speed, person.audience), (50, 1.0, Audience::Person));
        assert_eq!((machine.trials, machine.speed, machine.audience), (10, 4.0, Audience::Machine));
        let plan = parse("--headless --trials 3 --speed 2.5 --seed 9").unwrap().plan();
        assert_eq!((plan.trials, plan.speed, plan.seed), (3, 2.5, 9));
    }

    #[test]
    fn senseless_arguments_are_refused() {
        for line in ["--trials 0", "--headless --speed 0", "--headless --speed x", "--json", "--strict"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
