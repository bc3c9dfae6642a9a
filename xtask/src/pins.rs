//! `runtime.toml`: which libraries are fetched, in which version, with which hash.

use crate::command;
use crate::failure::{Failure, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Component as Part, Path};
use std::process::Command;
use std::time::Duration;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pins {
    pub(crate) platform: Platform,
    #[serde(rename = "component")]
    pub(crate) components: Vec<Component>,
}

/// The machine that the pinned libraries run on, and pip's tags for it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Platform {
    os: String,
    arch: String,
    /// The oldest C library, as `major.minor`.
    glibc: String,
    pub(crate) python: String,
    pub(crate) abis: Vec<String>,
    pub(crate) tag: String,
}

/// One wheel, and what is taken out of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Component {
    /// The folder it becomes.
    pub(crate) name: String,
    /// Who needs it: nothing for what the default build needs, else what `cargo xtask setup --with GROUP` asks for.
    pub(crate) group: Option<String>,
    pub(crate) distribution: String,
    pub(crate) version: String,
    /// The wheel's file name.
    pub(crate) file: String,
    /// pip's platform tag of this wheel, where it is an older one than the platform's.
    pub(crate) tag: Option<String>,
    /// Of the wheel, in lower-case hexadecimal digits.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    /// Member of the wheel → place in the folder.
    pub(crate) files: BTreeMap<String, String>,
    /// Symbolic link → the file beside it.
    #[serde(default)]
    pub(crate) links: BTreeMap<String, String>,
    /// Folders that are wanted even if empty.
    #[serde(default)]
    pub(crate) folders: Vec<String>,
    /// Folder of the wheel → folder that takes all below it.
    #[serde(default)]
    pub(crate) trees: BTreeMap<String, String>,
    /// Files that no wheel has: place → text.
    #[serde(default)]
    pub(crate) texts: BTreeMap<String, String>,
    /// Where a link to the C compiler's own headers (`stddef.h`, ...) goes, for a libclang that came without any.
    pub(crate) compiler_headers: Option<String>,
}

impl Pins {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
        Self::parse(&text).map_err(|error| Failure::usage(format!("{}: {}", path.display(), error.message)))
    }

    fn parse(text: &str) -> Result<Self> {
        let pins: Self = toml::from_str(text).map_err(Failure::usage)?;
        pins.components.iter().try_for_each(Component::check)?;
        Ok(pins)
    }

    /// Only the components that belong to no group or to one of `groups`; a group that no component has is refused.
    pub(crate) fn of_groups(mut self, groups: &[String]) -> Result<Self> {
        let known: BTreeSet<&str> = self.components.iter().filter_map(|component| component.group.as_deref()).collect();
        if let Some(wrong) = groups.iter().find(|group| !known.contains(group.as_str())) {
            let known: Vec<&str> = known.into_iter().collect();
            return Err(Failure::usage(format!("--with {wrong}: runtime.toml has the groups {}", known.join(", "))));
        }
        self.components.retain(|component| component.group.as_ref().is_none_or(|group| groups.contains(group)));
        Ok(self)
    }
}

impl Component {
    fn check(&self) -> Result<()> {
        let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if self.sha256.len() != 64 || !self.sha256.chars().all(is_digit) {
            let wrong = &self.sha256;
            return Err(Failure::usage(format!(
                "component {}: sha256 {wrong:?} is not 64 lower-case digits",
                self.name
            )));
        }
        let places = self.files.values().chain(self.links.keys()).chain(&self.folders);
        let places = places.chain(self.trees.values()).chain(self.texts.keys());
        let places = places.chain(&self.compiler_headers).chain([&self.name]);
        match places.into_iter().find(|place| !stays_inside(place)) {
            Some(place) => Err(Failure::usage(format!("component {}: {place:?} leaves its folder", self.name))),
            None => Ok(()),
        }
    }

    /// What an unpacked folder says of itself: the same text means that there is nothing to do.
    pub(crate) fn stamp(&self) -> String {
        let mut stamp = format!("{} {} {}\n", self.distribution, self.version, self.sha256);
        for (from, to) in self.files.iter().chain(&self.links).chain(&self.trees).chain(&self.texts) {
            // Writing to a string cannot fail.
            let _ = writeln!(stamp, "{from} = {to}");
        }
        if let Some(place) = &self.compiler_headers {
            let _ = writeln!(stamp, "compiler headers = {place}");
        }
        stamp
    }

    pub(crate) fn megabytes(&self) -> f64 {
        self.bytes as f64 / 1e6
    }
}

fn stays_inside(place: &str) -> bool {
    !place.is_empty() && Path::new(place).components().all(|part| matches!(part, Part::Normal(_)))
}

impl Platform {
    /// Whether the pinned libraries run on this machine.
    pub(crate) fn check(&self) -> Result<()> {
        let c_library = if cfg!(target_env = "gnu") { "glibc" } else { "another C library" };
        self.accepts(std::env::consts::OS, std::env::consts::ARCH, c_library)?;
        match glibc_here() {
            Some(here) if numbers(&here) < numbers(&self.glibc) => Err(self.refusal(&format!("glibc {here}"))),
            _ => Ok(()),
        }
    }

    fn accepts(&self, os: &str, arch: &str, c_library: &str) -> Result<()> {
        let fits = os == self.os && arch == self.arch && c_library == "glibc";
        if fits { Ok(()) } else { Err(self.refusal(&format!("{os} {arch} with {c_library}"))) }
    }

    fn refusal(&self, here: &str) -> Failure {
        let Self { os, arch, glibc, .. } = self;
        Failure::unavailable(format!(
            "runtime.toml pins libraries for {os} {arch} with glibc {glibc} or newer, and this machine has {here}"
        ))
    }
}

/// The C library's version; `None` where nobody can say (then loading the library will).
fn glibc_here() -> Option<String> {
    let mut getconf = Command::new("getconf");
    let text = command::capture("getconf", getconf.arg("GNU_LIBC_VERSION"), Duration::from_secs(10)).ok()?;
    text.trim().strip_prefix("glibc ").map(str::to_owned)
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins() -> Pins {
        Pins::read(&crate::workspace::root().join("runtime.toml")).unwrap()
    }

    #[test]
    fn the_repositorys_own_file_is_good() {
        let names: Vec<String> = pins().components.into_iter().map(|component| component.name).collect();
        for wanted in ["zmq", "onnxruntime", "tensorrt-rtx", "libclang", "libtorch"] {
            assert!(names.iter().any(|name| name == wanted), "{wanted} not in {names:?}");
        }
    }

    #[test]
    fn wrong_pins_are_refused_by_name() {
        let good = std::fs::read_to_string(crate::workspace::root().join("runtime.toml")).unwrap();
        let cases = [
            ("bytes = 855178", "bites = 855178", "bites"),
            ("858fe252", "858FE252", "component zmq: sha256"),
            ("lib/libzmq-2f02442c.so.5.2.5\"", "../libzmq.so\"", "leaves its folder"),
        ];
        for (from, to, expected) in cases {
            let failure = Pins::parse(&good.replacen(from, to, 1)).unwrap_err();
            assert_eq!(failure.status, crate::failure::USAGE);
            assert!(failure.message.contains(expected), "{}", failure.message);
        }
    }

    #[test]
    fn groups_are_fetched_only_when_asked_for() {
        let names = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
            let chosen = pins().of_groups(&groups)?.components.into_iter().map(|component| component.name);
            Ok::<_, Failure>(chosen.collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["zmq", "onnxruntime"]);
        assert_eq!(names(&["tensorrt"]).unwrap(), ["zmq", "onnxruntime", "tensorrt-rtx", "libclang"]);
        let failure = names(&["tensorflow"]).unwrap_err();
        assert_eq!(failure.status, crate::failure::USAGE);
        assert!(failure.message.starts_with("--with tensorflow: runtime.toml has the groups "), "{}", failure.message);
        assert!(failure.message.contains("tensorrt"), "{}", failure.message);
    }

    #[test]
    fn stamp_changes_with_the_hash_and_with_the_members() {
        let zmq = pins().components.remove(0);
        let mut other_hash = zmq.clone();
        other_hash.sha256 = "0".repeat(64);
        let mut fewer_members = zmq.clone();
        fewer_members.links.clear();
        assert_ne!(zmq.stamp(), other_hash.stamp());
        assert_ne!(zmq.stamp(), fewer_members.stamp());
    }

    #[test]
    fn other_machines_are_refused_with_both_sides() {
        let platform = pins().platform;
        assert!(platform.accepts("linux", "x86_64", "glibc").is_ok());
        for (os, arch, c_library) in
            [("macos", "aarch64", "glibc"), ("linux", "aarch64", "glibc"), ("linux", "x86_64", "another C library")]
        {
            let failure = platform.accepts(os, arch, c_library).unwrap_err();
            assert_eq!(failure.status, crate::failure::UNAVAILABLE);
            assert!(failure.message.contains("linux x86_64 with glibc 2.28"), "{}", failure.message);
            assert!(failure.message.contains(&format!("{os} {arch}")), "{}", failure.message);
        }
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(numbers("2.9") < numbers("2.28"));
        assert!(numbers("2.36") > numbers("2.28"));
    }
}
