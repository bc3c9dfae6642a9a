//! The section on differences between kinds: for each a sentence, a table of peaks and a map with them.

use crate::program::Facts;
use crate::report::colour::thermal;
use crate::report::contrast::{Contrast, ContrastMap, contrasts};
use crate::report::montage::{Mark, Montage, Scale};
use crate::report::page::{escape, figure, table};
use crate::report::peaks::{Peak, peaks};
use crate::report::trial_types::{Kind, TrialTypes};
use crate::report::view::View;
use crate::report::words::{decimals, map_limit, unit};

/// Peaks shown of each sign.
const PEAKS: usize = 2;
/// The colour scale reaches at least this t, so that noise does not shine.
const LEAST_T: f64 = 5.0;
/// Slices shown.
const SLICES: usize = 21;

/// Empty where no kind has a second trial.
pub(crate) fn html(facts: &Facts, view: &View, types: &TrialTypes) -> String {
    let kinds = types.betas(facts);
    let parts: String = contrasts(&kinds).iter().map(|contrast| one(facts, view, &kinds, contrast)).collect();
    if parts.is_empty() {
        return parts;
    }
    let trials: Vec<String> = kinds.iter().map(|kind| format!("{} {}", kind.betas.len(), escape(kind.name))).collect();
    format!(
        "<p>Mean betas of the kinds ({}) are compared voxel by voxel: <i>t</i> is the difference of means over its \
         standard error. The variance is that within kinds, pooled over all of them and averaged with its median over \
         the mask, because from few trials some variances are small by luck. Neighbouring trials share volumes and \
         drift, and nothing is corrected for the number of voxels: <i>t</i> ranks places and is no test.</p>{parts}",
        trials.join(", ")
    )
}

fn one(facts: &Facts, view: &View, kinds: &[Kind<'_>], contrast: &Contrast) -> String {
    let map = contrast.map(kinds);
    let mask = &facts.inputs.usable.mask;
    let above = peaks(|at| map.t[at], mask, PEAKS);
    let below = peaks(|at| -map.t[at], mask, PEAKS);
    let all: Vec<Peak> = above.into_iter().chain(below).collect();
    let marks: Vec<Mark> = (1..).zip(&all).map(|(number, peak)| Mark { ijk: peak.ijk, number }).collect();
    let spread = view.spread(facts, &map.t);
    let limit = map_limit(&map.t, 0.999).max(LEAST_T);
    let scale = Scale { label: "t", from: -limit, to: limit, colour: &thermal, transparent: true };
    let svg = Montage { view, slices: slices_with(view, &all), map: &spread, scale, marks: &marks }.svg();
    let caption = format!(
        "t of {}, {} degrees of freedom; numbers are the peaks of the table. {}",
        contrast.name,
        map.freedom,
        view.caption()
    );
    let rows = (1..).zip(&all).map(|(number, peak)| row(facts, &map, number, peak));
    let effect = format!("difference, {}", unit(facts));
    let head = ["peak", "t", &effect, "voxel (i, j, k)", "RAS mm"];
    // Where the file does not say where the head is, there is no place in mm.
    let columns = if view.placed { head.len() } else { head.len() - 1 };
    let peaks = table(&head[..columns], rows.map(|row| row[..columns].to_vec()));
    format!("<h3>{}</h3>{}{peaks}", escape(&contrast.name), figure(&svg, &caption))
}

/// Evenly spaced slices, each peak's own slice among them in place of the nearest.
fn slices_with(view: &View, peaks: &[Peak]) -> Vec<usize> {
    let mut slices = view.slices(SLICES);
    let wanted: Vec<usize> = peaks.iter().map(|peak| view.place(peak.ijk)[2] as usize).collect();
    for slice in &wanted {
        if !slices.contains(slice) {
            let free = (0..slices.len()).filter(|at| !wanted.contains(&slices[*at]));
            if let Some(nearest) = free.min_by_key(|at| slices[*at].abs_diff(*slice)) {
                slices[nearest] = *slice;
            }
        }
    }
    slices.sort_unstable();
    slices
}

fn row(facts: &Facts, map: &ContrastMap, number: usize, peak: &Peak) -> Vec<String> {
    let [i, j, k] = peak.ijk;
    let mm = facts.inputs.mask.grid().to_mm(peak.ijk.map(|index| index as f64)).map(|mm| decimals(mm, 0));
    let (t, effect) = (f64::from(map.t[peak.at]), f64::from(map.effect[peak.at]));
    vec![number.to_string(), decimals(t, 1), decimals(effect, 2), format!("{i}, {j}, {k}"), mm.join(", ")]
}
