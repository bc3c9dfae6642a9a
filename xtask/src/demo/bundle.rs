//! The demo's bundle: random weights of demo size, made once per version of the exporter.

use crate::clock::Stopwatch;
use crate::command;
use crate::failure::{Result, doing};
use crate::fetch;
use crate::unpack;
use crate::workspace::Workspace;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15 * 60);
/// How the bundle is made; another line here makes another bundle.
const RECIPE: [&str; 5] = ["bundle", "--random-init", "demo", "--seed", "7"];
/// How its scores become confidence: held-out trials of the phantom, which the demo's session never plays.
const CALIBRATE: [&str; 5] = ["calibrate", "--phantom", "120", "--engine", "onnxruntime-cpu"];

/// The bundle's folder; made unless the same exporter made it already.
pub(crate) fn ready(workspace: &Workspace) -> Result<PathBuf> {
    let exporter = workspace.release_binary("mindeye-export");
    let folder = workspace.target.join("demo/bundle");
    let stamp = workspace.target.join("demo/bundle.stamp");
    let wanted = recipe_stamp(&exporter)?;
    if is_current(&folder, &stamp, &wanted) {
        eprintln!("demo: bundle {} is up to date", folder.display());
        return Ok(folder);
    }
    unpack::remove(&folder)?;
    make(workspace, &exporter, &folder)?;
    fs::write(&stamp, wanted).map_err(doing("write", &stamp))?;
    Ok(folder)
}

/// Made aside and renamed, so that a bundle that is there is whole.
fn make(workspace: &Workspace, exporter: &Path, folder: &Path) -> Result<()> {
    let (partial, watch) = (folder.with_extension("uncalibrated"), Stopwatch::start());
    eprintln!("demo: making the bundle");
    unpack::remove(&partial)?;
    if let Some(parent) = partial.parent() {
        fs::create_dir_all(parent).map_err(doing("make", parent))?;
    }
    let mut export = workspace.program(exporter);
    export.args(RECIPE).arg("--out").arg(&partial).stdout(std::io::stderr());
    command::finish("mindeye-export bundle", &mut export, LIMIT)?;
    let calibrated = folder.with_extension("calibrated");
    unpack::remove(&calibrated)?;
    let mut calibrate = workspace.program(workspace.release_binary("mindeye-daemon"));
    calibrate.args(CALIBRATE).arg("--bundle").arg(&partial).arg("--out").arg(&calibrated).stdout(std::io::stderr());
    command::finish("mindeye-daemon calibrate", &mut calibrate, LIMIT)?;
    unpack::remove(&partial)?;
    fs::rename(&calibrated, folder).map_err(doing("fill", folder))?;
    eprintln!("demo: bundle {} in {:.1} s", folder.display(), watch.seconds());
    Ok(())
}

fn recipe_stamp(exporter: &Path) -> Result<String> {
    let mut binary = File::open(exporter).map_err(doing("read", exporter))?;
    let hash = fetch::sha256(&mut binary).map_err(doing("read", exporter))?;
    Ok(format!("{hash} {} {}\n", RECIPE.join(" "), CALIBRATE.join(" ")))
}

fn is_current(folder: &Path, stamp: &Path, wanted: &str) -> bool {
    folder.join("manifest.toml").is_file() && fs::read_to_string(stamp).is_ok_and(|made| made == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_exporter_or_a_missing_manifest_means_remaking() {
        let home = tempfile::tempdir().unwrap();
        let (folder, stamp, exporter) =
            (home.path().join("bundle"), home.path().join("stamp"), home.path().join("mindeye-export"));
        fs::create_dir(&folder).unwrap();
        fs::write(&exporter, "one").unwrap();
        let wanted = recipe_stamp(&exporter).unwrap();
        fs::write(&stamp, &wanted).unwrap();
        assert!(!is_current(&folder, &stamp, &wanted));
        fs::write(folder.join("manifest.toml"), "").unwrap();
        assert!(is_current(&folder, &stamp, &wanted));
        fs::write(&exporter, "two").unwrap();
        assert!(!is_current(&folder, &stamp, &recipe_stamp(&exporter).unwrap()));
    }
}
