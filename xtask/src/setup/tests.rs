//! Setups with a `python3` that is a shell script, so that no test needs the network.

use super::*;
use crate::failure::{DATA, UNAVAILABLE};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use tempfile::TempDir;

const WHEEL: &str = "thing-1.0-cp312-abi3-manylinux_2_28_x86_64.whl";

/// A folder with a wheel, and a `python3` that counts its downloads and does as `pip` (shell script) says.
struct Shop {
    folder: TempDir,
    setup: Setup,
}

impl Shop {
    fn new(pip: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join(WHEEL);
        make_wheel(folder.path(), &wheel, "first");
        let setup = Setup {
            pins: pins(&wheel),
            runtime: folder.path().join("runtime"),
            pip: Pip { python: shim(folder.path(), pip).into(), pause: Duration::ZERO, voice: Voice::Quiet },
        };
        Self { folder, setup }
    }

    fn downloads(&self) -> usize {
        fs::read_to_string(self.folder.path().join("downloads")).map_or(0, |text| text.lines().count())
    }

    fn library(&self) -> String {
        fs::read_to_string(self.setup.runtime.join("thing/lib/libthing.so")).unwrap_or_default()
    }

    fn leftovers(&self) -> Vec<String> {
        let names = fs::read_dir(&self.setup.runtime).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != ".lock" && name != "thing").collect()
    }
}

fn make_wheel(folder: &Path, wheel: &Path, text: &str) {
    fs::write(folder.join("libthing.so.1"), text).unwrap();
    let mut zip = Command::new("python3");
    zip.args(["-m", "zipfile", "-c"]).arg(wheel).arg("libthing.so.1").current_dir(folder);
    assert!(zip.status().unwrap().success());
}

fn pins(wheel: &Path) -> Pins {
    let sha256 = crate::fetch::sha256(&mut File::open(wheel).unwrap()).unwrap();
    let text = format!(
        "[platform]\nos = 'linux'\narch = 'x86_64'\nglibc = '2.0'\npython = '3.12'\nabis = ['cp312', 'abi3']\n\
         tag = 'manylinux_2_28_x86_64'\n[[component]]\nname = 'thing'\ndistribution = 'thing'\nversion = '1.0'\n\
         file = '{WHEEL}'\nsha256 = '{sha256}'\nbytes = 100\nfolders = ['include']\n\
         [component.files]\n'libthing.so.1' = 'lib/libthing.so.1'\n\
         [component.links]\n'lib/libthing.so' = 'libthing.so.1'\n"
    );
    toml::from_str(&text).unwrap()
}

/// `$dest` is where pip should put the wheel, `$wheel` is the good one, `$count` the number of this download.
fn shim(folder: &Path, pip: &str) -> PathBuf {
    let here = folder.display();
    let script = format!(
        "#!/bin/sh\nif [ \"$1 $2 $3\" != '-m pip download' ]; then exec python3 \"$@\"; fi\n\
         echo \"$@\" >> {here}/downloads\ncount=$(wc -l < {here}/downloads)\nwheel={here}/{WHEEL}\n\
         while [ \"$1\" != --dest ]; do shift; done\ndest=$2\n{pip}\n"
    );
    let path = folder.join("python3");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const GOOD: &str = "cp $wheel $dest";

#[test]
fn second_setup_downloads_nothing() {
    let shop = Shop::new(GOOD);
    shop.setup.run().unwrap();
    assert_eq!((shop.library().as_str(), shop.downloads()), ("first", 1));
    assert!(shop.setup.runtime.join("thing/include").is_dir());
    shop.setup.run().unwrap();
    assert_eq!(shop.downloads(), 1);
    assert_eq!(shop.leftovers(), [""; 0]);
}

#[test]
fn pip_is_asked_for_the_pinned_tags() {
    let shop = Shop::new(GOOD);
    shop.setup.run().unwrap();
    let asked = fs::read_to_string(shop.folder.path().join("downloads")).unwrap();
    let tags =
        "--implementation cp --python-version 3.12 --platform manylinux_2_28_x86_64 --abi cp312 --abi abi3 thing==1.0";
    assert!(asked.contains(tags), "{asked}");
}

#[test]
fn a_wheel_of_an_older_platform_is_asked_for_by_its_own_tag() {
    let mut shop = Shop::new(GOOD);
    shop.setup.pins.components[0].tag = Some("manylinux2010_x86_64".into());
    shop.setup.run().unwrap();
    let asked = fs::read_to_string(shop.folder.path().join("downloads")).unwrap();
    assert!(asked.contains("--platform manylinux2010_x86_64 "), "{asked}");
}

#[test]
fn compiler_headers_are_linked_and_linked_again_when_the_compiler_has_moved() {
    let mut shop = Shop::new(GOOD);
    shop.setup.pins.components[0].compiler_headers = Some("lib/clang/18/include".into());
    shop.setup.run().unwrap();
    let link = shop.setup.runtime.join("thing/lib/clang/18/include");
    assert!(link.join("stddef.h").is_file());
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/no/such/compiler/include", &link).unwrap();
    shop.setup.run().unwrap();
    assert!(link.join("stddef.h").is_file());
}

#[test]
fn a_tree_comes_whole_and_a_text_is_written_beside_it() {
    let mut shop = Shop::new(GOOD);
    let component = &mut shop.setup.pins.components[0];
    let wheel = shop.folder.path().join(WHEEL);
    let inner = shop.folder.path().join("thing/include/deep");
    fs::create_dir_all(&inner).unwrap();
    fs::write(inner.join("a.h"), "a").unwrap();
    let mut zip = Command::new("python3");
    zip.args(["-m", "zipfile", "-c"]).arg(&wheel).args(["libthing.so.1", "thing"]).current_dir(shop.folder.path());
    assert!(zip.status().unwrap().success());
    component.sha256 = crate::fetch::sha256(&mut File::open(&wheel).unwrap()).unwrap();
    component.trees.insert("thing/include".into(), "headers".into());
    component.texts.insert("build-version".into(), "1.0\n".into());
    shop.setup.run().unwrap();
    let read = |place: &str| fs::read_to_string(shop.setup.runtime.join("thing").join(place)).unwrap_or_default();
    assert_eq!((read("headers/deep/a.h").as_str(), read("build-version").as_str()), ("a", "1.0\n"));
}

#[test]
fn lost_file_is_brought_back() {
    let shop = Shop::new(GOOD);
    shop.setup.run().unwrap();
    fs::remove_file(shop.setup.runtime.join("thing/lib/libthing.so.1")).unwrap();
    shop.setup.run().unwrap();
    assert_eq!((shop.library().as_str(), shop.downloads()), ("first", 2));
}

#[test]
fn broken_and_failed_downloads_are_tried_again() {
    let shop = Shop::new(
        "case $count in\n1) head -c 50 $wheel > $dest/$(basename $wheel);;\n2) echo 'ERROR: reset' >&2; exit 1;;\n\
         *) cp $wheel $dest;;\nesac",
    );
    shop.setup.run().unwrap();
    assert_eq!((shop.library().as_str(), shop.downloads()), ("first", 3));
}

#[test]
fn wrong_hash_is_status_65_with_both_hashes_and_leaves_what_was_there() {
    let mut shop = Shop::new(GOOD);
    shop.setup.run().unwrap();
    let (true_hash, pinned) = (shop.setup.pins.components[0].sha256.clone(), "0".repeat(64));
    shop.setup.pins.components[0].sha256.clone_from(&pinned);
    let failure = shop.setup.run().unwrap_err();
    assert_eq!(failure.status, DATA);
    for part in [WHEEL, &true_hash, &pinned, "left as it was"] {
        assert!(failure.message.contains(part), "{part} not in {}", failure.message);
    }
    assert_eq!((shop.library().as_str(), shop.downloads()), ("first", 1 + 3));
    assert_eq!(shop.leftovers(), [""; 0]);
}

#[test]
fn new_version_replaces_the_former() {
    let mut shop = Shop::new(GOOD);
    shop.setup.run().unwrap();
    let wheel = shop.folder.path().join(WHEEL);
    make_wheel(shop.folder.path(), &wheel, "second");
    shop.setup.pins = pins(&wheel);
    shop.setup.run().unwrap();
    assert_eq!(shop.library(), "second");
    assert_eq!(shop.leftovers(), [""; 0]);
}

#[test]
fn killed_between_the_renames_the_former_folder_comes_back() {
    let mut shop = Shop::new(GOOD);
    shop.setup.run().unwrap();
    let place = shop.setup.runtime.join("thing");
    fs::rename(&place, shop.setup.runtime.join(".former-thing")).unwrap();
    fs::create_dir_all(shop.setup.runtime.join(".partial/thing")).unwrap();
    shop.setup.pip.python = "/no/such/python3".into();
    shop.setup.run().unwrap();
    assert_eq!((shop.library().as_str(), shop.downloads()), ("first", 1));
    assert_eq!(shop.leftovers(), [""; 0]);
}

#[test]
fn registry_out_of_reach_is_status_69_after_three_tries() {
    let shop = Shop::new("echo 'ERROR: No matching distribution found for thing==1.0' >&2; exit 1");
    let failure = shop.setup.run().unwrap_err();
    assert_eq!((failure.status, shop.downloads()), (UNAVAILABLE, 3));
    assert!(failure.message.contains("thing==1.0 (status 1): ERROR: No matching"), "{}", failure.message);
    assert!(failure.message.contains("still missing"), "{}", failure.message);
}

#[test]
fn missing_pip_or_python_is_said_at_once() {
    let mut shop = Shop::new("echo '/usr/bin/python3: No module named pip' >&2; exit 1");
    let failure = shop.setup.run().unwrap_err();
    assert_eq!((failure.status, shop.downloads()), (UNAVAILABLE, 1));
    assert!(failure.message.contains("Python 3 has no pip; install it"), "{}", failure.message);
    shop.setup.pip.python = "/no/such/python3".into();
    let failure = shop.setup.run().unwrap_err();
    assert_eq!(failure.status, UNAVAILABLE);
    assert!(failure.message.contains("/no/such/python3"), "{}", failure.message);
}

#[test]
fn wheel_without_the_member_is_status_65() {
    let mut shop = Shop::new(GOOD);
    shop.setup.pins.components[0].files.insert("absent.so".into(), "lib/absent.so".into());
    let failure = shop.setup.run().unwrap_err();
    assert_eq!(failure.status, DATA);
    assert!(failure.message.contains("absent.so"), "{}", failure.message);
}
