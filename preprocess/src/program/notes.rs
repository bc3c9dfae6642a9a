//! Counted exclusions and missing steps, one sentence each: on standard error, in the report and in `betas.json` alike.

use crate::program::{Inputs, Quality};
use mindeye_preprocess::AffineSource;
use mindeye_preprocess::offline::{NoBeta, RunBetas};

/// What a reader must know of this run.
pub(crate) fn of(inputs: &Inputs, run: &RunBetas, quality: &Quality) -> Vec<String> {
    let notes = [
        motion(inputs),
        no_go(run),
        unsettled(quality),
        out_of_field(inputs, quality),
        written_bold(inputs),
        place(inputs),
        tr(inputs),
        voxels(inputs),
        never_changed(inputs, run),
        zero_means(run),
    ];
    notes.into_iter().flatten().chain(trials(inputs, run)).collect()
}

fn motion(inputs: &Inputs) -> Option<String> {
    if inputs.corrects_motion() {
        let without = "no --reference: the mask is taken to lie where the run's first volume has it";
        return inputs.reference.is_none().then(|| without.to_owned());
    }
    let reference = if inputs.reference.is_some() { "; the reference was checked and not used" } else { "" };
    Some(format!("head motion was neither estimated nor corrected: its columns are n/a{reference}"))
}

/// The betas are those of wrong voxels then, and nothing in their numbers would show it.
fn no_go(run: &RunBetas) -> Option<String> {
    let registration = run.registration.as_ref().filter(|registration| !registration.go)?;
    Some(format!("do not use these betas: registration is a no-go, {}", registration.objections.join("; ")))
}

fn unsettled(quality: &Quality) -> Option<String> {
    let (unsettled, all) = (quality.unsettled(), quality.volumes.len());
    (unsettled > 0).then(|| {
        format!(
            "head motion did not settle in {unsettled} of {all} volumes (motion_converged is 0): used as it was found"
        )
    })
}

fn out_of_field(inputs: &Inputs, quality: &Quality) -> Option<String> {
    let (most, all) = (quality.most_out_of_field(), inputs.mask.len());
    (most > 0).then(|| {
        format!(
            "up to {most} of {all} mask voxels lay outside a volume's field of view and hold its nearest edge value"
        )
    })
}

/// Where volumes are resampled, only the end of the run shows which voxels never had a signal.
fn never_changed(inputs: &Inputs, run: &RunBetas) -> Option<String> {
    let still = (0..run.moments.mean().len()).filter(|voxel| run.moments.sd(*voxel) == Some(0.0)).count();
    (still > 0).then(|| format!("{still} of {} mask voxels never change over the run", inputs.mask.len()))
}

fn written_bold(inputs: &Inputs) -> Option<String> {
    let told = if inputs.changes_volumes() {
        "desc-preproc_bold.nii.gz lies on the mask's grid and is 0 outside the mask"
    } else {
        "desc-preproc_bold.nii.gz has the volumes as they were read: no step of the recipe changes them"
    };
    inputs.write_bold.then(|| told.to_owned())
}

fn place(inputs: &Inputs) -> Option<String> {
    let unplaced = [(inputs.bold.affine_source, "run"), (inputs.mask_affine, "mask")];
    let names: Vec<_> = unplaced.iter().filter(|(s, _)| *s == AffineSource::Pixdim).map(|(_, name)| *name).collect();
    (!names.is_empty()).then(|| {
        format!(
            "no qform or sform in the header of the {}: only the numbers of voxels were compared, and places are voxel \
             indices",
            names.join(" and of the ")
        )
    })
}

/// What the configuration overruled.
fn tr(inputs: &Inputs) -> Option<String> {
    let tr = &inputs.tr;
    let differs = |stated: Option<f64>| stated.filter(|stated| (stated - tr.tr_s).abs() > 1e-4);
    let header = differs(tr.header_s).map(|s| format!("the header says {s} s"));
    let sidecar = differs(tr.sidecar_s).map(|s| format!("the sidecar says {s} s"));
    let others: Vec<String> = header.into_iter().chain(sidecar).collect();
    (!others.is_empty()).then(|| format!("TR {} s by the {}; {}", tr.tr_s, tr.source, others.join(" and ")))
}

fn voxels(inputs: &Inputs) -> Option<String> {
    let usable = &inputs.usable;
    (usable.excluded() > 0).then(|| {
        format!(
            "{} of {} mask voxels left out, their betas are 0: {} not finite in some volume, {} constant over the run",
            usable.excluded(),
            inputs.mask.len(),
            usable.not_finite,
            usable.constant
        )
    })
}

fn zero_means(run: &RunBetas) -> Option<String> {
    let most = run.betas.iter().map(|beta| beta.voxels_without_beta).max().unwrap_or(0);
    (most > 0).then(|| format!("up to {most} voxels of a trial have no finite estimate (mean 0), their betas are 0"))
}

fn trials(inputs: &Inputs, run: &RunBetas) -> Vec<String> {
    let count = |which: fn(&NoBeta) -> bool| run.without.iter().filter(|trial| which(&trial.reason)).count();
    let early = inputs.trials.iter().filter(|trial| trial.event.onset_s < 0.0).count();
    let told = [
        (early, "begin before the first volume"),
        (count(|r| matches!(r, NoBeta::AfterRun { .. })), "begin at or after the end of the run and have no beta"),
        (count(|r| matches!(r, NoBeta::Unfinished { .. })), "were not due before the run ended and have no beta"),
        (count(|r| matches!(r, NoBeta::Missed(_) | NoBeta::Undetermined)), "could not be estimated and have no beta"),
    ];
    let all = inputs.trials.len();
    told.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} of {all} trials {what}")).collect()
}
