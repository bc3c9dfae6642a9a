//! The BIDS derivatives of a run: tables of confounds and betas, each with the JSON that says what its numbers are.

use crate::program::summary::mode_name;
use crate::program::{Facts, ProgramError, staging};
use mindeye_preprocess::offline::Mode;
use mindeye_preprocess::write_bold;
use ndarray::Array2;
use serde_json::{Value, json};
use std::path::Path;

/// Writes all files but the report into `folder`.
pub(crate) fn write(facts: &Facts, folder: &Path) -> Result<(), ProgramError> {
    staging::write(folder, "dataset_description.json", pretty(&description()))?;
    staging::write(folder, "desc-confounds_timeseries.tsv", confounds(facts))?;
    staging::write(folder, "desc-confounds_timeseries.json", pretty(&confound_columns()))?;
    staging::write(folder, "betas.tsv", beta_table(facts))?;
    staging::write(folder, "betas.json", pretty(&beta_sidecar(facts)))?;
    write_betas(facts, &folder.join("betas.npy"))?;
    if facts.inputs.write_bold {
        let bold = &facts.inputs.bold;
        let path = folder.join("desc-preproc_bold.nii.gz");
        let written = write_bold(&path, &bold.grid, facts.inputs.tr.tr_s, bold.dtype, &bold.volumes);
        written.map_err(|error| staging::unwritable(&path)(std::io::Error::other(error)))?;
    }
    Ok(())
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

/// One line per volume; `n/a` for what is not known of it.
fn confounds(facts: &Facts) -> String {
    let quality = &facts.quality;
    let mut table = format!("{}\tframewise_displacement\tdvars\tglobal_signal\n", MOTION.join("\t"));
    for (dvars, global_signal) in quality.dvars.iter().zip(&quality.global_signal) {
        let dvars = dvars.map_or("n/a".into(), |dvars| format!("{dvars:.6}"));
        table.push_str(&format!("{}{dvars}\t{global_signal:.6}\n", "n/a\t".repeat(MOTION.len() + 1)));
    }
    table
}

fn confound_columns() -> Value {
    let column = |description: &str, units: &str| json!({ "Description": description, "Units": units });
    let mut columns = serde_json::Map::new();
    for (name, unit) in MOTION.into_iter().zip(["mm", "mm", "mm", "rad", "rad", "rad"]) {
        columns.insert(name.into(), column("head motion against the reference, RAS+", unit));
    }
    let rows = [
        ("framewise_displacement", "Power 2012, rotations on a sphere of 50 mm", "mm"),
        ("dvars", "RMS over the mask of the change since the volume before", "percent of the run's mean signal"),
        ("global_signal", "mean over the mask", "scanner"),
    ];
    rows.into_iter().for_each(|(name, what, unit)| drop(columns.insert(name.into(), column(what, unit))));
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
        "voxels_excluded": { "not_finite": inputs.usable.not_finite, "constant": inputs.usable.constant },
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
