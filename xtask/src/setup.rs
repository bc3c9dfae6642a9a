//! `cargo xtask setup`: fills `.runtime/` with the libraries that runtime.toml pins, and is done at once when they are there.
//!
//! Each component is fetched and unpacked aside and then renamed into place, so that a broken download or a kill leaves
//! what was there before. One setup at a time works in a folder; another waits for it.

use crate::clock::Stopwatch;
use crate::failure::{Failure, Result, doing};
use crate::fetch::Pip;
use crate::interrupt;
use crate::pins::{Component, Pins};
use crate::say::Voice;
use crate::unpack;
use crate::workspace::Workspace;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// What a folder of libraries should hold, and the tools to fill it.
struct Setup {
    pins: Pins,
    runtime: PathBuf,
    pip: Pip,
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Says nothing unless something goes wrong.
    #[arg(long)]
    quiet: bool,
    /// Also what an optional part needs: `trainer`, `tensorrt`, or `onnxruntime-cuda` for a GPU. May be given several times.
    #[arg(long, value_name = "GROUP")]
    with: Vec<String>,
}

/// The verb: the default libraries and those of the groups asked for.
pub(crate) fn chore(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    of_groups(workspace, &arguments.with, Voice::of(arguments.quiet))
}

/// Makes the libraries that the default build needs be there.
pub(crate) fn run(workspace: &Workspace, voice: Voice) -> Result<()> {
    of_groups(workspace, &[], voice)
}

/// Makes the default libraries and those of `groups` be there.
pub(crate) fn of_groups(workspace: &Workspace, groups: &[String], voice: Voice) -> Result<()> {
    let pins = Pins::read(&workspace.root.join("runtime.toml"))?.of_groups(groups)?;
    let pip = Pip { python: "python3".into(), pause: Duration::from_secs(2), voice };
    Setup { pins, runtime: workspace.runtime.clone(), pip }.run()
}

impl Setup {
    fn run(&self) -> Result<()> {
        let voice = self.pip.voice;
        if self.is_done() {
            voice.say(&format!("setup: {} is up to date", self.runtime.display()));
            return Ok(());
        }
        self.pins.platform.check()?;
        fs::create_dir_all(&self.runtime).map_err(doing("make", &self.runtime))?;
        let _lock = self.lock()?;
        unpack::remove(&self.partial())?; // of a setup that was killed
        self.pins.components.iter().try_for_each(|component| self.bring(component))?;
        voice.say(&format!("setup: {} is up to date", self.runtime.display()));
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.pins.components.iter().all(|component| unpack::is_current(&self.place(component), component))
    }

    /// The other setup's result is ours as well, so waiting for it costs nothing.
    fn lock(&self) -> Result<File> {
        let path = self.runtime.join(".lock");
        let file = File::create(&path).map_err(doing("make", &path))?;
        let mut has_told = false;
        while let Err(error) = file.try_lock() {
            if let TryLockError::Error(error) = error {
                return Err(doing("lock", &path)(error));
            }
            if interrupt::asked() {
                return Err(Failure::other("setup: interrupted while another setup was at work"));
            }
            if !has_told {
                self.pip.voice.say("setup: waiting for another setup");
                has_told = true;
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(file)
    }

    fn bring(&self, component: &Component) -> Result<()> {
        let (place, aside) = (self.place(component), self.runtime.join(format!(".former-{}", component.name)));
        unpack::recover(&place, &aside)?;
        if unpack::is_current(&place, component) {
            return Ok(());
        }
        let watch = Stopwatch::start();
        let partial = self.partial();
        let prepared = self.prepare(component, &partial);
        let outcome = prepared.and_then(|()| unpack::put_in_place(&partial.join(&component.name), &place, &aside));
        unpack::remove(&partial)?;
        outcome.map_err(|failure| self.explain(component, failure))?;
        self.pip.voice.say(&format!("setup: {} is ready ({:.1} s)", component.name, watch.seconds()));
        Ok(())
    }

    /// The component's folder, complete, under `partial`.
    fn prepare(&self, component: &Component, partial: &Path) -> Result<()> {
        let Component { distribution, version, .. } = component;
        self.pip.voice.say(&format!("setup: fetching {distribution} {version} ({:.1} MB)", component.megabytes()));
        let wheel = self.pip.wheel(component, &self.pins.platform, &partial.join("wheel"))?;
        unpack::unpack(&self.pip.python, &wheel, component, &partial.join(&component.name))
    }

    fn explain(&self, component: &Component, failure: Failure) -> Failure {
        let kept = if self.place(component).exists() { "left as it was" } else { "still missing" };
        let message = format!("setup: {}; {} is {kept}", failure.message, self.place(component).display());
        Failure { message, ..failure }
    }

    fn place(&self, component: &Component) -> PathBuf {
        self.runtime.join(&component.name)
    }

    /// Where a component is made before it is put in place; on the same file system, so that a rename does it.
    fn partial(&self) -> PathBuf {
        self.runtime.join(".partial")
    }
}

#[cfg(test)]
mod tests;
