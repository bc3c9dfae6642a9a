//! The report as a page that needs nothing else: tables and bars, no script.

use super::Report;
use super::retrieval::TopOne;
use mindeye_decode::metrics::Interval;
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #ddd}\
td.n{text-align:right;font-variant-numeric:tabular-nums}svg{width:10rem;height:1rem}.warn{background:#fff3cd;padding:.6rem}";

/// The page.
pub(super) fn page(report: &Report) -> String {
    let mut page = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>MindEye evaluation</title><style>{STYLE}</style>\
         <h1>Evaluation</h1><p>{}<br>{}, split {}: {} trials of {} images, seed {}</p>",
        escape(&report.model),
        escape(&report.data),
        report.split,
        report.trials,
        report.images,
        report.seed
    );
    warnings(report, &mut page);
    page.push_str(
        "<h2>Retrieval, top-1</h2><table><tr><th>brains, direction, scores<th>top-1<th>95 % over images<th>pool \
                   <th>chance<th>null mean (largest)<th>p<th>0 to 1; the line is chance</tr>",
    );
    report.tops().iter().for_each(|(name, top)| row(name, top, &mut page));
    page.push_str(
        "</table><p>image_retrieval: which picture did this brain see? brain_retrieval: which brain saw this \
                   picture? Null: labels shuffled by image over the whole test set. Ties lose.</p>",
    );
    pictures(report, &mut page);
    differences(report, &mut page);
    page + "</html>\n"
}

fn warnings(report: &Report, page: &mut String) {
    let found = report.leakage.0.iter().map(|leak| format!("leakage, allowed: {leak}"));
    let unknown = report.unknown_provenance.iter().map(|what| format!("nobody said which trials chose the {what}"));
    let lines: Vec<String> = found.chain(unknown).map(|line| escape(&line)).collect();
    if !lines.is_empty() {
        let _ = write!(page, "<p class=warn>{}</p>", lines.join("<br>"));
    }
}

fn row(name: &str, top: &TopOne, page: &mut String) {
    let TopOne { top1, pool_size, chance, permutation_null: null, .. } = top;
    let _ = write!(
        page,
        "<tr><td>{name}<td class=n>{:.3}<td class=n>{}<td class=n>{pool_size}<td class=n>{chance:.4}<td class=n>{:.3} ({:.3})\
         <td class=n>{:.4}<td>{}</tr>",
        top1.value,
        range(top1),
        null.mean,
        null.largest,
        null.p,
        bar(top1, *chance)
    );
}

fn bar(top1: &Interval, chance: f64) -> String {
    let x = |share: f64| 200.0 * share.clamp(0.0, 1.0);
    format!(
        "<svg viewBox='0 0 200 12' preserveAspectRatio=none><rect width=200 height=12 fill='#eee'/>\
         <rect y=2 width='{:.1}' height=8 fill='#2a6f97'/><rect x='{:.1}' y=5 width='{:.1}' height=2 fill='#111'/>\
         <rect x='{:.1}' width=1 height=12 fill='#c1121f'/></svg>",
        x(top1.value),
        x(top1.low),
        x(top1.high) - x(top1.low),
        x(chance)
    )
}

fn pictures(report: &Report, page: &mut String) {
    let Some(pictures) = &report.reconstruction else { return };
    let _ = write!(
        page,
        "<h2>Reconstruction, {} pictures</h2><table><tr><th>metric<th>value<th>95 % over images</tr>",
        pictures.images
    );
    let mut line = |name: &str, value: &Interval| {
        let _ = write!(page, "<tr><td>{}<td class=n>{:.3}<td class=n>{}</tr>", escape(name), value.value, range(value));
    };
    line("PixCorr", &pictures.pixcorr);
    line("SSIM", &pictures.ssim);
    pictures.features.iter().for_each(|(name, features)| line(&format!("two-way, {name}"), &features.two_way));
    for (name, features) in &pictures.features {
        let distance = features.correlation_distance;
        let _ = write!(page, "<tr><td>correlation distance, {}<td class=n>{distance:.3}<td></tr>", escape(name));
    }
    page.push_str("</table>");
}

fn differences(report: &Report, page: &mut String) {
    if report.minus_other.is_empty() {
        return;
    }
    page.push_str("<h2>Top-1 minus the other model's, paired by image</h2><table>");
    for (name, difference) in &report.minus_other {
        let _ =
            write!(page, "<tr><td>{name}<td class=n>{:+.3}<td class=n>{}</tr>", difference.value, range(difference));
    }
    page.push_str("</table>");
}

fn range(interval: &Interval) -> String {
    format!("{:.3} to {:.3}", interval.low, interval.high)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
