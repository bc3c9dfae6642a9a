//! What a replay leaves behind: betas, answers, pictures, and how they compare with the record.

use super::replayer::Replayer;
use mindeye_config::NewFolder;
use mindeye_preprocess::TrialBeta;
use ndarray::Array2;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

/// Everything goes into a folder beside `out`, which is renamed once it is whole.
pub(super) fn write(replayer: &Replayer, out: &Path) -> std::io::Result<()> {
    let new = NewFolder::beside(out)?;
    let partial = new.path();
    std::fs::create_dir_all(partial.join("pictures"))?;
    std::fs::write(partial.join("betas.tsv"), betas_table(&replayer.betas))?;
    write_betas(&replayer.betas, replayer.prepared.bundle.mask.len(), &partial.join("betas.npy"))?;
    let lines: Vec<String> = replayer.answers.iter().map(Value::to_string).collect();
    std::fs::write(partial.join("trials.jsonl"), lines.join("\n") + "\n")?;
    for (trial, png) in &replayer.pictures {
        std::fs::write(partial.join(format!("pictures/trial-{trial:04}.png")), png)?;
    }
    if replayer.archives {
        let lines: String = replayer.archive.iter().map(|picture| format!("{}\n", picture.json())).collect();
        std::fs::write(partial.join("archive.jsonl"), lines)?;
    }
    for picture in &replayer.archive {
        std::fs::write(partial.join(picture.path()), &picture.png)?;
    }
    std::fs::write(partial.join("replay.json"), serde_json::to_string_pretty(&replayer.report)?)?;
    new.keep()
}

fn betas_table(betas: &[Arc<TrialBeta>]) -> String {
    let mut table = String::from("trial\tbeta_revision\tlag_s\tonset_s\tfirst_volume\tlast_volume\tvolumes_used\n");
    for beta in betas {
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}",
            beta.trial,
            beta.beta_revision,
            beta.lag_s,
            beta.onset_s,
            beta.first_volume,
            beta.last_volume,
            beta.volumes_used
        );
    }
    table
}

/// f32 [betas, voxels], mask order, the recipe's unit.
fn write_betas(betas: &[Arc<TrialBeta>], voxels: usize, path: &Path) -> std::io::Result<()> {
    let values: Vec<f32> = betas.iter().flat_map(|beta| beta.beta.0.iter().copied()).collect();
    let table = Array2::from_shape_vec((betas.len(), voxels), values).map_err(std::io::Error::other)?;
    ndarray_npy::write_npy(path, &table).map_err(std::io::Error::other)
}
