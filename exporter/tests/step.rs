//! The sampler's step: one set of coefficients for every solver, held to diffusers' UniPC.

mod common;

use common::{assert_close, exported, miniature_unet, model_folder, reference, run};
use mindeye_config::{Precision, sha256_of_bytes};
use mindeye_exporter::bundle::golden_input;
use mindeye_exporter::networks::{Choices, Network, SamplerStep, graph, open};
use mindeye_exporter::onnx::{INLINE_LIMIT, Model};
use mindeye_exporter::random_init::random_weights;
use mindeye_exporter::reference::Array;
use mindeye_exporter::weights::{Layout, Weights};
use std::path::Path;

#[test]
fn the_step_of_a_unet_has_its_latent_and_agrees_with_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    model_folder(&miniature_unet(), folder.path(), 1);
    let choices = Choices::default();
    let (_, step) = open("step", folder.path(), &choices).unwrap();
    for batch in [1, 2] {
        let inputs: Vec<Array> = step.inputs(batch).iter().map(|entry| golden_input("step", entry, 5)).collect();
        assert_eq!(inputs[0].shape, [batch, 4, 6, 6]);
        assert_eq!(inputs[1].shape, [2 * batch, 4, 6, 6]);
        let expected = reference("step", folder.path(), &choices, &inputs);
        let Some(found) = exported("step", folder.path(), choices, &inputs) else { return };
        for (found, expected) in found.iter().zip(&expected) {
            assert_close(found, expected, "step");
        }
    }
}

/// diffusers 0.13.0's UniPC of order 2 (bh2, prediction of the clean sample), 5 steps from t = 999 down to the smallest
/// sigma, on the eps of [`eps`]: timesteps, sigmas, and the sample after each step.
const TIMESTEPS: [f64; 5] = [999.0, 799.0, 599.0, 400.0, 200.0];
const SIGMAS: [f64; 6] = [
    14.614645004272461,
    5.087765216827393,
    2.276463747024536,
    1.1643916368484497,
    0.5716663599014282,
    0.029167532920837402,
];
const TRACE: [[f64; 4]; 5] = [
    [3.5657172123832757, -1.6917313817127764, 0.48561825133452596, 4.909260359027087],
    [5.702597773844466, -2.7224401777478056, 0.7850207882958509, 7.879894779951749],
    [7.6687109657517345, -3.5722514242933574, 0.9589882639517477, 10.394293343770943],
    [8.846535160225182, -4.093815744959268, 1.1767895511471052, 11.925970952426558],
    [8.767130539709038, -4.033655793310068, 1.184752313594458, 11.790358586295836],
];
const START: [f64; 4] = [1.5, -0.7, 0.2, 2.1];

/// A stand-in for a UNet: 0.3 x + 0.1 cos(0.01 t) sin x.
fn eps(x: f64, t: f64) -> f64 {
    0.3 * x + 0.1 * (0.01 * t).cos() * x.sin()
}

/// Signal and noise of a sample with this sigma, and half the logarithm of their ratio's square.
fn levels(sigma: f64) -> (f64, f64, f64) {
    let alpha = 1.0 / (1.0 + sigma * sigma).sqrt();
    (alpha, sigma * alpha, -sigma.ln())
}

/// Coefficients of UniPC's step `i` (spec: diffusion section 3): rows next sample, corrected sample and prediction;
/// columns sample, eps, last corrected, last prediction, older prediction.
fn unipc(i: usize) -> [[f64; 5]; 3] {
    let (alpha, noise, lambda) = levels(SIGMAS[i]);
    let prediction = [1.0 / alpha, -noise / alpha, 0.0, 0.0, 0.0];
    let corrected = if i == 0 { [1.0, 0.0, 0.0, 0.0, 0.0] } else { corrector(i, &prediction) };

    let (next_alpha, next_noise, next_lambda) = levels(SIGMAS[i + 1]);
    let h = next_lambda - lambda;
    let b = (-h).exp_m1();
    let mut next = sum(&[(next_noise / noise, &corrected), (-next_alpha * b, &prediction)]);
    if (1..TIMESTEPS.len() - 1).contains(&i) {
        let ratio = (levels(SIGMAS[i - 1]).2 - lambda) / h;
        // - alpha B 0.5 (m_last - m) / ratio
        let last = [0.0, 0.0, 0.0, 1.0, 0.0];
        let factor = -next_alpha * b * 0.5 / ratio;
        next = sum(&[(1.0, &next), (factor, &last), (-factor, &prediction)]);
    }
    [next, corrected, prediction]
}

/// The corrected sample of step `i` > 0, out of the corrected sample before it.
fn corrector(i: usize, prediction: &[f64; 5]) -> [f64; 5] {
    let [before, last, older] = [2, 3, 4].map(|at| std::array::from_fn(|j| f64::from(u8::from(j == at))));
    let (alpha, noise, lambda) = levels(SIGMAS[i]);
    let (_, noise_before, lambda_before) = levels(SIGMAS[i - 1]);
    let h = lambda - lambda_before;
    let (hh, b) = (-h, (-h).exp_m1());
    let base = sum(&[(noise / noise_before, &before), (-alpha * b, &last)]);
    let step = sum(&[(1.0, prediction), (-1.0, &last)]);
    if i == 1 {
        return sum(&[(1.0, &base), (-alpha * b * 0.5, &step)]);
    }
    let ratio = (levels(SIGMAS[i - 2]).2 - lambda_before) / h;
    let slope = sum(&[(1.0 / ratio, &older), (-1.0 / ratio, &last)]);
    // [[1, 1], [ratio, 1]] rho = [phi / b, 2 (phi / hh - 1/2) / b], by Cramer's rule.
    let phi = b / hh - 1.0;
    let (first, second) = (phi / b, 2.0 * (phi / hh - 0.5) / b);
    let rho_slope = (first - second) / (1.0 - ratio);
    let rho_step = (second - ratio * first) / (1.0 - ratio);
    sum(&[(1.0, &base), (-alpha * b * rho_slope, &slope), (-alpha * b * rho_step, &step)])
}

fn sum(terms: &[(f64, &[f64; 5])]) -> [f64; 5] {
    std::array::from_fn(|j| terms.iter().map(|(factor, row)| factor * row[j]).sum())
}

/// The trace of UniPC, each step done by `step` on the seven inputs.
fn trace(step: impl Fn(&[Array]) -> Vec<Array>) -> Vec<Vec<f64>> {
    let latent = |values: &[f64]| Array::new(&[1, 4, 1, 1], values.to_vec());
    let mut x = START.to_vec();
    let (mut corrected, mut last, mut older) = (vec![0.0; 4], vec![0.0; 4], vec![0.0; 4]);
    let mut trace = Vec::new();
    for (i, t) in TIMESTEPS.into_iter().enumerate() {
        // Guidance 2 from an unconditional half of 0: half the eps in the conditional half.
        let noise = [vec![0.0; 4], x.iter().map(|x| eps(*x, t) / 2.0).collect()].concat();
        let mut made = step(&[
            latent(&x),
            Array::new(&[2, 4, 1, 1], noise),
            latent(&corrected),
            latent(&last),
            latent(&older),
            Array::new(&[1], vec![2.0]),
            Array::new(&[3, 5], unipc(i).concat()),
        ]);
        older = std::mem::replace(&mut last, made.remove(2).values);
        corrected = made.remove(1).values;
        x = made.remove(0).values;
        trace.push(x.clone());
    }
    trace
}

fn assert_trace(found: &[Vec<f64>], tolerance: f64) {
    for (i, (found, expected)) in found.iter().zip(TRACE).enumerate() {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "step {i}: {found} {expected}");
        }
    }
}

#[test]
fn coefficients_alone_make_the_step_diffusers_unipc() {
    let step = SamplerStep { channels: 4, latent_side: 1 };
    let weights = Weights::from_bytes(Path::new("none"), random_weights(&Layout::default(), 0)).unwrap();
    let state = weights.fit("step", &Layout::default(), &[]).unwrap();
    // 1e-6: diffusers rounded its sigmas to float32 before it used them, we start from the same ones.
    assert_trace(&trace(|inputs| step.reference(&state, inputs)), 1e-6);

    let Some(engine) = common::onnx_runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let drawn = graph(&step, &state, 1, Precision::Fp32).unwrap();
    let model =
        Model { graph: drawn, weights_sha256: sha256_of_bytes(b""), precision: Precision::Fp32, facts: Vec::new() };
    model.write(folder.path(), "step.onnx", INLINE_LIMIT).unwrap();
    // 1e-5: float32 in five steps of numbers up to 20.
    assert_trace(&trace(|inputs| run(engine.as_ref(), &folder.path().join("step.onnx"), inputs)), 1e-5);
}
