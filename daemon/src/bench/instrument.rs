//! The daemon under measurement: a process of its own, as in the scanner room.

use mindeye_config::{EngineKind, Failure};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A folder that is removed when it is let go.
pub(super) struct ScratchDir(PathBuf);

impl ScratchDir {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // What cannot be removed stays in the system's temporary folder, which is emptied sooner or later.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A new folder in the system's temporary folder.
pub(super) fn scratch_dir() -> Result<ScratchDir, Failure> {
    let path = std::env::temp_dir().join(format!("mindeye-bench-{}", std::process::id()));
    std::fs::create_dir_all(&path).map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
    Ok(ScratchDir(path))
}

/// A bundle with random weights, made by the `mindeye-export` beside this program.
pub(super) fn bundle_of_size(size: &str, scratch: &Path) -> Result<PathBuf, Failure> {
    let exporter = this_program()?.with_file_name("mindeye-export");
    let out = scratch.join("bundle");
    let mut export = Command::new(&exporter);
    export.args(["bundle", "--random-init", size, "--seed", "7", "--out"]).arg(&out);
    // Standard output is the bench's own.
    export.stdout(Stdio::null());
    let status = export.status().map_err(|error| Failure::unavailable(format!("{}: {error}", exporter.display())))?;
    if status.success() {
        return Ok(out);
    }
    Err(Failure::unavailable(format!("{} could not make a `{size}` bundle ({status})", exporter.display())))
}

/// The daemon and where it listens.
pub(super) struct Instrument {
    child: Child,
    pub(super) volumes: String,
    pub(super) results: String,
    bundle: String,
}

impl Instrument {
    pub(super) fn start(bundle: &Path, engine: EngineKind, scratch: &Path) -> Result<Self, Failure> {
        let journal = scratch.join("journal");
        let mut child = Command::new(this_program()?)
            .arg("run")
            .arg("--bundle")
            .arg(bundle)
            .arg("--journal")
            .arg(journal)
            .args(["--engine", engine.key()])
            .args(["--bind", "tcp://127.0.0.1:0", "--publish", "tcp://127.0.0.1:0", "--http", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Failure::unavailable)?;
        let Some(errors) = child.stderr.take() else { return Err(Failure::other("the daemon has no standard error")) };
        let mut lines = BufReader::new(errors).lines().map_while(Result::ok);
        let mut said = Vec::new();
        while let Some(line) = lines.next() {
            if let Some(addresses) = line.strip_prefix("listening ") {
                let field = |name: &str| {
                    addresses.split_whitespace().find_map(|part| part.strip_prefix(name)).unwrap_or_default().to_owned()
                };
                let (volumes, results) = (field("volumes="), field("results="));
                // The daemon must never wait for somebody to read what it says.
                std::thread::spawn(move || lines.for_each(|line| eprintln!("daemon: {line}")));
                let bundle = said.into_iter().find(|line: &String| line.starts_with("bundle ")).unwrap_or_default();
                return Ok(Self { child, volumes, results, bundle });
            }
            said.push(line);
        }
        let status = child.wait().map_err(Failure::other)?;
        let last = said.last().map_or("it said nothing", String::as_str);
        Err(Failure::unavailable(format!("the daemon did not start ({status}): {last}")))
    }

    pub(super) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// What the daemon says about its bundle.
    pub(super) fn bundle_label(&self) -> String {
        self.bundle.clone()
    }
}

impl Drop for Instrument {
    fn drop(&mut self) {
        // The measurement is over; a daemon that has ended by itself is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn this_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(Failure::other)
}
