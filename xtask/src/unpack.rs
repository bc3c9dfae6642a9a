//! Takes the wanted members out of a wheel, and puts the finished folder in place by one rename.

use crate::command;
use crate::failure::{Failure, Result, doing};
use crate::pins::Component;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Unzips with Python's own module: Python is here anyway for pip, so this saves a crate; it checks each member's CRC.
const SCRIPT: &str = "
import os, shutil, sys, zipfile
wheel, folder, *pairs = sys.argv[1:]
pairs = list(zip(pairs[::2], pairs[1::2]))
with zipfile.ZipFile(wheel) as archive:
    inside = [name for name in archive.namelist() if not name.endswith('/')]
    trees = [pair for pair in pairs if pair[0].endswith('/')]
    files = [pair for pair in pairs if not pair[0].endswith('/')]
    files += [(name, to + '/' + name[len(tree):]) for tree, to in trees for name in inside if name.startswith(tree)]
    for member, place in files:
        os.makedirs(os.path.dirname(f'{folder}/{place}'), exist_ok=True)
        with archive.open(member) as source, open(f'{folder}/{place}', 'wb') as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
";

/// The name of the file in a component's folder that says what the folder holds.
const STAMP: &str = "stamp.txt";

/// A header that every C compiler brings along.
const COMPILER_HEADER: &str = "stddef.h";

/// Fills `folder` (made anew) with the component's members, links and stamp.
pub(crate) fn unpack(python: &OsStr, wheel: &Path, component: &Component, folder: &Path) -> Result<()> {
    make_empty(folder)?;
    for place in component.files.values().chain(component.links.keys()) {
        let parent = folder.join(place).parent().map_or_else(|| folder.to_owned(), Path::to_owned);
        fs::create_dir_all(&parent).map_err(doing("make", &parent))?;
    }
    unzip(python, wheel, component, folder)?;
    for (link, beside) in &component.links {
        let link = folder.join(link);
        std::os::unix::fs::symlink(beside, &link).map_err(doing("link", &link))?;
    }
    if let Some(place) = &component.compiler_headers {
        link_compiler_headers(&folder.join(place))?;
    }
    for (place, text) in &component.texts {
        let place = folder.join(place);
        fs::write(&place, text).map_err(doing("write", &place))?;
    }
    for wanted in &component.folders {
        let wanted = folder.join(wanted);
        fs::create_dir_all(&wanted).map_err(doing("make", &wanted))?;
    }
    let stamp = folder.join(STAMP);
    fs::write(&stamp, component.stamp()).map_err(doing("write", &stamp))
}

fn unzip(python: &OsStr, wheel: &Path, component: &Component, folder: &Path) -> Result<()> {
    let mut script = Command::new(python);
    script.args(["-c", SCRIPT]).args([wheel, folder]);
    script.args(component.files.iter().flat_map(|(member, place)| [member, place]));
    script.args(component.trees.iter().flat_map(|(tree, place)| [format!("{tree}/"), place.clone()]));
    let what = format!("unpacking {}", component.file);
    command::capture(&what, &mut script, Duration::from_secs(600))
        .map_err(|failure| Failure::data(failure.message))
        .map(drop)
}

/// Links `place` to the folder of headers that belongs to the C compiler itself, which only that compiler can name.
fn link_compiler_headers(place: &Path) -> Result<()> {
    let mut compiler = Command::new("cc");
    let said = command::capture("cc", compiler.arg("-print-file-name=include"), Duration::from_secs(10));
    let headers =
        said.map_err(|failure| Failure::unavailable(format!("{}; a C compiler is needed", failure.message)))?;
    let headers = Path::new(headers.trim());
    if !headers.join(COMPILER_HEADER).is_file() {
        return Err(Failure::unavailable(format!("cc has no {COMPILER_HEADER} in {}", headers.display())));
    }
    let parent = place.parent().unwrap_or(place);
    fs::create_dir_all(parent).map_err(doing("make", parent))?;
    std::os::unix::fs::symlink(headers, place).map_err(doing("link", place))
}

/// Whether `folder` holds what is pinned, by its stamp and the presence of each file.
pub(crate) fn is_current(folder: &Path, component: &Component) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|stamp| stamp == component.stamp())
        && component.files.values().chain(component.links.keys()).all(|place| folder.join(place).is_file())
        && component.texts.keys().all(|place| folder.join(place).is_file())
        && component.trees.values().all(|place| folder.join(place).is_dir())
        && component.compiler_headers.iter().all(|place| folder.join(place).join(COMPILER_HEADER).is_file())
}

/// Puts `finished` where `place` is; what was there is gone, or back again if that fails.
///
/// The kernel has no portable way to exchange two folders, so `place` is missing between two renames (microseconds);
/// a kill just there leaves the former folder at `aside`, from where [`recover`] brings it back.
pub(crate) fn put_in_place(finished: &Path, place: &Path, aside: &Path) -> Result<()> {
    match fs::rename(place, aside) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(doing("move", place)(error)),
    }
    fs::rename(finished, place).map_err(|error| {
        // The first error is the one to tell.
        let _ = recover(place, aside);
        doing("fill", place)(error)
    })?;
    remove(aside)
}

/// After a setup that was killed: the former folder is back, unless a new one is there already.
pub(crate) fn recover(place: &Path, aside: &Path) -> Result<()> {
    if !place.exists() && aside.exists() {
        return fs::rename(aside, place).map_err(doing("restore", place));
    }
    remove(aside)
}

/// Removes a folder with all it holds, if it is there.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(doing("remove", folder)(error)),
        _ => Ok(()),
    }
}

/// An empty folder, whatever was there.
pub(crate) fn make_empty(folder: &Path) -> Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder).map_err(doing("make", folder))
}
