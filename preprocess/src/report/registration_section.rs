//! The section on registration: go or no-go, its numbers, and both pictures one above the other for the eye to judge.

use crate::program::Facts;
use crate::report::colour::grey;
use crate::report::montage::{Montage, Scale};
use crate::report::page::{escape, figure, table};
use crate::report::view::View;
use crate::report::words::{decimals, map_limit};
use mindeye_preprocess::motion::RegistrationReport;

/// Slices shown.
const SLICES: usize = 7;

/// Empty where the run was registered to nothing.
pub(crate) fn html(facts: &Facts, view: &View) -> String {
    let Some(registration) = &facts.run.registration else { return String::new() };
    format!("{}{}{}", verdict(registration), numbers(registration), pictures(facts, view))
}

fn verdict(registration: &RegistrationReport) -> String {
    let reference = escape(&registration.reference);
    if registration.go {
        return format!("<p><b>Go.</b> The first volume was found in {reference}.</p>");
    }
    let objections: Vec<String> = registration.objections.iter().map(|objection| escape(objection)).collect();
    format!(
        "<p><b>No-go.</b> The first volume was not found in {reference}: {}. The mask lies on other tissue than it was \
         made for.</p>",
        objections.join("; ")
    )
}

fn numbers(registration: &RegistrationReport) -> String {
    let rows = [
        ("correlation of both pictures", decimals(registration.correlation, 3), "1 for equal pictures"),
        (
            "of the mirror image",
            registration.mirrored_correlation.map_or("unknown".into(), |r| decimals(r, 3)),
            "must be less",
        ),
        ("shift of the head", format!("{} mm", decimals(registration.shift_mm, 1)), "of the reference grid's centre"),
        ("turn of the head", format!("{}°", decimals(registration.turn_deg, 1)), "about whatever axis"),
        ("reference in view", format!("{} %", decimals(100.0 * registration.overlap, 0)), "of its weight"),
        ("difference", format!("{} %", decimals(registration.residual_percent, 1)), "RMS, of the reference's mean"),
    ];
    table(&["", "", ""], rows.map(|(name, value, note)| vec![name.into(), value, note.into()]))
}

/// The mask's voxels in the reference, and in the run's mean as the estimates saw it.
fn pictures(facts: &Facts, view: &View) -> String {
    let mean: Vec<f32> = facts.run.moments.mean().iter().map(|v| *v as f32).collect();
    let reference = facts.inputs.reference.as_ref().map(|reference| reference.volume.values()).unwrap_or_default();
    let expected: Vec<f32> = facts.inputs.usable.mask.voxels().iter().map(|v| reference[*v as usize]).collect();
    let row = |values: &[f32], label: &str| {
        let map = view.spread(facts, values);
        let scale = Scale { label, from: 0.0, to: map_limit(values, 0.99), colour: &grey, transparent: false };
        Montage { view, slices: view.slices(SLICES), map: &map, scale, marks: &[] }.svg()
    };
    let caption = format!(
        "The run's mean in the mask, as the estimates saw it: folds and ventricles must lie where the reference has \
         them. Brightness may differ. {}",
        view.caption()
    );
    figure(&row(&expected, "reference"), "The reference in the mask.")
        + &figure(&row(&mean, "mean of the run"), &caption)
}
