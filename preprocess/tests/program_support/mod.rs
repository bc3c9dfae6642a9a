//! A small recorded run in a folder, and the program run on it.
#![allow(dead_code, reason = "each test file uses its own part")]

use mindeye_preprocess::{Grid, Mask, VoxelType, write_bold};
use ndarray::Array2;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) const TR_S: f64 = 1.5;
pub(crate) const VOLUMES: usize = 40;
pub(crate) const EVENTS: &str =
    "onset\tduration\ttrial_type\n6\t3\tface\n18\t3\thouse\n25\t1\trest\n30\t3\tface\n42\t3\thouse\n";

/// A folder with a run of 4 x 3 x 2 voxels, a mask of 20 of them, and events.
pub(crate) struct Room {
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) fn grid() -> Grid {
    let affine = [[3., 0., 0., -6.], [0., 3., 0., -4.], [0., 0., 3., 2.], [0., 0., 0., 1.]];
    Grid { dim: [4, 3, 2], affine }
}

/// Voxel v of volume t: a level, a slow wave and a voxel-specific bump after each onset.
pub(crate) fn value(voxel: usize, volume: usize) -> f32 {
    let seconds = volume as f32 * TR_S as f32;
    let bump = |onset: f32| if (4.0..9.0).contains(&(seconds - onset)) { 1.0 + voxel as f32 } else { 0.0 };
    500.0 + 10.0 * voxel as f32 + (0.3 * seconds + voxel as f32).sin() + bump(6.0) + bump(30.0) - bump(18.0)
}

pub(crate) fn volumes(value: impl Fn(usize, usize) -> f32) -> Vec<Vec<u8>> {
    let volume = |t: usize| (0..24).flat_map(|v| value(v, t).to_le_bytes()).collect();
    (0..VOLUMES).map(volume).collect()
}

impl Room {
    pub(crate) fn new() -> Self {
        let room = Self { folder: tempfile::tempdir().unwrap() };
        room.write_run(value);
        Mask::from_voxels(grid(), (2..22).collect()).unwrap().write(&room.path("mask.nii")).unwrap();
        std::fs::write(room.path("events.tsv"), EVENTS).unwrap();
        room
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write_run(&self, value: impl Fn(usize, usize) -> f32) {
        write_bold(&self.path("bold.nii"), &grid(), TR_S, VoxelType::Float32, &volumes(value)).unwrap();
    }

    /// Overwrites bytes of a file.
    pub(crate) fn patch(&self, name: &str, at: usize, bytes: &[u8]) {
        let mut content = std::fs::read(self.path(name)).unwrap();
        content[at..at + bytes.len()].copy_from_slice(bytes);
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Runs the program into `out`, or where `more` says.
    pub(crate) fn run(&self, more: &[&str]) -> Output {
        let files = ["--bold", "bold.nii", "--events", "events.tsv", "--mask", "mask.nii"];
        let out: &[&str] = if more.contains(&"--out") { &[] } else { &["--out", "out"] };
        let mut program = Command::new(env!("CARGO_BIN_EXE_mindeye-preprocess"));
        program.current_dir(self.folder.path()).arg("run").args(files).args(out).args(more).output().unwrap()
    }

    pub(crate) fn succeed(&self, more: &[&str]) -> PathBuf {
        let output = self.run(more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.path("out")
    }
}

pub(crate) fn betas(out: &Path) -> Array2<f32> {
    ndarray_npy::read_npy(out.join("betas.npy")).unwrap()
}

pub(crate) fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn recipe(head: &str, tail: &str) -> String {
    format!("{head}\nrevision_lags_s = [7.5]\n[beta]\nkind = \"window\"\n[zscore]\npolicy = \"frozen-per-lag\"\n{tail}")
}
