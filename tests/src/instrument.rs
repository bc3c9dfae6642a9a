//! A daemon under test: a process of its own on free ports, killed when dropped.

use crate::bundle::demo_bundle;
use crate::programs::{Program, daemon};
use crate::{engine, http};
use serde_json::json;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A deadline so late that no machine is too slow for a picture.
pub const UNHURRIED: &str = "[deadline]\ndeadline_s = 600.0\n";

/// How a daemon is started.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where its configuration file and journal lie.
    pub room: PathBuf,
    /// Bundle.
    pub bundle: PathBuf,
    /// Engine.
    pub engine: &'static str,
    /// `daemon.toml`.
    pub config: String,
    /// Address for volumes; port 0 picks a free one.
    pub volumes: String,
    /// Further flags.
    pub flags: Vec<OsString>,
}

impl Setup {
    /// The demo bundle, the best engine, no hurry; everything is written into `room`.
    #[must_use]
    pub fn new(room: &Path) -> Self {
        Self {
            room: room.to_owned(),
            bundle: demo_bundle(),
            engine: engine(),
            config: UNHURRIED.into(),
            volumes: "tcp://127.0.0.1:0".into(),
            flags: Vec::new(),
        }
    }

    /// Folder of journals.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.room.join("journal")
    }

    /// The configuration file, freshly written.
    ///
    /// # Panics
    /// If it cannot be written.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        let path = self.room.join("daemon.toml");
        fs::write(&path, &self.config).expect("a configuration");
        path
    }

    /// `mindeye-daemon run` with all of this.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = daemon("run");
        command.args(["--engine", self.engine, "--http", "127.0.0.1:0", "--publish", "tcp://127.0.0.1:0"]);
        command.args(["--bind", &self.volumes]).arg("--config").arg(self.config_file());
        command.arg("--bundle").arg(&self.bundle).arg("--journal").arg(self.journal());
        command.args(&self.flags);
        command
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// If it ends before.
    #[must_use]
    pub fn start(&self) -> Instrument {
        let mut program = Program::start(&mut self.command());
        let token = program.line("operator token ");
        let line = program.line("listening ");
        let word = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)).expect(key).to_owned();
        Instrument {
            volumes: word("volumes="),
            results: word("results="),
            http: word("http="),
            token: token.trim_start_matches("operator token ").into(),
            program,
        }
    }
}

/// A daemon that listens.
pub struct Instrument {
    /// Where volumes go in.
    pub volumes: String,
    /// Where results come out.
    pub results: String,
    /// `host:port` of the pages.
    pub http: String,
    /// Token of the operator.
    pub token: String,
    /// The process.
    pub program: Program,
}

impl Instrument {
    /// Gives an operator's command; returns the HTTP status.
    #[must_use]
    pub fn command(&self, command: &str, token: &str) -> u16 {
        http::post(&self.http, "/api/v1/command", &json!({"token": token, "command": command})).0
    }

    /// Ends it in good order, so that its record is complete.
    ///
    /// # Panics
    /// If its exit status is not 0.
    pub fn stop(self) {
        assert_eq!(self.program.terminate(), Some(0), "a daemon that is asked to end");
    }
}
