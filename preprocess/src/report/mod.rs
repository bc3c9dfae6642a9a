//! The report: one HTML file that needs nothing else, for people who look before they read.

mod accuracy_section;
mod colour;
mod contrast;
mod contrast_section;
mod montage;
mod page;
mod peaks;
mod png;
mod registration_section;
mod reliability;
mod reliability_section;
mod timeline;
mod trial_types;
mod view;
mod words;

use crate::program::Facts;
use colour::{sequential, thermal};
use montage::{Montage, Scale};
use page::{Page, figure, notice, table};
use trial_types::TrialTypes;
use view::View;

/// The page as HTML; equal facts give equal bytes.
pub(crate) fn page(facts: &Facts) -> String {
    let view = View::of(facts);
    let types = TrialTypes::of(facts);
    let mut page = Page::new(&facts.inputs.name());
    page.lead(&words::lead(facts));
    page.cards(&words::cards(facts));
    page.section("What was done", &words::steps(facts));
    page.section("What to know before believing it", &notice(&facts.notes));
    page.section("The run, volume by volume", &timeline_section(facts, &types));
    page.section("Where the run lies in the reference", &registration_section::html(facts, &view));
    page.section("Signal to noise", &tsnr_section(facts, &view));
    page.section("Single-trial betas", &beta_section(facts, &view, &types));
    page.section("How near the truth, and how soon?", &accuracy_section::html(facts));
    page.section("Do betas of one kind agree?", &reliability_section::html(facts, &types));
    page.section("Where the kinds differ", &contrast_section::html(facts, &view, &types));
    page.section("Where it came from", &provenance(facts));
    page.html()
}

fn timeline_section(facts: &Facts, types: &TrialTypes) -> String {
    let motion = if facts.inputs.corrects_motion() {
        "Head shift and turn: x to the right, y forward, z up (turns about these axes). Framewise displacement: how far \
         the head moved since the volume before (Power 2012); dashed, 0.5 mm. "
    } else {
        ""
    };
    let caption = "DVARS: root mean square over the mask of the change since the volume before; dashed, the upper \
                   quartile plus 1.5 interquartile ranges. Global signal: mean over the mask. Carpet: voxels from the lowest slice (bottom) to the highest \
                   (top), each with mean 0 and SD 1 over the run, black −2 to white +2; a dark or bright column is a \
                   volume in which the whole head changed.";
    let caption = format!("All panels share the time axis. Trials: from onset to end. {motion}{caption}");
    types.legend() + &figure(&timeline::svg(facts, types), &caption)
}

fn tsnr_section(facts: &Facts, view: &View) -> String {
    let values: Vec<f64> = facts.quality.tsnr.iter().map(|v| f64::from(*v)).collect();
    let at = |q| crate::program::quantile(&values, q).unwrap_or(0.0);
    let most = words::map_limit(&facts.quality.tsnr, 0.98);
    let map = view.spread(facts, &facts.quality.tsnr);
    let scale = Scale { label: "tSNR", from: 0.0, to: most, colour: &sequential, transparent: false };
    let svg = Montage { view, slices: view.slices(21), map: &map, scale, marks: &[] }.svg();
    let caption = format!(
        "Temporal signal-to-noise ratio: each voxel's mean over its standard deviation in time, drift included. Median \
         {:.0}, middle half {:.0} to {:.0}. {}",
        at(0.5),
        at(0.25),
        at(0.75),
        view.caption()
    );
    figure(&svg, &caption)
}

/// Trials shown as maps: the first, the middle and the last.
fn beta_section(facts: &Facts, view: &View, types: &TrialTypes) -> String {
    let betas = &facts.run.betas;
    let mut shown = vec![0, betas.len() / 2, betas.len() - 1];
    shown.dedup();
    let all: Vec<f32> = betas.iter().flat_map(|beta| beta.beta.0.iter().copied()).collect();
    let limit = words::map_limit(&all, 0.98);
    let unit = words::unit(facts);
    let mut html = format!("<p>{}</p>", words::estimate_sentence(facts));
    for at in shown {
        let beta = &betas[at];
        let map = view.spread(facts, &beta.beta.0);
        let scale = Scale { label: &unit, from: -limit, to: limit, colour: &thermal, transparent: true };
        let svg = Montage { view, slices: view.slices(7), map: &map, scale, marks: &[] }.svg();
        let kind = types.name_of(beta.trial).map_or(String::new(), |name| format!(" ({name})"));
        let caption = format!(
            "Trial {}{kind}, onset {} s, from volumes {} to {}.",
            beta.trial, beta.onset_s, beta.first_volume, beta.last_volume
        );
        html.push_str(&figure(&svg, &caption));
    }
    html
}

fn provenance(facts: &Facts) -> String {
    let rows = facts.inputs.files.iter().map(|file| vec![file.role.into(), file.name.clone(), file.sha256.0.clone()]);
    let files = table(&["input", "file", "sha256"], rows);
    let recipe = toml::to_string(&facts.inputs.recipe).unwrap_or_else(|error| error.to_string());
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "{files}<details><summary>The recipe</summary><pre>{}</pre></details>\
         <p class=\"quiet\">mindeye-preprocess {version}. Equal inputs give an equal report, byte for byte.</p>",
        page::escape(&recipe)
    )
}
