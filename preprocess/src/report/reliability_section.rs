//! The section on reliability: a table of kinds and the matrix of all trials.

use crate::program::Facts;
use crate::report::colour::{CATEGORIES, css, diverging};
use crate::report::page::{escape, figure, table};
use crate::report::png::Raster;
use crate::report::reliability::{Agreement, agreements, correlations};
use crate::report::trial_types::{Kind, TrialTypes};
use crate::report::words::decimals;

/// Empty for a run of one trial.
pub(crate) fn html(facts: &Facts, types: &TrialTypes) -> String {
    let kinds = types.betas(facts);
    let correlations = correlations(&kinds);
    if correlations.len() < 2 {
        return String::new();
    }
    let rows = agreements(&kinds, &correlations).into_iter().map(row);
    let head = ["kind", "trials", "split-half r", "r within the kind", "r with other kinds"];
    let words = "<p>Correlations of betas over the mask's voxels. Split half: the mean of a kind's first, third, … \
                 trials with that of its second, fourth, …. A code that tells kinds apart has more within than \
                 between.</p>";
    let svg = matrix(&kinds, &correlations, types);
    words.to_owned() + &table(&head, rows) + &figure(&svg, "Every trial with every other, kind by kind.")
}

fn row(agreement: Agreement) -> Vec<String> {
    let number = |r: Option<f64>| r.map_or("–".into(), |r| decimals(r, 2));
    let Agreement { name, trials, split_half, within, between } = agreement;
    vec![name, trials.to_string(), number(split_half), number(within), number(between)]
}

const SIDE: f64 = 300.0;
const LEFT: f64 = 150.0;
/// Where a correlation is not known.
const UNKNOWN: [u8; 3] = [205, 205, 205];

/// −1 blue over white to 1 red, a stripe of each kind's colour beside its trials.
fn matrix(kinds: &[Kind<'_>], correlations: &[Vec<Option<f64>>], types: &TrialTypes) -> String {
    let count = correlations.len();
    let mut raster = Raster::new(count, count, UNKNOWN);
    for (y, row) in correlations.iter().enumerate() {
        for (x, r) in row.iter().enumerate() {
            raster.set(x, y, r.map_or(UNKNOWN, |r| diverging((r + 1.0) / 2.0)));
        }
    }
    let mut svg = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 916 {:.0}\" ", SIDE + 16.0);
    svg.push_str("font-family=\"sans-serif\" font-size=\"12\">");
    svg.push_str(&raster.svg_image([LEFT, 4.0, SIDE, SIDE]));
    let mut first = 0;
    for kind in kinds {
        let place = [4.0 + SIDE * first as f64 / count as f64, SIDE * kind.betas.len() as f64 / count as f64];
        svg.push_str(&stripe(kind, place, types));
        first += kind.betas.len();
    }
    svg.push_str(&bar());
    svg + "</svg>"
}

fn stripe(kind: &Kind<'_>, [top, height]: [f64; 2], types: &TrialTypes) -> String {
    let at = types.names.iter().position(|name| name == kind.name);
    let colour = css(at.map_or(CATEGORIES[6], |at| CATEGORIES[at % CATEGORIES.len()]));
    let (x, y, text_x) = (LEFT - 10.0, top + height / 2.0 + 4.0, LEFT - 16.0);
    // A kind with a sliver of the matrix has its colour and no name.
    let name = if height < 12.0 { String::new() } else { escape(&shortened(kind.name)) };
    format!(
        "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"6\" height=\"{height:.1}\" fill=\"{colour}\"/>\
         <text x=\"{text_x:.1}\" y=\"{y:.1}\" text-anchor=\"end\" fill=\"#5d6b7a\">{name}</text>"
    )
}

fn shortened(name: &str) -> String {
    const MOST: usize = 20;
    if name.chars().count() <= MOST { name.to_owned() } else { name.chars().take(MOST - 1).chain(['…']).collect() }
}

fn bar() -> String {
    let mut svg = String::new();
    let (x, top, height) = (LEFT + SIDE + 24.0, 40.0, 160.0);
    let mut colours = Raster::new(1, 100, UNKNOWN);
    for step in 0..100 {
        colours.set(0, step, diverging(1.0 - (step as f64 + 0.5) / 100.0));
    }
    svg.push_str(&colours.svg_image([x, top, 10.0, height]));
    for (r, at) in [("r = 1", 0.0), ("0", 0.5), ("−1", 1.0)] {
        let (x, y) = (x + 16.0, top + height * at + 4.0);
        svg.push_str(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\" fill=\"#5d6b7a\">{r}</text>"));
    }
    svg
}
