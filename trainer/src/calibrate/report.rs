//! What calibration says when it is done: one line for people, JSON for machines and for the checkpoint.

use super::Calibration;
use crate::ridge::AlphaScore;
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
pub(super) struct CalibrationReport {
    kind: super::RidgeKind,
    trials: usize,
    images: usize,
    voxels: usize,
    voxels_used: usize,
    outputs: usize,
    tokens: usize,
    token_dim: usize,
    /// The alpha, or smallest, median and largest of one per output.
    alpha: Vec<f64>,
    /// Left-out R² and retrieval of the best common alpha, training trials only.
    left_out: AlphaScore,
    left_out_by_alpha: Vec<AlphaScore>,
    /// The best alpha is the smallest or largest that was tried: a better one may lie beyond.
    alpha_at_edge: bool,
    front_end_bytes: usize,
    fit_s: f64,
    write_s: f64,
}

impl CalibrationReport {
    pub(super) fn of(calibration: &Calibration, (fit_s, write_s): (f64, f64)) -> Self {
        let checkpoint = &calibration.checkpoint;
        let ridge = &checkpoint.ridge;
        Self {
            kind: checkpoint.facts.kind,
            trials: ridge.trials(),
            images: calibration.images,
            voxels: ridge.mask_voxels,
            voxels_used: ridge.voxels.len(),
            outputs: ridge.outputs(),
            tokens: checkpoint.facts.tokens,
            token_dim: checkpoint.facts.token_dim,
            alpha: spread(&ridge.alpha),
            left_out: calibration.best,
            left_out_by_alpha: calibration.scores.clone(),
            alpha_at_edge: at_edge(calibration),
            front_end_bytes: ridge.bytes(),
            fit_s,
            write_s,
        }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report holds names and numbers only") + "\n"
    }

    #[expect(clippy::print_stdout, reason = "standard output is where a program's answer goes")]
    pub(super) fn tell(&self, json: bool, out: &Path) {
        if json {
            print!("{}", self.to_json());
            return;
        }
        let Self { trials, images, voxels_used, voxels, left_out, fit_s, .. } = self;
        println!(
            "{}: {trials} trials of {images} images, {voxels_used} of {voxels} voxels, alpha {:.4e}, left-out R2 {:.3}, \
             left-out top-1 {:.3} of {images}, {:.2} GB, {fit_s:.1} s",
            out.display(),
            left_out.alpha,
            left_out.r2,
            left_out.retrieval_top1,
            self.front_end_bytes as f64 / 1e9,
        );
        if self.alpha_at_edge {
            println!("  note: this alpha is at the edge of those tried; --alpha NUMBER can go beyond");
        }
    }
}

fn at_edge(calibration: &Calibration) -> bool {
    let alphas = || calibration.scores.iter().map(|score| score.alpha);
    let (least, most) = (alphas().fold(f64::INFINITY, f64::min), alphas().fold(0.0, f64::max));
    calibration.scores.len() > 1 && (calibration.best.alpha == least || calibration.best.alpha == most)
}

fn spread(alpha: &[f64]) -> Vec<f64> {
    let mut sorted = alpha.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    match sorted[..] {
        [only] => vec![only],
        _ => vec![sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]],
    }
}
