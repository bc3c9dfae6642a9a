//! The BIDS derivatives of a run: tables of confounds and betas, each with the JSON that says what its numbers are.

use crate::program::summary::mode_name;
use crate::program::{Facts, ProgramError, staging};
use mindeye_config::MotionReference;
use mindeye_preprocess::offline::Mode;
use mindeye_preprocess::quality::VolumeQuality;
use mindeye_preprocess::{Mask, Pattern, PreprocessError, VoxelType, write_bold};
use ndarray::Array2;
use serde_json::{Value, json};
use std::path::Path;

/// Writes all files but the report into `folder`.
pub(crate) fn write(facts: &Facts, folder: &Path) -> Result<(), ProgramError> {
    staging::write(folder, "dataset_description.json", pretty(&description()))?;
    staging::write(folder, "desc-confounds_timeseries.tsv", confounds(facts))?;
    staging::write(folder, "desc-confounds_timeseries.json", pretty(&confound_columns(facts)))?;
    staging::write(folder, "betas.tsv", beta_table(facts))?;
    staging::write(folder, "betas.json", pretty(&beta_sidecar(facts)))?;
    write_betas(facts, &folder.join("betas.npy"))?;
    if facts.inputs.write_bold {
        let path = folder.join("desc-preproc_bold.nii.gz");
        bold(facts, &path).map_err(|error| staging::unwritable(&path)(std::io::Error::other(error)))?;
    }
    Ok(())
}

/// The run as estimates saw it: on the mask's grid with 0 outside the mask, or as it was read where no stage changed it.
fn bold(facts: &Facts, path: &Path) -> Result<(), PreprocessError> {
    let (bold, tr_s) = (&facts.inputs.bold, facts.inputs.tr.tr_s);
    if !facts.inputs.changes_volumes() {
        return write_bold(path, &bold.grid, tr_s, bold.dtype, &bold.volumes);
    }
    let mask = &facts.inputs.usable.mask;
    let volumes: Vec<Vec<u8>> = facts.patterns.iter().map(|pattern| on_grid(mask, pattern)).collect();
    write_bold(path, mask.grid(), tr_s, VoxelType::Float32, &volumes)
}

/// Raw float32 of a pattern, 0 outside the mask.
fn on_grid(mask: &Mask, pattern: &Pattern) -> Vec<u8> {
    let mut bytes = vec![0; 4 * mask.grid().voxel_count()];
    for (voxel, value) in mask.voxels().iter().zip(&pattern.0) {
        bytes[4 * *voxel as usize..][..4].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

fn description() -> Value {
    json!({
        "Name": "MindEye live preprocessing",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{ "Name": "mindeye-preprocess", "Version": env!("CARGO_PKG_VERSION") }],
    })
}

/// Translations and rotations as fMRIPrep names them.
const MOTION: [&str; 6] = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"];

/// What is told of each volume after the six, with unit and meaning.
const COLUMNS: [(&str, &str, &str); 8] = [
    ("framewise_displacement", "Power 2012, rotations on a sphere of 50 mm", "mm"),
    ("dvars", "RMS over the mask of the change since the volume before", "percent of the run's mean signal"),
    ("global_signal", "mean over the mask", "scanner"),
    ("rmsd", "Jenkinson 1999, RMS displacement since the volume before over a sphere of 80 mm", "mm"),
    ("motion_residual", "weighted RMS difference to what the volume was compared with", "percent of its mean"),
    ("motion_converged", "1 where the estimate of motion settled, 0 where it was used as it was found", "none"),
    ("out_of_field", "mask voxels more than half a voxel outside the volume, which hold its edge", "voxels"),
    ("spike", "1 where the live DVARS lay above the upper quartile so far by 1.5 interquartile ranges", "none"),
];

/// One line per volume; `n/a` for what is not known of it.
fn confounds(facts: &Facts) -> String {
    let names: Vec<&str> = MOTION.into_iter().chain(COLUMNS.map(|(name, ..)| name)).collect();
    let mut table = names.join("\t") + "\n";
    for at in 0..facts.quality.volumes.len() {
        table.push_str(&(confounds_of(facts, at).join("\t") + "\n"));
    }
    table
}

fn confounds_of(facts: &Facts, at: usize) -> Vec<String> {
    let (quality, volume) = (&facts.quality, &facts.quality.volumes[at]);
    let known = |value: Option<f64>| value.map_or("n/a".into(), |value| format!("{value:.6}"));
    let flag = |flag: bool| u8::from(flag).to_string();
    let six = (0..6).map(|parameter| known(volume.motion.map(|motion| motion.0[parameter])));
    let VolumeQuality { framewise_displacement_mm, fd_jenkinson_mm, residual_percent, converged, .. } = *volume;
    let rest = [
        known(framewise_displacement_mm),
        known(quality.dvars[at]),
        known(Some(quality.global_signal[at])),
        known(fd_jenkinson_mm),
        known(residual_percent),
        converged.map_or("n/a".into(), flag),
        volume.motion.map_or("n/a".into(), |_| volume.out_of_field.to_string()),
        flag(volume.spike),
    ];
    six.chain(rest).collect()
}

fn confound_columns(facts: &Facts) -> Value {
    let column = |description: &str, units: &str| json!({ "Description": description, "Units": units });
    let against = match facts.inputs.recipe.motion.against {
        MotionReference::FirstVolume => "head motion against the run's first volume, RAS+, about its grid's centre",
        MotionReference::Session => "head motion against the session reference, RAS+, about its grid's centre",
    };
    let mut columns = serde_json::Map::new();
    for (name, unit) in MOTION.into_iter().zip(["mm", "mm", "mm", "rad", "rad", "rad"]) {
        columns.insert(name.into(), column(against, unit));
    }
    COLUMNS.into_iter().for_each(|(name, what, unit)| drop(columns.insert(name.into(), column(what, unit))));
    columns.into()
}

fn beta_table(facts: &Facts) -> String {
    let columns =
        ["trial", "onset_s", "first_volume", "last_volume", "beta_revision", "volumes_used", "seconds_after_onset"];
    let mut table = columns.join("\t") + "\n";
    for beta in &facts.run.betas {
        let (trial, onset_s, first, last) = (beta.trial, beta.onset_s, beta.first_volume, beta.last_volume);
        let (revision, used, seconds) = (beta.beta_revision, beta.volumes_used, beta.seconds_after_onset);
        table.push_str(&format!("{trial}\t{onset_s}\t{first}\t{last}\t{revision}\t{used}\t{seconds}\n"));
    }
    table
}

fn beta_sidecar(facts: &Facts) -> Value {
    let (inputs, run) = (&facts.inputs, &facts.run);
    let decode_after_s = match inputs.mode {
        Mode::Online { decode_after_s } => Some(decode_after_s),
        Mode::Offline => None,
    };
    let without = run.without.iter().map(|trial| {
        json!({ "trial": trial.event.trial, "onset_s": trial.event.onset_s, "reason": trial.reason.to_string() })
    });
    json!({
        "shape": { "trials": run.betas.len(), "voxels": inputs.mask.len() },
        "voxel_order": "non-zero voxels of the mask, ascending linear index, x fastest",
        "unit": inputs.recipe.unit,
        "mode": mode_name(inputs.mode),
        "decode_after_s": decode_after_s,
        "estimator": inputs.recipe.estimator(),
        "recipe": inputs.recipe,
        "tr": { "seconds": inputs.tr.tr_s, "source": inputs.tr.source },
        "clock": "nominal",
        "registration": run.registration,
        "voxels_excluded": { "not_finite": inputs.usable.not_finite, "constant": inputs.usable.constant },
        "accuracy_against_truth": facts.accuracy,
        "trials_without_beta": without.collect::<Vec<_>>(),
        "notes": facts.notes,
        "inputs": inputs.files,
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// `f32[trials, voxels]`, whole mask; trials ascending.
fn write_betas(facts: &Facts, path: &Path) -> Result<(), ProgramError> {
    let shape = (facts.run.betas.len(), facts.inputs.mask.len());
    let values = facts.run.betas.iter().flat_map(|beta| facts.inputs.usable.in_whole_mask(&beta.beta)).collect();
    let betas = Array2::from_shape_vec(shape, values).expect("each pattern is spread over the whole mask");
    ndarray_npy::write_npy(path, &betas).map_err(|error| staging::unwritable(path)(std::io::Error::other(error)))
}

fn pretty(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).expect("JSON values print");
    text + "\n"
}
