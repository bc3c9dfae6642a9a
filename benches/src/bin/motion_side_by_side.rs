//! Writes simulated runs with known motion, and what our motion correction makes of them, for a peer to be set beside.
//!
//! `motion_side_by_side FOLDER` makes three folders per matrix: `run.nii.gz`, `brain.nii.gz`, `truth.tsv` (six
//! numbers per volume, as `Motion`), `centre.tsv` and `ours.tsv` (six numbers, milliseconds of estimate and of
//! resampling). `tests/oracle/rtspm_bench.py FOLDER` runs the peer on the same files and joins the two.
#![allow(clippy::print_stderr, reason = "a program that tells how far it is")]

use mindeye_config::SystemClock;
use mindeye_preprocess::motion::{MotionCorrector, MotionSettings, Rigid, centre_mm};
use mindeye_preprocess::phantom::head;
use mindeye_preprocess::resample::Volume;
use mindeye_preprocess::{Grid, Mask, Pattern, RawVolume, VoxelType, write_bold};
use std::fmt::Write;
use std::path::Path;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const VOLUMES: u32 = 24;
const SFNR: f64 = 70.0;
const SEEDS: [u64; 3] = [7, 8, 9];
const MATRICES: [(&str, [usize; 3], f64); 5] = [
    ("64x64x32", [64, 64, 32], 3.0),
    ("64x64x36", [64, 64, 36], 3.0),
    ("74x74x36", [74, 74, 36], 3.0),
    ("74x74x50", [74, 74, 50], 3.0),
    ("104x104x72", [104, 104, 72], 2.0),
];

fn main() -> Outcome<()> {
    let folder = std::env::args().nth(1).ok_or("usage: motion_side_by_side FOLDER")?;
    for (name, dim, mm) in MATRICES {
        for seed in SEEDS {
            let folder = Path::new(&folder).join(format!("{name}-{seed}"));
            std::fs::create_dir_all(&folder)?;
            side(&folder, &axial(dim, mm), seed)?;
            eprintln!("{} done", folder.display());
        }
    }
    Ok(())
}

/// RAS+, the grid's centre at 0 mm.
fn axial(dim: [usize; 3], mm: f64) -> Grid {
    let row = |axis: usize| {
        let mut row = [0.0; 4];
        (row[axis], row[3]) = (mm, -mm * (dim[axis] as f64 - 1.0) / 2.0);
        row
    };
    Grid { dim, affine: [row(0), row(1), row(2), [0., 0., 0., 1.]] }
}

fn side(folder: &Path, grid: &Grid, seed: u64) -> Outcome<()> {
    let centre = centre_mm(grid);
    let truth = |index: u32| head::wander(seed, index);
    let acquired = |index: u32| head::acquire(&head::volume(grid, &truth(index).about(centre)), SFNR, seed, index);
    let volumes: Vec<Vec<u8>> = (0..VOLUMES).map(acquired).collect();
    let brain = Mask::from_voxels(grid.clone(), head::brain_voxels(grid))?;
    brain.write(&folder.join("brain.nii.gz"))?;
    write_bold(&folder.join("run.nii.gz"), grid, 1.5, VoxelType::Int16, &volumes)?;
    let table = (0..VOLUMES).map(|index| truth(index).0.map(|v| v.to_string()).join("\t") + "\n");
    std::fs::write(folder.join("truth.tsv"), table.collect::<String>())?;
    std::fs::write(folder.join("centre.tsv"), centre.map(|v| v.to_string()).join("\t") + "\n")?;
    std::fs::write(folder.join("ours.tsv"), ours(grid, &volumes, &brain)?)?;
    Ok(())
}

/// Each volume's motion and times; the mask is the whole brain, more than any decoder reads.
fn ours(grid: &Grid, volumes: &[Vec<u8>], brain: &Mask) -> Outcome<String> {
    let clock = SystemClock::start();
    let raw = |index: usize| RawVolume::new(VoxelType::Int16, grid.voxel_count(), &volumes[index]);
    let reference = Volume::from_raw(grid.clone(), raw(0)?)?;
    let mut pattern = Pattern::zeros(brain.len());
    let settings = MotionSettings::default();
    let mut corrector = MotionCorrector::new(&reference, grid, brain, Rigid::IDENTITY, settings)?;
    let mut table = String::new();
    for index in 0..volumes.len() {
        let start = clock.now();
        let estimate = corrector.estimate(raw(index)?)?;
        let estimated = clock.now();
        corrector.resample_into(&estimate.rigid, &mut pattern);
        let (motion_ms, resample_ms) = (ms(estimated.since(start)), ms(clock.now().since(estimated)));
        let six = estimate.motion.0.map(|v| v.to_string()).join("\t");
        writeln!(table, "{six}\t{motion_ms}\t{resample_ms}")?;
    }
    Ok(table)
}

fn ms(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
