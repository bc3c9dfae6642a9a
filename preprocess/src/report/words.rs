//! The run in plain language: what was done, in which order, with its numbers.

use crate::program::{Facts, quantile};
use crate::report::page::escape;
use mindeye_config::{BetaKind, BetaUnit, DespikeKind, Drift, MotionReference, PreprocessConfig, SliceTimingKind};
use mindeye_preprocess::offline::Mode;
use serde::Serialize;

/// One sentence for someone who reads no further.
pub(crate) fn lead(facts: &Facts) -> String {
    let (inputs, run) = (&facts.inputs, &facts.run);
    let mode = match inputs.mode {
        Mode::Online { .. } => "each as the live program would have had it",
        Mode::Offline => "each from the whole run",
    };
    format!(
        "{} of {} trials were estimated in {} voxels, {mode}.",
        run.betas.len(),
        inputs.trials.len(),
        grouped(inputs.usable.mask.len())
    )
}

/// The numbers that come first.
pub(crate) fn cards(facts: &Facts) -> Vec<(String, &'static str)> {
    let inputs = &facts.inputs;
    let tsnr: Vec<f64> = facts.quality.tsnr.iter().map(|v| f64::from(*v)).collect();
    let flagged = facts.quality.dvars_outliers().map_or("–".into(), |(count, _)| count.to_string());
    vec![
        (inputs.bold.volumes.len().to_string(), "volumes"),
        (format!("{} s", number(inputs.tr.tr_s)), "TR"),
        (clock(inputs.end_s()), "length, min:s"),
        (grouped(inputs.usable.mask.len()), "voxels"),
        (format!("{} of {}", facts.run.betas.len(), inputs.trials.len()), "trials with a beta"),
        (quantile(&tsnr, 0.5).map_or("–".into(), |median| format!("{median:.0}")), "median tSNR"),
        (flagged, "volumes of high DVARS"),
        fd_card(facts),
    ]
}

fn fd_card(facts: &Facts) -> (String, &'static str) {
    match facts.quality.mean_fd_mm() {
        Some(mean) => (format!("{} mm", number(mean)), "mean framewise displacement"),
        None => ("–".into(), "mean FD, not estimated"),
    }
}

/// What was done to volumes on the mask.
fn filters_sentence(facts: &Facts) -> String {
    let recipe = &facts.inputs.recipe;
    let done = [
        (
            recipe.despike.kind == DespikeKind::Kalman,
            "spikes of single voxels taken out (modified Kalman filter)".into(),
        ),
        (recipe.slice_timing.kind == SliceTimingKind::Linear, "slices brought to the volume's start".into()),
        (
            recipe.smoothing.fwhm_mm > 0.0,
            format!("smoothed inside the mask by {} mm", number(recipe.smoothing.fwhm_mm)),
        ),
        (recipe.averaging.volumes > 1, format!("averaged over the last {} volumes", recipe.averaging.volumes)),
    ];
    let done: Vec<String> = done.into_iter().filter(|(on, _)| *on).map(|(_, what)| what).collect();
    if done.is_empty() {
        return "Nothing was smoothed, filtered or shifted in time.".into();
    }
    format!("In this order: {}.", done.join(", "))
}

fn mask_sentence(facts: &Facts) -> String {
    let (inputs, usable) = (&facts.inputs, &facts.inputs.usable);
    let selects = format!("The mask selects {} voxels.", grouped(inputs.mask.len()));
    if inputs.corrects_motion() {
        return selects;
    }
    let (not_finite, constant) = (grouped(usable.not_finite), grouped(usable.constant));
    format!("{selects} Left out of them: {not_finite} where some volume is not finite, {constant} that never change.")
}

/// How volumes came onto the mask.
fn alignment_sentence(facts: &Facts) -> String {
    let (inputs, motion) = (&facts.inputs, &facts.inputs.recipe.motion);
    if !inputs.corrects_motion() {
        return "The head was taken to lie still: the mask's voxels were taken out of each volume as they were.".into();
    }
    let registered = match (&facts.run.registration, motion.against) {
        (None, _) => "its first volume, on which the mask was taken to lie".into(),
        (Some(registration), MotionReference::FirstVolume) => {
            format!("its first volume, which was registered to {}", registration.reference)
        }
        (Some(registration), MotionReference::Session) => registration.reference.clone(),
    };
    format!(
        "Head motion of each volume (six numbers) was estimated against {registered}; all maps were composed, and the \
         mask's voxels read where the head was, once, by {} interpolation.",
        written(&motion.kernel)
    )
}

/// The steps in their order.
pub(crate) fn steps(facts: &Facts) -> String {
    let inputs = &facts.inputs;
    let [x, y, z] = inputs.bold.grid.dim;
    let size = inputs.bold.grid.voxel_sizes_mm().map(number);
    let steps = [
        format!(
            "The run was read: {} volumes of {x} × {y} × {z} voxels of {} mm, one every {} s (the {} says so).",
            inputs.bold.volumes.len(),
            size.join(" × "),
            number(inputs.tr.tr_s),
            inputs.tr.source
        ),
        mask_sentence(facts),
        alignment_sentence(facts),
        filters_sentence(facts),
        "Volumes went one by one, in order, through the stages of the live program: brought onto the mask, added to each \
         voxel's running mean, and to what the trials' estimates look back on."
            .into(),
        format!("The events table has {} trials: {}.", inputs.trials.len(), kinds(facts)),
        estimate_sentence(facts),
        mode_sentence(facts),
    ];
    let items: String = steps.iter().map(|step| format!("<li>{}</li>", escape(step))).collect();
    format!("<ol>{items}</ol>")
}

/// How one trial became one beta.
pub(crate) fn estimate_sentence(facts: &Facts) -> String {
    let recipe = &facts.inputs.recipe;
    let (beta, unit) = (&recipe.beta, unit(facts));
    if beta.kind != BetaKind::Window {
        return model_sentence(recipe, &unit);
    }
    let baseline = match beta.baseline_s {
        0.0 => "the mean of the run so far".into(),
        seconds => format!("the mean of the {} s before the onset", number(seconds)),
    };
    let (from, to) = (number(beta.window_start_s), number(beta.window_end_s));
    format!(
        "A beta is the mean of the volumes sampled {from} to {to} s after the trial's onset, less {baseline}, in {unit}. \
         What earlier trials leave in the window stays in it."
    )
}

fn model_sentence(recipe: &PreprocessConfig, unit: &str) -> String {
    let columns = match recipe.beta.kind {
        BetaKind::Lss => "one column for the trial and one for all others, fitted anew for each trial (lss)".into(),
        BetaKind::RidgeLsa => {
            format!("one column per trial, all fitted together with a ridge of {}", number(recipe.beta.ridge_alpha))
        }
        _ => "one column per trial, all fitted together (lsa)".to_owned(),
    };
    let drift = match recipe.drift.kind {
        Drift::None => "no drift columns".into(),
        kind => format!("{} drift up to {} Hz", written(&kind), recipe.drift.cutoff_hz),
    };
    format!(
        "A beta is a trial's amplitude in a linear model of the run, in {unit} at the {} of the response: {columns}; \
         response {}, {drift}, confounds {}, noise {}.",
        written(&recipe.hrf.height),
        written(&recipe.hrf.kind),
        written(&recipe.confounds.kind),
        written(&recipe.noise.model)
    )
}

/// A choice in the recipe's own word.
fn written(choice: &impl Serialize) -> String {
    serde_json::to_value(choice).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn mode_sentence(facts: &Facts) -> String {
    match facts.inputs.mode {
        Mode::Online { decode_after_s } => {
            let lags = &facts.inputs.recipe.revision_lags_s;
            let lag = lags.iter().copied().rfind(|lag| *lag <= decode_after_s).unwrap_or(decode_after_s);
            format!(
                "Online: the beta is the one that the live program would decode {} s after onset, its estimate at {} s, \
                 made at the first volume that ends at or after that time. Nothing acquired later was used.",
                number(decode_after_s),
                number(lag)
            )
        }
        Mode::Offline => "Offline: the same stages, asked for each trial when the run had ended, so that all its \
                          volumes and the mean of the whole run were known."
            .into(),
    }
}

/// How many trials of each kind.
fn kinds(facts: &Facts) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for trial in &facts.inputs.trials {
        let name = trial.trial_type.as_deref().unwrap_or("without a trial_type");
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let listed: Vec<String> = counts.iter().take(12).map(|(name, count)| format!("{count} {name}")).collect();
    let more = counts.len().saturating_sub(12);
    listed.join(", ") + &if more > 0 { format!(" and {more} more kinds") } else { String::new() }
}

/// Unit of the betas, in words.
pub(crate) fn unit(facts: &Facts) -> String {
    match facts.inputs.recipe.unit {
        BetaUnit::PercentSignalChange => "% signal change".into(),
        BetaUnit::None => "the scanner's units".into(),
    }
}

/// End of a colour scale for `values`: this quantile of their sizes, up to the next round number.
pub(crate) fn map_limit(values: &[f32], at: f64) -> f64 {
    let sizes: Vec<f64> = values.iter().map(|v| f64::from(v.abs())).collect();
    let high = quantile(&sizes, at).unwrap_or(0.0).max(1e-3);
    let step = 10f64.powf(high.log10().floor());
    (high / step).ceil() * step
}

/// So many decimals, with a minus that is as wide as a plus.
pub(crate) fn decimals(value: f64, count: usize) -> String {
    format!("{value:.count$}").replace('-', "−")
}

/// At most three decimals, no trailing zeros.
pub(crate) fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.replace('-', "−") }
}

/// Thousands apart.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let part = |(at, digit): (usize, char)| {
        let apart = at > 0 && (digits.len() - at).is_multiple_of(3);
        if apart { format!(",{digit}") } else { digit.to_string() }
    };
    digits.chars().enumerate().map(part).collect()
}

fn clock(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    format!("{}:{:02}", whole / 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [(3.0, "3"), (-0.25, "−0.25"), (0.735, "0.735"), (-0.0001, "0"), (100.0, "100")];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!([0, 999, 15_962, 1_000_000].map(grouped), ["0", "999", "15,962", "1,000,000"]);
        assert_eq!((clock(192.0), clock(59.6)), ("3:12".into(), "1:00".into()));
    }

    #[test]
    fn a_scale_ends_on_a_round_number() {
        for (most, expected) in [(0.83f64, 0.9), (4.1, 5.0), (12.0, 20.0)] {
            // 1e-12: a digit times a power of ten.
            assert!((map_limit(&[-most as f32], 0.98) - expected).abs() < 1e-12, "{most}");
        }
    }
}
