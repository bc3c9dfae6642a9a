//! Motion correction per volume: estimate, reading of the mask, and both, at two matrices.
//!
//! The peer is Python and cannot run inside criterion: `tests/oracle/rtspm_bench.py` times it beside us on the same runs,
//! and benches/results/motion-*.json keeps both. Of python-rtspm 0.2.18 on one core of the machine named there:
//! 178 ms per volume at 64x64x36 and 795 ms at 104x104x72.

use criterion::{Criterion, criterion_group, criterion_main};
use mindeye_preprocess::motion::{Corrected, MotionCorrector, MotionSettings, Rigid, centre_mm};
use mindeye_preprocess::phantom::head;
use mindeye_preprocess::resample::{Kernel, Volume};
use mindeye_preprocess::{Grid, Mask, Pattern, RawVolume, Stage, VoxelType};
use std::hint::black_box;

const SFNR: f64 = 70.0;
const VOLUMES: u32 = 6;

/// RAS+, the grid's centre at 0 mm.
fn axial(dim: [usize; 3], mm: f64) -> Grid {
    let row = |axis: usize| {
        let mut row = [0.0; 4];
        (row[axis], row[3]) = (mm, -mm * (dim[axis] as f64 - 1.0) / 2.0);
        row
    };
    Grid { dim, affine: [row(0), row(1), row(2), [0., 0., 0., 1.]] }
}

/// The posterior part of the brain: what a visual decoder reads.
fn posterior(grid: &Grid) -> Mask {
    let [nx, ny, _] = grid.dim;
    let y_mm = |voxel: u32| {
        let voxel = voxel as usize;
        grid.to_mm([voxel % nx, voxel / nx % ny, voxel / (nx * ny)].map(|n| n as f64))[1]
    };
    let voxels = head::brain_voxels(grid).into_iter().filter(|voxel| y_mm(*voxel) < -20.0).collect();
    Mask::from_voxels(grid.clone(), voxels).expect("the grid holds the back of the head")
}

fn volumes(grid: &Grid) -> Vec<Vec<u8>> {
    let acquired = |index: u32| {
        let pose = head::wander(7, index).about(centre_mm(grid));
        head::acquire(&head::volume(grid, &pose), SFNR, 7, index)
    };
    (0..VOLUMES).map(acquired).collect()
}

fn motion(c: &mut Criterion) {
    for (name, dim, mm) in [("64x64x36", [64, 64, 36], 3.0), ("104x104x72", [104, 104, 72], 2.0)] {
        let grid = axial(dim, mm);
        let volumes = volumes(&grid);
        let raw = |n: usize| RawVolume::new(VoxelType::Int16, grid.voxel_count(), &volumes[n]).expect("made to size");
        let reference = Volume::from_raw(grid.clone(), raw(0)).expect("finite");
        let mask = posterior(&grid);
        let corrector = |kernel: Kernel| {
            let settings = MotionSettings { kernel, ..MotionSettings::default() };
            MotionCorrector::new(&reference, &grid, &mask, Rigid::IDENTITY, settings).expect("a head")
        };
        let mut group = c.benchmark_group(format!("motion/{name}"));
        group.sample_size(20);
        let mut moving = (1..volumes.len()).cycle();
        let mut next = || raw(moving.next().expect("it cycles"));
        let mut stage = corrector(Kernel::CubicBspline);
        group.bench_function("estimate", |b| b.iter(|| stage.estimate(black_box(next())).expect("a head")));
        let mut still = corrector(Kernel::CubicBspline);
        group.bench_function("estimate, still head", |b| b.iter(|| still.estimate(black_box(raw(0))).expect("a head")));
        for kernel in Kernel::ALL {
            let mut stage = corrector(kernel);
            let pose = stage.estimate(raw(1)).expect("a head").rigid;
            let mut pattern = Pattern::zeros(mask.len());
            let name = format!("read {} voxels, {}", mask.len(), kernel.name());
            group.bench_function(name, |b| b.iter(|| stage.resample_into(black_box(&pose), &mut pattern)));
        }
        let mut out = Corrected::blank(mask.len());
        group.bench_function("whole stage", |b| b.iter(|| stage.process_into(&next(), &mut out).expect("a head")));
        group.finish();
    }
}

criterion_group!(benches, motion);
criterion_main!(benches);
