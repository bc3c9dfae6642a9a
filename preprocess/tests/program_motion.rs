//! `mindeye-preprocess run` on a moving head: the live stages' own betas, motion in the table, the run on the mask's grid.

mod motion_support;

use mindeye_config::{PreprocessConfig, load};
use mindeye_preprocess::motion::{Motion, Rigid, SessionReference, centre_mm};
use mindeye_preprocess::phantom::head;
use mindeye_preprocess::{
    Event, Grid, RawVolume, RunPlan, RunPreprocessor, VoxelType, ZscoreTable, read_bold, write_bold, write_volume,
};
use motion_support::{Scan, axial};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;

const TR_S: f64 = 2.0;
const VOLUMES: u32 = 16;
const RECIPE: &str = "revision_lags_s = [7.5]\n[beta]\nkind = \"ridge-lsa\"\n[hrf]\nkind = \"glover\"\n[motion]\nkind = \"rigid\"\n\
                      [confounds]\nkind = \"motion6\"\n[zscore]\npolicy = \"frozen-per-lag\"\n";

/// A reference and a mask of one day; a run of another, elsewhere, on a grid of other voxels.
struct Room {
    folder: tempfile::TempDir,
    scan: Scan,
    run_grid: Grid,
    volumes: Vec<Vec<u8>>,
}

impl Room {
    fn new() -> Self {
        let scan = Scan::new(axial([36, 36, 26], 6.0), 70.0);
        let run_grid = axial([40, 38, 27], 6.0);
        let placed = Motion([4.0, -3.0, 3.0, 0.05, -0.03, 0.06]).about(centre_mm(&run_grid));
        let pose = |index: u32| -> Rigid { placed.then(&head::wander(3, index).about(centre_mm(&run_grid))) };
        let volume = |index| head::acquire(&head::volume(&run_grid, &pose(index)), 70.0, 5, index);
        let volumes: Vec<_> = (0..VOLUMES).map(volume).collect();
        let room = Self { folder: tempfile::tempdir().unwrap(), scan, run_grid, volumes };
        room.scan.mask.write(&room.path("mask.nii")).unwrap();
        let reference = &room.scan.reference;
        write_volume(&room.path("reference.nii"), &room.scan.grid, VoxelType::Int16, reference).unwrap();
        write_bold(&room.path("bold.nii"), &room.run_grid, TR_S, VoxelType::Int16, &room.volumes).unwrap();
        std::fs::write(room.path("events.tsv"), "onset\tduration\n2\t3\n11\t3\n").unwrap();
        std::fs::write(room.path("recipe.toml"), RECIPE).unwrap();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, more: &[&str]) -> Output {
        let files =
            ["run", "--bold", "bold.nii", "--events", "events.tsv", "--mask", "mask.nii", "--config", "recipe.toml"];
        let mut program = Command::new(env!("CARGO_BIN_EXE_mindeye-preprocess"));
        program.current_dir(self.folder.path()).args(files).args(["--out", "out"]).args(more).output().unwrap()
    }

    /// What the daemon's own calls give.
    fn live_betas(&self) -> Vec<f32> {
        let recipe: PreprocessConfig = load(&self.path("recipe.toml")).unwrap();
        let voxels = self.scan.mask.len();
        let table = ZscoreTable::new(vec![7.5], voxels, vec![0.0; voxels], vec![1.0; voxels]).unwrap();
        let plan = RunPlan {
            volumes: Some(VOLUMES),
            reference: Some(Arc::new(SessionReference::read(&self.path("reference.nii")).unwrap())),
            run_grid: Some(read_bold(&self.path("bold.nii")).unwrap().grid),
            ..RunPlan::default()
        };
        let mask = Arc::new(mindeye_preprocess::Mask::read(&self.path("mask.nii")).unwrap());
        let mut run = RunPreprocessor::planned(&recipe, mask, Arc::new(table), TR_S, 16, &plan).unwrap();
        for (trial, onset_s) in [(0, 2.0), (1, 11.0)] {
            run.set_event(Event { trial, onset_s, duration_s: 3.0 }).unwrap();
        }
        let mut betas = Vec::new();
        for (index, bytes) in (0u32..).zip(&self.volumes) {
            let raw = RawVolume::new(VoxelType::Int16, self.run_grid.voxel_count(), bytes).unwrap();
            run.estimate_motion(&raw).unwrap();
            run.resample(raw).unwrap();
            run.advance(index, f64::from(index) * TR_S).unwrap();
            betas.extend(run.due_betas().unwrap().into_iter().flat_map(|beta| beta.beta.0));
        }
        betas
    }
}

#[test]
fn a_moving_run_gives_the_live_betas_and_tells_its_motion() {
    let room = Room::new();
    let output = room.run(&["--reference", "reference.nii", "--write-bold"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = room.path("out");
    let betas: ndarray::Array2<f32> = ndarray_npy::read_npy(out.join("betas.npy")).unwrap();
    assert_eq!(betas.as_slice().unwrap(), room.live_betas(), "offline is online");

    let table = std::fs::read_to_string(out.join("desc-confounds_timeseries.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows[0][5..8], ["rot_z", "framewise_displacement", "dvars"]);
    assert_eq!((rows[1][6], rows.len()), ("n/a", VOLUMES as usize + 1));
    let found: Vec<f64> = rows[16][..6].iter().map(|cell| cell.parse().unwrap()).collect();
    let first = head::wander(3, 0).about(centre_mm(&room.run_grid));
    let truth = first.inverse().then(&head::wander(3, 15).about(centre_mm(&room.run_grid)));
    let truth = truth.motion(centre_mm(&room.run_grid)).0;
    for (found, truth) in found.iter().zip(truth) {
        // 0.15 mm and 0.15 rad on voxels of 6 mm; the motion is of millimetres. Turns agree to 0.003 rad below.
        assert!((found - truth).abs() < 0.15, "{found} against {truth}");
    }
    assert!((found[5] - truth[5]).abs() < 0.003, "{} against {}", found[5], truth[5]);

    let written = read_bold(&out.join("desc-preproc_bold.nii.gz")).unwrap();
    assert_eq!((written.grid.dim, written.volumes.len()), (room.scan.grid.dim, VOLUMES as usize));
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("<b>Go.</b> The first volume was found in reference.nii") && report.contains("Head turn"));
}

#[test]
fn a_wrong_reference_is_told_first_of_all() {
    let room = Room::new();
    let noise = head::acquire(&vec![500.0; room.scan.grid.voxel_count()], 5.0, 3, 3);
    write_volume(&room.path("reference.nii"), &room.scan.grid, VoxelType::Int16, &noise).unwrap();
    let output = room.run(&["--reference", "reference.nii"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("do not use these betas: registration is a no-go"), "{told}");
}

/// With motion every voxel counts, in the mask or not: a neighbour may be read.
#[test]
fn a_voxel_without_a_number_is_named_with_its_volume() {
    let room = Room::new();
    let floats = |bytes: &Vec<u8>| bytes.as_chunks::<2>().0.iter().map(|w| f32::from(i16::from_le_bytes(*w))).collect();
    let mut volumes: Vec<Vec<f32>> = room.volumes.iter().map(floats).collect();
    volumes[3][7] = f32::NAN;
    let bytes: Vec<Vec<u8>> = volumes.iter().map(|v| v.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    write_bold(&room.path("bold.nii"), &room.run_grid, TR_S, VoxelType::Float32, &bytes).unwrap();
    let output = room.run(&["--reference", "reference.nii"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{told}");
    assert!(told.contains("volume 3: voxel 7 (linear index, x fastest) is NaN"), "{told}");
    assert!(!room.path("out").exists());
}

/// Voxel sizes of 1 mm, which a header has that was never told them: no error further in would say what is wrong.
#[test]
fn a_grid_too_small_for_a_head_is_refused_with_its_millimetres() {
    let room = Room::new();
    let mut grid = room.run_grid.clone();
    grid.affine.iter_mut().take(3).flatten().for_each(|v| *v /= 6.0);
    write_bold(&room.path("bold.nii"), &grid, TR_S, VoxelType::Int16, &room.volumes).unwrap();
    let output = room.run(&["--reference", "reference.nii"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{told}");
    assert!(told.contains("the run has voxels of 1.0 x 1.0 x 1.0 mm, and spans 40.0 x 38.0 x 27.0: no head"), "{told}");
}

#[test]
fn a_volume_that_cannot_be_followed_is_named_and_nothing_is_left() {
    let room = Room::new();
    let mut volumes = room.volumes.clone();
    volumes[5] = vec![0; volumes[5].len()];
    write_bold(&room.path("bold.nii"), &room.run_grid, TR_S, VoxelType::Int16, &volumes).unwrap();
    let output = room.run(&["--reference", "reference.nii"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{told}");
    assert!(told.contains("volume 5: the volume shows nothing that could move"), "{told}");
    let left = std::fs::read_dir(room.folder.path()).unwrap().count();
    assert_eq!(left, 5, "mask, reference, run, events and recipe");
}
