//! Runs as BIDS files: what a dataset of a real participant looks like, and beside it the truth that no real one has.
//!
//! ```text
//!   dataset_description.json   participants.tsv
//!   sub-01/ses-01/func/sub-01_ses-01_task-images_run-01_bold.nii.gz, _bold.json, _events.tsv
//!   stimuli/train-00017.png
//!   derivatives/truth/sub-01/mask.nii.gz, reference.nii.gz, voxels.tsv
//!   derivatives/truth/sub-01/sub-01_ses-01_task-images_run-01_desc-motion_timeseries.tsv, _desc-trials.tsv,
//!       _desc-answers.npy: what a perfect estimate of the betas would be, f32[trials, voxels]
//! ```

use crate::bold::BoldRun;
use crate::picture::{Picture, SIDE, WORLD};
use mindeye_preprocess::{PreprocessError, VoxelType, write_bold, write_volume};
use ndarray::Array2;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Why a dataset cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum BidsWriteError {
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A picture.
    #[error("{}: {source}", path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
        /// What the encoder said.
        source: image::ImageError,
    },
    /// An array.
    #[error("{}: {source}", path.display())]
    Array {
        /// The array's file.
        path: PathBuf,
        /// What the writer said.
        source: ndarray_npy::WriteNpyError,
    },
    /// A NIfTI file.
    #[error(transparent)]
    Nifti(#[from] PreprocessError),
}

/// Names of a run's files.
struct Names {
    folder: PathBuf,
    truth: PathBuf,
    stem: String,
}

impl Names {
    fn new(root: &Path, name: &str, session: usize, run: usize) -> Self {
        let session = format!("ses-{:02}", session + 1);
        let stem = format!("{name}_{session}_task-images_run-{:02}", run + 1);
        Self {
            folder: root.join(name).join(session).join("func"),
            truth: root.join("derivatives/truth").join(name),
            stem,
        }
    }

    fn func(&self, end: &str) -> PathBuf {
        self.folder.join(format!("{}_{end}", self.stem))
    }

    fn truth(&self, end: &str) -> PathBuf {
        self.truth.join(format!("{}_{end}", self.stem))
    }
}

/// Writes `scan` as run `run` of session `session` (both from 0) of the participant `name` into the dataset at `root`;
/// files that are there already are written anew. A run has 330 volumes or so, 97 MB before compression.
///
/// # Errors
/// [`BidsWriteError`] naming the file.
pub fn write_run(
    root: &Path,
    name: &str,
    session: usize,
    run: usize,
    scan: &mut BoldRun,
) -> Result<PathBuf, BidsWriteError> {
    let names = Names::new(root, name, session, run);
    for folder in [&names.folder, &names.truth, &root.join("stimuli")] {
        std::fs::create_dir_all(folder).map_err(file_error(folder))?;
    }
    write_dataset(root, name, scan)?;
    write_pictures(root, scan)?;
    write_text(&names.func("events.tsv"), &events(scan))?;
    write_text(&names.func("bold.json"), &sidecar(scan))?;
    write_truth(&names, scan)?;
    let volumes: Vec<Vec<u8>> =
        (0..scan.volume_count()).map(|i| scan.volume(i).iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let bold = names.func("bold.nii.gz");
    write_bold(&bold, scan.grid(), scan.tr_s(), VoxelType::Int16, &volumes)?;
    Ok(bold)
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> BidsWriteError + '_ {
    |source| BidsWriteError::File { path: path.to_owned(), source }
}

fn write_text(path: &Path, text: &str) -> Result<(), BidsWriteError> {
    std::fs::write(path, text).map_err(file_error(path))
}

fn write_dataset(root: &Path, name: &str, scan: &BoldRun) -> Result<(), BidsWriteError> {
    let description = json!({
        "Name": "synthetic participants of MindEye live",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "CC0",
        "GeneratedBy": [{"Name": "mindeye-participants", "Version": env!("CARGO_PKG_VERSION")}],
    });
    write_text(&root.join("dataset_description.json"), &format!("{description:#}\n"))?;
    let path = root.join("participants.tsv");
    let before = std::fs::read_to_string(&path).unwrap_or_else(|_| "participant_id\tvoxels\ttr_s\n".into());
    if before.lines().any(|line| line.starts_with(&format!("{name}\t"))) {
        return Ok(());
    }
    let voxels = scan.participant().mask().len();
    write_text(&path, &format!("{before}{name}\t{voxels}\t{}\n", scan.tr_s()))
}

fn write_pictures(root: &Path, scan: &BoldRun) -> Result<(), BidsWriteError> {
    for (_, shown) in scan.trials() {
        let path = root.join("stimuli").join(format!("{}.png", shown.picture));
        let bytes = Picture::of(WORLD, shown.picture, SIDE).png();
        let bytes = bytes.map_err(|source| BidsWriteError::Picture { path: path.clone(), source })?;
        std::fs::write(&path, bytes).map_err(file_error(&path))?;
    }
    Ok(())
}

fn events(scan: &BoldRun) -> String {
    let mut table = String::from("onset\tduration\ttrial\ttrial_type\timage\tstim_file\n");
    for (event, shown) in scan.trials() {
        let (onset, duration, trial, picture) = (event.onset_s, event.duration_s, event.trial, shown.picture);
        let kind = picture.collection.name();
        table.push_str(&format!("{onset}\t{duration}\t{trial}\t{kind}\t{picture}\t{picture}.png\n"));
    }
    table
}

fn sidecar(scan: &BoldRun) -> String {
    let fields = json!({
        "TaskName": "images",
        "RepetitionTime": scan.tr_s(),
        "Manufacturer": "simulated",
        "Instructions": "fixate the middle of the pictures",
    });
    format!("{fields:#}\n")
}

fn write_truth(names: &Names, scan: &BoldRun) -> Result<(), BidsWriteError> {
    let participant = scan.participant();
    participant.mask().write(&names.truth.join("mask.nii.gz"))?;
    let rest: Vec<u8> = participant.anatomy().intensity().iter().flat_map(|v| v.to_le_bytes()).collect();
    write_volume(&names.truth.join("reference.nii.gz"), scan.grid(), VoxelType::Float32, &rest)?;
    write_text(&names.truth.join("voxels.tsv"), &voxels(scan))?;
    write_answers(&names.truth("desc-answers.npy"), scan)?;
    let mut motion = String::from("trans_x\ttrans_y\ttrans_z\trot_x\trot_y\trot_z\n");
    for index in 0..scan.volume_count() {
        let row = scan.motion(index).0.map(|v| format!("{v:.6}"));
        motion.push_str(&format!("{}\n", row.join("\t")));
    }
    write_text(&names.truth("desc-motion_timeseries.tsv"), &motion)?;
    let mut trials = String::from("trial\timage\tseen_before\tgain\tlapse\n");
    for ((event, shown), state) in scan.trials().iter().zip(scan.trial_states()) {
        let (gain, lapse) = (state.gain, u8::from(state.lapse));
        trials.push_str(&format!("{}\t{}\t{}\t{gain:.4}\t{lapse}\n", event.trial, shown.picture, shown.seen_before));
    }
    write_text(&names.truth("desc-trials.tsv"), &trials)
}

/// Percent signal change at the response's peak, f32[trials, voxels].
fn write_answers(path: &Path, scan: &BoldRun) -> Result<(), BidsWriteError> {
    let answers = scan.answers();
    let table = Array2::from_shape_fn((answers.len(), scan.participant().mask().len()), |(t, v)| answers[t][v]);
    ndarray_npy::write_npy(path, &table).map_err(|source| BidsWriteError::Array { path: path.to_owned(), source })
}

/// What each voxel of the mask is, in mask order.
fn voxels(scan: &BoldRun) -> String {
    let participant = scan.participant();
    let mut table =
        String::from("area\tfield_right_deg\tfield_up_deg\tfield_radius_deg\tamplitude_percent\thrf_stretch\n");
    let rows = participant.anatomy().sites().iter().zip(participant.amplitude()).zip(scan.hrf_stretch());
    for ((site, amplitude), stretch) in rows {
        let ([right, up], radius) = (site.centre_deg, site.radius_deg);
        table.push_str(&format!("{:?}\t{right:.3}\t{up:.3}\t{radius:.3}\t{amplitude:.4}\t{stretch:.4}\n", site.area));
    }
    table
}
