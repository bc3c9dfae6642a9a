//! The training report: one HTML file with curves, configuration and what was chosen.

use super::{Log, curves};

/// What the page tells beside the curves.
pub struct Facts<'a> {
    /// Which part was trained.
    pub part: &'a str,
    /// Sentences for the reader: data, sizes, what was kept.
    pub sentences: &'a [String],
    /// The epoch (from 1) whose weights were kept, if any.
    pub best: Option<u32>,
    /// What `samples.png` beside the page shows, where the part has sample pictures.
    pub samples: Option<&'a str>,
    /// Model, training and data as TOML.
    pub configuration: &'a str,
}

const STYLE: &str = "body{margin:0;color:#1c2733;font:15px/1.55 system-ui,sans-serif}main{max-width:980px;margin:0 auto;\
padding:40px 32px}h1{font-size:27px;margin:4px 0 10px}h2{font-size:19px;margin:36px 0 8px;border-top:1px solid #dfe4ea;\
padding-top:14px}figure{margin:14px 0 6px}svg{width:100%;height:auto}img{max-width:100%;image-rendering:pixelated}.legend{display:flex;gap:4px 16px;flex-wrap:wrap;\
font-size:13px}.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px}pre{background:\
#f6f8fa;border:1px solid #dfe4ea;border-radius:8px;padding:12px;font-size:12.5px;overflow:auto}";

/// Figures of the report: title, and the columns of the log that share an axis. Columns that a log lacks are left out.
const FIGURES: [(&str, &[&str]); 11] = [
    ("Training loss", &["loss", "val_loss"]),
    ("Picture L1 (pixels in -1..1)", &["picture_l1", "val_picture_l1"]),
    ("Peak signal-to-noise ratio of the reconstruction, dB", &["val_psnr"]),
    ("Divergence of the latent from standard normal, nats per number", &["divergence"]),
    ("Two views of a validation picture find each other, top-1", &["val_view_retrieval"]),
    ("Contrastive loss", &["contrastive", "val_contrastive"]),
    ("Prior loss (scaled space)", &["prior", "val_prior"]),
    ("Latent L1", &["l1", "val_l1"]),
    ("Validation retrieval, top-1", &["val_image_retrieval", "val_brain_retrieval"]),
    ("Learning rate", &["learning_rate"]),
    ("Temperature", &["temperature"]),
];

/// The page as HTML; equal input gives equal bytes.
#[must_use]
pub fn training_report(facts: &Facts<'_>, log: &Log) -> String {
    let figures: String = FIGURES.iter().map(|(title, columns)| figure(title, columns, log)).collect();
    let sentences: String = facts.sentences.iter().map(|sentence| format!("<p>{}</p>", escape(sentence))).collect();
    let best = facts.best.map_or_else(
        || "<p>No epoch was kept yet.</p>".to_owned(),
        |epoch| format!("<p>The checkpoint holds the weights of epoch {epoch}, which the validation images chose.</p>"),
    );
    let samples = facts.samples.map_or_else(String::new, |caption| {
        let caption = escape(caption);
        format!("<h2>Samples</h2><figure><img src=\"samples.png\" alt=\"{caption}\"><figcaption>{caption}</figcaption></figure>")
    });
    let part = escape(facts.part);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{part}: training</title>\
         <style>{STYLE}</style></head><body><main><h1>Training of {part}</h1>{sentences}{best}{samples}\
         <h2>Epoch by epoch</h2>{figures}<h2>Configuration</h2><pre>{}</pre></main></body></html>\n",
        escape(facts.configuration)
    )
}

fn figure(title: &str, columns: &[&str], log: &Log) -> String {
    let present = columns.iter().map(|name| (*name, log.column(name))).filter(|(_, values)| !values.is_empty());
    let present: Vec<(&str, Vec<f64>)> = present.collect();
    if present.is_empty() {
        return String::new();
    }
    let legend: String = present
        .iter()
        .enumerate()
        .map(|(i, (name, _))| {
            format!("<span><i style=\"background:{}\"></i>{}</span>", curves::colour(i), escape(name))
        })
        .collect();
    format!("<figure>{}<div class=\"legend\">{legend}</div></figure>", curves::svg(title, &present))
}

/// Text as HTML: a name from a file is never markup.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EpochRow;

    #[test]
    fn the_page_shows_the_curves_that_there_are_and_names_are_text() {
        let rows = [3.0, 2.0, f64::NAN].iter().enumerate();
        let rows = rows.map(|(i, loss)| EpochRow { epoch: i as u32 + 1, step: 1, values: vec![*loss], seconds: 1.0 });
        let log = Log { names: vec!["loss".into()], rows: rows.collect() };
        let sentences = ["<b>data</b>".to_owned()];
        let facts = Facts {
            part: "mindeye",
            sentences: &sentences,
            best: Some(2),
            samples: Some("inputs & <answers>"),
            configuration: "epochs = 3",
        };
        let html = training_report(&facts, &log);
        assert!(html.contains("&lt;b&gt;data") && html.contains("epoch 2") && html.contains("<svg"), "{html}");
        assert!(!html.contains("Latent L1") && html.contains("inputs &amp; &lt;answers&gt;"), "{html}");
        assert_eq!(html, training_report(&facts, &log));
    }
}
