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

/// A private copy of the demo bundle in the new folder `copy` whose recipe corrects motion.
///
/// # Panics
/// If it cannot be copied.
pub fn copy_with_motion(copy: &Path) {
    copy_bundle(&demo_bundle(), copy);
    let recipe = copy.join("preprocess.toml");
    let text = fs::read_to_string(&recipe).expect("a recipe");
    let mut table: toml::Table = text.parse().expect("TOML");
    let motion = toml::Table::from_iter([("kind".to_owned(), "rigid".into())]);
    table.insert("motion".into(), motion.into());
    fs::write(&recipe, table.to_string()).expect("a recipe");
    relist(copy, "preprocess.toml");
}

/// Puts length and digest of `file`, which was changed, into the manifest of the bundle `dir`.
///
/// # Panics
/// If the manifest does not list it.
pub fn relist(dir: &Path, file: &str) {
    let path = dir.join("manifest.toml");
    let mut manifest: toml::Table = fs::read_to_string(&path).expect("a manifest").parse().expect("TOML");
    let bytes = fs::read(dir.join(file)).expect("the file");
    let files = manifest["file"].as_array_mut().expect("a list of files");
    let entry = files.iter_mut().find(|entry| entry["path"].as_str() == Some(file)).expect("the file is listed");
    entry["sha256"] = mindeye_config::sha256_of_bytes(&bytes).0.into();
    entry["bytes"] = (bytes.len() as i64).into();
    fs::write(&path, manifest.to_string()).expect("a manifest");
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
