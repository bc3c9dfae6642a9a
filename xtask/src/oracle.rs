//! `cargo xtask oracle`: runs the scripts of `tests/oracle/` in a Python environment with their pinned requirements.
//!
//! Oracles are the field's own tools, which ours are compared with. They never become a dependency of the product, so
//! their environment is made only when asked for.

use crate::clock::Stopwatch;
use crate::command;
use crate::failure::{Failure, Result, doing};
use crate::fetch;
use crate::unpack;
use crate::workspace::Workspace;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Installing may fetch several gigabytes.
const INSTALL_LIMIT: Duration = Duration::from_secs(60 * 60);
const SCRIPT_LIMIT: Duration = Duration::from_secs(60 * 60);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Names of scripts, with or without `.py`; all of them when none is named.
    scripts: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let folder = workspace.root.join("tests/oracle");
    let scripts = choose(&folder, &arguments.scripts)?;
    let python = environment(workspace, &folder.join("requirements.txt"))?;
    let failed: Vec<&PathBuf> = scripts.iter().filter(|script| !passes(workspace, &python, script)).collect();
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(Failure::other(format!(
            "{} of {} oracle scripts failed, first {}",
            failed.len(),
            scripts.len(),
            first.display()
        ))),
    }
}

fn passes(workspace: &Workspace, python: &Path, script: &Path) -> bool {
    let (name, watch) = (script.file_stem().unwrap_or_default().to_string_lossy(), Stopwatch::start());
    let outcome = command::finish(&name, workspace.program(python).arg(script), SCRIPT_LIMIT);
    let verdict = outcome.as_ref().map_or_else(|failure| failure.message.clone(), |()| "ok".into());
    eprintln!("oracle {name}: {verdict} ({:.1} s)", watch.seconds());
    outcome.is_ok()
}

/// The named scripts, or all those whose name does not start with an underscore, in the order of their names.
fn choose(folder: &Path, named: &[String]) -> Result<Vec<PathBuf>> {
    let present = all(folder)?;
    if named.is_empty() {
        let is_script =
            |path: &PathBuf| !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"_"));
        return Ok(present.into_iter().filter(is_script).collect());
    }
    let find = |name: &String| {
        let path = folder.join(name).with_extension("py");
        let known = present.contains(&path);
        known
            .then_some(path)
            .ok_or_else(|| Failure::usage(format!("no oracle script `{name}` in {}", folder.display())))
    };
    named.iter().map(find).collect()
}

fn all(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(doing("list", folder))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension() == Some(OsStr::new("py")));
    paths.sort();
    Ok(paths)
}

/// The Python of the environment, made anew when the requirements have changed.
fn environment(workspace: &Workspace, requirements: &Path) -> Result<PathBuf> {
    let folder = workspace.runtime.join("oracle-venv");
    let (python, stamp) = (folder.join("bin/python"), folder.join("requirements.sha256"));
    let mut file = File::open(requirements).map_err(doing("read", requirements))?;
    let wanted = fetch::sha256(&mut file).map_err(doing("read", requirements))?;
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    eprintln!("oracle: making {}", folder.display());
    unpack::remove(&folder)?;
    let mut venv = workspace.program("python3");
    command::finish("python3 -m venv", venv.args(["-m", "venv"]).arg(&folder), INSTALL_LIMIT)
        .map_err(|failure| Failure::unavailable(format!("{} (Debian: python3-venv)", failure.message)))?;
    let mut pip = workspace.program(&python);
    pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--requirement"]);
    command::finish("pip install", pip.arg(requirements).stdout(std::io::stderr()), INSTALL_LIMIT)?;
    fs::write(&stamp, wanted).map_err(doing("write", &stamp))?;
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_chosen_by_name_or_all_but_helpers() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.py", "a.py", "_shared.py", "requirements.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let choice = |named: &[&str]| {
            let named: Vec<String> = named.iter().map(ToString::to_string).collect();
            let paths = choose(folder.path(), &named)?;
            Ok::<_, Failure>(paths.iter().map(|path| path.file_name().unwrap().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(choice(&[]).unwrap(), ["a.py", "b.py"]);
        assert_eq!(choice(&["b", "a.py"]).unwrap(), ["b.py", "a.py"]);
        assert_eq!(choice(&["c"]).unwrap_err().status, crate::failure::USAGE);
    }
}
