//! `cargo xtask gpu`: holds the engines to their promises on this machine's GPU, or packs what one out of reach needs.
//!
//! A machine with a data centre's GPU often reaches no package registry. `pack` makes pieces small enough for any way
//! in; on the other side `sh run.sh` joins and checks them, and runs what this verb runs here.

mod thin;

use crate::command;
use crate::failure::{Failure, Result, doing};
use crate::fetch::sha256;
use crate::say::Voice;
use crate::setup;
use crate::unpack;
use crate::workspace::Workspace;
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// NVIDIA's driver makes this file.
const DEVICE: &str = "/dev/nvidiactl";
/// Group of runtime.toml, and feature of the engine.
const CUDA: &str = "onnxruntime-cuda";
/// The tests refuse to skip when this is 1.
const REQUIRED: &str = "MINDEYE_GPU_REQUIRED";
const RUN: &str = include_str!("gpu/run.sh");
/// The same reconstruction in PyTorch.
const REFERENCE: &str = include_str!("../../benches/gpu/reference.py");
const LIMIT: Duration = Duration::from_secs(60 * 60);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Packs the conformance test, ONNX Runtime for CUDA, PyTorch's reference and a script, in pieces.
    Pack(Pack),
}

#[derive(clap::Args)]
struct Pack {
    /// The folder to make, with pieces, their digests and `run.sh`.
    #[arg(long)]
    out: PathBuf,
    /// Largest piece, in MiB.
    #[arg(long, default_value = "40", value_parser = clap::value_parser!(u64).range(1..))]
    piece_mib: u64,
    /// Leave out the machine code of other cards, as 90 for sm_90: a quarter of the size.
    #[arg(long)]
    only_capability: Option<u32>,
    /// A program to take along, such as `target/release/mindeye-daemon`; `run.sh` runs the `bench` of that one.
    #[arg(long)]
    add: Vec<PathBuf>,
}

pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    match &arguments.verb {
        Some(Verb::Pack(pack)) => make_parcel(workspace, pack),
        None => conformance(workspace, Path::new(DEVICE)),
    }
}

fn conformance(workspace: &Workspace, device: &Path) -> Result<()> {
    if !device.exists() {
        let remedy = "`cargo xtask gpu pack --out DIR` packs what a machine with one needs";
        return Err(Failure::unavailable(format!(
            "gpu: no NVIDIA GPU here ({} is missing); {remedy}",
            device.display()
        )));
    }
    setup::of_groups(workspace, &[CUDA.into()], Voice::Spoken)?;
    let mut cargo = workspace.cargo(&["test", "--release", "--package", "mindeye-engine", "--features", CUDA]);
    command::finish("cargo test", cargo.args(["--test", "gpu"]).env(REQUIRED, "1"), LIMIT)
}

/// Builds, collects, compresses, and cuts.
fn make_parcel(workspace: &Workspace, pack: &Pack) -> Result<()> {
    let missing = pack.add.iter().find(|program| !program.is_file());
    if let Some(program) = missing {
        return Err(Failure::usage(format!("--add {}: no such file", program.display())));
    }
    if pack.out.exists() {
        return Err(Failure::usage(format!("--out {}: exists already", pack.out.display())));
    }
    setup::of_groups(workspace, &[CUDA.into()], Voice::Spoken)?;
    let test = build_test(workspace)?;
    fs::create_dir_all(&pack.out).map_err(doing("make", &pack.out))?;
    let parcel = pack.out.join("mindeye-gpu");
    collect(workspace, pack, &test, &parcel)?;
    let archive = pack.out.join("parcel.tar.xz");
    compress(workspace, &parcel, &archive)?;
    unpack::remove(&parcel)?;
    let pieces = cut(&archive, &pack.out, pack.piece_mib << 20)?;
    fs::remove_file(&archive).map_err(doing("remove", &archive))?;
    write(&pack.out.join("run.sh"), RUN)?;
    eprintln!(
        "gpu: {pieces} pieces in {}; bring them all to the machine and run `sh run.sh` there",
        pack.out.display()
    );
    Ok(())
}

/// The conformance test as a program of its own.
fn build_test(workspace: &Workspace) -> Result<PathBuf> {
    let mut cargo = workspace.cargo(&["test", "--release", "--package", "mindeye-engine", "--features", CUDA]);
    cargo.args(["--test", "gpu", "--no-run", "--message-format", "json"]);
    let messages = command::capture("cargo test --no-run", &mut cargo, LIMIT)?;
    executable(&messages).ok_or_else(|| Failure::other("cargo test --no-run named no program for the test `gpu`"))
}

/// The program of the test `gpu` in cargo's messages, one JSON value a line.
fn executable(messages: &str) -> Option<PathBuf> {
    let values = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut tests = values.filter(|value| value["target"]["name"] == "gpu");
    tests.find_map(|value| value["executable"].as_str().map(PathBuf::from))
}

fn collect(workspace: &Workspace, pack: &Pack, test: &Path, parcel: &Path) -> Result<()> {
    let (programs, library) = (parcel.join("bin"), parcel.join(".runtime/onnxruntime-gpu/lib"));
    let messages = parcel.join(".runtime/zmq/lib");
    for folder in [&programs, &library, &messages] {
        fs::create_dir_all(folder).map_err(doing("make", folder))?;
    }
    for entry in fs::read_dir(workspace.runtime.join("zmq/lib")).into_iter().flatten().flatten() {
        copy(&entry.path(), &messages.join(entry.file_name()))?;
    }
    copy(test, &programs.join("gpu-conformance"))?;
    for program in &pack.add {
        copy(program, &programs.join(program.file_name().unwrap_or_default()))?;
    }
    let from = workspace.runtime.join("onnxruntime-gpu/lib");
    for entry in fs::read_dir(&from).map_err(doing("list", &from))?.flatten() {
        let to = library.join(entry.file_name());
        match pack.only_capability {
            Some(wanted) => write(&to, thinned(&entry.path(), wanted)?)?,
            None => copy(&entry.path(), &to)?,
        }
    }
    write(&parcel.join("reference.py"), REFERENCE)
}

fn thinned(library: &Path, wanted: u32) -> Result<Vec<u8>> {
    let mut bytes = fs::read(library).map_err(doing("read", library))?;
    let mib = thin::thin(&mut bytes, wanted) >> 20;
    eprintln!("gpu: {}: {mib} MiB for other cards left out", library.display());
    Ok(bytes)
}

fn compress(workspace: &Workspace, parcel: &Path, archive: &Path) -> Result<()> {
    let mut tar = workspace.program("tar");
    tar.arg("--create").arg("--xz").arg("--file").arg(archive).arg("--directory");
    tar.arg(parcel.parent().unwrap_or(parcel)).arg(parcel.file_name().unwrap_or_default());
    command::finish("tar", tar.env("XZ_OPT", "-T0 -3"), LIMIT)
}

/// Cuts `archive` into `folder/piece-000`, ... of `size` bytes at most, and lists their digests as sha256sum does.
fn cut(archive: &Path, folder: &Path, size: u64) -> Result<usize> {
    let mut whole = File::open(archive).map_err(doing("read", archive))?;
    let (mut digests, mut pieces) = (String::new(), 0);
    loop {
        let mut bytes = Vec::new();
        Read::take(&mut whole, size).read_to_end(&mut bytes).map_err(doing("read", archive))?;
        if bytes.is_empty() {
            break;
        }
        let name = format!("piece-{pieces:03}");
        let digest = sha256(&mut bytes.as_slice()).map_err(doing("read", archive))?;
        write(&folder.join(&name), &bytes)?;
        digests.push_str(&format!("{digest}  {name}\n"));
        pieces += 1;
    }
    write(&folder.join("SHA256SUMS"), &digests)?;
    Ok(pieces)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map_err(doing("copy", from)).map(drop)
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    File::create(path).and_then(|mut file| file.write_all(bytes.as_ref())).map_err(doing("write", path))
}

#[cfg(test)]
mod tests;
