//! The demo bundle, made once per build of the exporter and shared by every test.

use crate::programs::{profile_dir, program, run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

/// The demo bundle on the phantom's grid, seed 7; nobody may write into it.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn demo_bundle() -> PathBuf {
    let room = profile_dir().with_file_name("tmp").join("mindeye-tests");
    fs::create_dir_all(&room).expect("a folder beside the profile's");
    let lock = fs::File::create(room.join("lock")).expect("a lock file");
    lock.lock().expect("test binaries wait for each other here");
    let bundle = room.join(format!("bundle-{}", exporter_stamp()));
    if !bundle.exists() {
        remove_bundles(&room);
        make_demo_bundle(&bundle, &[]);
    }
    bundle
}

/// Makes a demo bundle in the new folder `out`, with further flags.
///
/// # Panics
/// If the exporter says no.
pub fn make_demo_bundle(out: &Path, flags: &[&std::ffi::OsStr]) {
    let mut command = Command::new(program("mindeye-export"));
    command.args(["bundle", "--random-init", "demo", "--seed", "7", "--out"]).arg(out).args(flags);
    let made = run(&mut command);
    assert_eq!(made.status, Some(0), "{}", made.stderr);
}

/// A private copy of `bundle` in the new folder `copy`.
///
/// # Panics
/// If it cannot be copied.
pub fn copy_bundle(bundle: &Path, copy: &Path) {
    fs::create_dir_all(copy).expect("a new folder");
    for entry in fs::read_dir(bundle).expect("a bundle") {
        let entry = entry.expect("an entry");
        let to = copy.join(entry.file_name());
        if entry.path().is_dir() {
            copy_bundle(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

/// Changes when the exporter is built anew.
fn exporter_stamp() -> String {
    let exporter = fs::metadata(program("mindeye-export")).expect("the exporter is there");
    let modified = exporter.modified().expect("a file has a time").duration_since(UNIX_EPOCH).expect("after 1970");
    format!("{}-{}", modified.as_millis(), exporter.len())
}

/// Bundles of earlier exporters.
fn remove_bundles(room: &Path) {
    let entries = fs::read_dir(room).expect("our own folder").flatten();
    let bundles = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("bundle-"));
    bundles.for_each(|entry| fs::remove_dir_all(entry.path()).expect("nobody uses an old bundle"));
}
