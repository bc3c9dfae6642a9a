//! Downloads a wheel with pip, and believes it only when its hash is the pinned one.
//!
//! pip is the way to the package registry that the user's machine is already set up for (mirrors, proxies, credentials),
//! so no address of one is named here.

use crate::command::{self, Finished};
use crate::failure::{Failure, Result, UNAVAILABLE, doing};
use crate::interrupt;
use crate::pins::{Component, Platform};
use crate::say::Voice;
use sha2::{Digest, Sha256};
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often a download is tried.
const TRIES: u32 = 3;
/// One try; the largest wheel is some 530 MB, so this only ends a download that hangs.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// How to reach pip.
pub(crate) struct Pip {
    /// The Python 3 to run it with.
    pub(crate) python: OsString,
    /// Between two tries.
    pub(crate) pause: Duration,
    pub(crate) voice: Voice,
}

/// One failed try, and whether another can help.
struct Setback {
    failure: Failure,
    hopeless: bool,
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        Self { failure, hopeless: false }
    }
}

impl Pip {
    /// The component's wheel, downloaded into `folder` (made if need be) and checked.
    pub(crate) fn wheel(&self, component: &Component, platform: &Platform, folder: &Path) -> Result<PathBuf> {
        let mut tried = 1;
        loop {
            let Err(setback) = self.once(component, platform, folder, tried) else {
                return Ok(folder.join(&component.file));
            };
            if setback.hopeless || tried == TRIES || interrupt::asked() {
                return Err(setback.failure);
            }
            tried += 1;
            self.voice.say(&format!("setup: {}; try {tried} of {TRIES}", setback.failure.message));
            std::thread::sleep(self.pause);
        }
    }

    fn once(
        &self,
        component: &Component,
        platform: &Platform,
        folder: &Path,
        tried: u32,
    ) -> std::result::Result<(), Setback> {
        // Made anew, so that nothing of a broken download is taken for a whole one.
        crate::unpack::make_empty(folder)?;
        let mut download = self.download(component, platform, folder);
        if tried > 1 {
            download.arg("--no-cache-dir"); // the cached copy may be the broken one
        }
        let finished = command::keep("pip download", &mut download, LIMIT).map_err(without_python)?;
        judge(component, &finished)?;
        check_hash(&folder.join(&component.file), component).map_err(Setback::from)
    }

    /// The same wheel on every Python 3: version, ABI and platform are the pinned ones, not this machine's.
    fn download(&self, component: &Component, platform: &Platform, folder: &Path) -> Command {
        let mut pip = Command::new(&self.python);
        let tag = component.tag.as_ref().unwrap_or(&platform.tag);
        pip.args(["-m", "pip", "download", "--no-input", "--disable-pip-version-check"]);
        pip.args(["--no-deps", "--only-binary=:all:", "--implementation", "cp"]);
        pip.args(["--python-version", &platform.python, "--platform", tag]);
        pip.args(platform.abis.iter().flat_map(|abi| ["--abi", abi]));
        pip.arg(format!("{}=={}", component.distribution, component.version));
        pip.args([OsStr::new("--dest"), folder.as_os_str()]);
        if self.voice.has_screen() {
            pip.args(["--progress-bar", "on"]).stdout(std::io::stderr());
        } else {
            pip.stdout(Stdio::null());
        }
        pip
    }
}

/// pip did not run at all: where Python is missing, no further try finds it.
fn without_python(failure: Failure) -> Setback {
    if failure.status != UNAVAILABLE {
        return failure.into(); // it ran too long, or the user interrupted
    }
    let message = format!("{}; Python 3 with pip is needed", failure.message);
    Setback { failure: Failure { message, ..failure }, hopeless: true }
}

fn judge(component: &Component, finished: &Finished) -> std::result::Result<(), Setback> {
    if finished.status.success() {
        return Ok(());
    }
    if finished.stderr.contains("No module named pip") {
        let remedy = "Python 3 has no pip; install it (Debian: `apt-get install python3-pip`)";
        return Err(Setback { failure: Failure::unavailable(remedy), hopeless: true });
    }
    let Component { distribution, version, .. } = component;
    let said = command::last_line(&finished.stderr).unwrap_or("no message");
    let words = command::in_words(finished.status);
    Err(Failure::unavailable(format!("pip cannot download {distribution}=={version} ({words}): {said}")).into())
}

/// Refuses a wheel whose hash is not the pinned one.
fn check_hash(wheel: &Path, component: &Component) -> Result<()> {
    let mut file = File::open(wheel).map_err(|_| {
        Failure::data(format!("pip downloaded another wheel of {} than {}", component.distribution, component.file))
    })?;
    let found = sha256(&mut file).map_err(doing("read", wheel))?;
    if found == component.sha256 {
        return Ok(());
    }
    let Component { file, sha256, .. } = component;
    Err(Failure::data(format!("{file}: sha256 is {found}, and runtime.toml pins {sha256}")))
}

/// The hash of all that is left to read, in lower-case hexadecimal digits.
pub(crate) fn sha256(stream: &mut impl std::io::Read) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match stream.read(&mut block)? {
            0 => break,
            read => hasher.update(&block[..read]),
        }
    }
    Ok(hasher.finalize().iter().fold(String::new(), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_of_known_bytes() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&mut &b"abc"[..]).unwrap(), expected);
    }
}
