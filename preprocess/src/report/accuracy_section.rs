//! The section on accuracy against lag, for a run whose true amplitudes were given.

use crate::program::{Facts, LagAccuracy};
use crate::report::page::{figure, table};
use crate::report::words::{decimals, number};

const WIDTH: f64 = 916.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;

/// Empty where no truth was given.
pub(crate) fn html(facts: &Facts) -> String {
    if facts.accuracy.is_empty() {
        return String::new();
    }
    let words = "<p>The true amplitudes of this run were given. Correlation of betas with them over trials, voxel by voxel: \
                 mean over voxels, and their middle half. An estimate at a lag knows the volumes up to it and no later \
                 one.</p>";
    let caption =
        "Line: mean correlation at each revision lag; band: middle half of the voxels; dashed: from the whole run.";
    let rows = facts.accuracy.iter().map(row);
    let head = ["seconds after onset", "trials", "voxels", "correlation with the truth", "middle half"];
    words.to_owned() + &figure(&svg(&facts.accuracy), caption) + &table(&head, rows)
}

fn row(accuracy: &LagAccuracy) -> Vec<String> {
    let LagAccuracy { lag_s, trials, voxels, r, quartiles: [low, high] } = accuracy;
    let lag = lag_s.map_or("whole run".into(), number);
    let half = format!("{} to {}", decimals(*low, 2), decimals(*high, 2));
    vec![lag, trials.to_string(), voxels.to_string(), decimals(*r, 3), half]
}

/// Lags across from 0, correlations up from 0 (or the lowest quartile) to 1.
fn svg(accuracy: &[LagAccuracy]) -> String {
    let lags: Vec<(f64, &LagAccuracy)> = accuracy.iter().filter_map(|a| Some((a.lag_s?, a))).collect();
    let longest_s = lags.iter().map(|(lag_s, _)| *lag_s).fold(1.0, f64::max) * 1.05;
    let least = accuracy.iter().map(|a| a.quartiles[0]).fold(0.0, f64::min);
    let x = |lag_s: f64| LEFT + (WIDTH - LEFT - RIGHT) * lag_s / longest_s;
    let y = |r: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - r) / (1.0 - least);
    let path = |points: &mut dyn Iterator<Item = (f64, f64)>| -> String {
        points.map(|(lag_s, r)| format!("{:.1},{:.1} ", x(lag_s), y(r))).collect()
    };
    let line = path(&mut lags.iter().map(|(lag_s, a)| (*lag_s, a.r)));
    let below = lags.iter().map(|(lag_s, a)| (*lag_s, a.quartiles[0]));
    let above = lags.iter().rev().map(|(lag_s, a)| (*lag_s, a.quartiles[1]));
    let band = path(&mut below.chain(above));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {HEIGHT:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#5d6b7a\"><polygon points=\"{band}\" fill=\"#0b5cad\" fill-opacity=\"0.15\"/>\
         <polyline points=\"{line}\" fill=\"none\" stroke=\"#0b5cad\" stroke-width=\"2\"/>"
    );
    for r in [0.0, 0.25, 0.5, 0.75, 1.0] {
        svg.push_str(&across(y(r), "#dfe4ea", ""));
        svg.push_str(&format!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{r}</text>", LEFT - 8.0, y(r) + 4.0));
    }
    for (lag_s, a) in &lags {
        svg.push_str(&format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"#0b5cad\"/>", x(*lag_s), y(a.r)));
        let at = HEIGHT - BOTTOM + 16.0;
        svg.push_str(&format!(
            "<text x=\"{:.1}\" y=\"{at:.1}\" text-anchor=\"middle\">{}</text>",
            x(*lag_s),
            number(*lag_s)
        ));
    }
    for whole in accuracy.iter().filter(|a| a.lag_s.is_none()) {
        svg.push_str(&across(y(whole.r), "#d97706", " stroke-dasharray=\"5 4\""));
    }
    let name_x = (LEFT + WIDTH - RIGHT) / 2.0;
    svg + &format!(
        "<text x=\"{name_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">seconds after onset</text></svg>",
        HEIGHT - 6.0
    )
}

fn across(y: f64, colour: &str, style: &str) -> String {
    let to = WIDTH - RIGHT;
    format!("<line x1=\"{LEFT:.1}\" x2=\"{to:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\"{style}/>")
}
