//! Our plans, walked in f64, follow diffusers' schedulers step by step.
//!
//! `fixtures/schedulers.json` holds traces of diffusers 0.31.0 in f64 (`..as_0.13.0`: with the ending of 0.13.0, which was
//! compared with 0.13.0 itself) on the toy field eps(x, t) = 0.3 x + 0.1 cos(0.01 t) sin x.

use mindeye_config::{FinalSigma, Sampler, SchedulerConfig};
use mindeye_decode::sampler::{CosineSchedule, MIXED, Made, Mixed, Plan, PlanStep, StartFrom, latent_plan, prior_plan};

#[derive(serde::Deserialize)]
struct Fixture {
    x0: [f64; 4],
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    /// Steps of the whole schedule.
    n: usize,
    /// The first that is walked.
    start: usize,
    timesteps: Vec<f64>,
    /// The sample after each step.
    trace: Vec<[f64; 4]>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("fixtures/schedulers.json")).unwrap()
}

fn eps(x: [f64; 4], t: f64) -> [f64; 4] {
    x.map(|x| 0.3 * x + 0.1 * (0.01 * t).cos() * x.sin())
}

/// The samples after each step, from `x`, with noise drawn by `noise` for each step.
fn walk(
    plan: &Plan,
    mut x: [f64; 4],
    field: impl Fn([f64; 4], f64) -> [f64; 4],
    noise: impl Fn(usize) -> [f64; 4],
) -> Vec<[f64; 4]> {
    let (mut corrected, mut last, mut older) = ([0.0; 4], [0.0; 4], [0.0; 4]);
    let mut trace = Vec::new();
    for (number, step) in plan.steps.iter().enumerate() {
        let columns = [x, field(x, step.timestep), corrected, last, older, noise(number)];
        let made = |tensor| mix(step, tensor, &columns);
        (x, corrected, last, older) = (made(Made::NextSample), made(Made::Corrected), made(Made::Prediction), last);
        trace.push(x);
    }
    trace
}

fn mix(step: &PlanStep, tensor: Made, columns: &[[f64; 4]; MIXED]) -> [f64; 4] {
    std::array::from_fn(|i| step.row(tensor).0.iter().zip(columns).map(|(c, column)| c * column[i]).sum())
}

fn config_of(case: &Case) -> SchedulerConfig {
    let (sampler, final_sigma) = match case.name.as_str() {
        "unipc2_bh2_final_zero" => (Sampler::Unipc, FinalSigma::Zero),
        "unipc2_bh2_sigma_min_as_0.13.0" => (Sampler::Unipc, FinalSigma::SigmaMin),
        "dpmpp2m_midpoint" => (Sampler::DpmSolver, FinalSigma::Zero),
        "ddim_eta0_leading_off1_a0" => (Sampler::Ddim, FinalSigma::Zero),
        other => panic!("no sampler for {other}"),
    };
    // Half a step more than asked for, so that the floor is the number walked.
    let strength = ((case.n - case.start) as f64 + 0.5).min(case.n as f64) / case.n as f64;
    SchedulerConfig { sampler, final_sigma, strength, guidance: 1.0, ..SchedulerConfig::default() }
}

fn assert_close(found: &[f64; 4], expected: &[f64; 4], tolerance: f64, what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        let error = (found - expected).abs() / (1.0 + expected.abs());
        assert!(error <= tolerance, "{what}: {found}, diffusers {expected}, error {error:.2e} > {tolerance:.0e}");
    }
}

#[test]
fn every_sampler_follows_diffusers_step_by_step() {
    let Fixture { x0, cases } = fixture();
    assert_eq!(cases.len(), 48);
    for case in &cases {
        let plan = latent_plan(&config_of(case), case.n, StartFrom::Picture);
        let what = format!("{} n = {} from {}", case.name, case.n, case.start);
        assert_eq!(plan.steps.iter().map(|step| step.timestep).collect::<Vec<_>>(), case.timesteps, "{what}");
        let trace = walk(&plan, x0, eps, |_| [0.0; 4]);
        assert_eq!(trace.len(), case.trace.len(), "{what}");
        for (number, (ours, theirs)) in trace.iter().zip(&case.trace).enumerate() {
            // 1e-6: sigmas and alphas are float32 tables (6e-8 relative) that both programs read, and the solvers divide
            // by differences of their logarithms.
            assert_close(ours, theirs, 1e-6, &format!("{what}, step {number}"));
        }
    }
}

#[test]
fn the_paper_walks_17_of_20_steps_from_849() {
    let config = SchedulerConfig::default();
    let plan = latent_plan(&config, 20, StartFrom::Picture);
    assert_eq!((plan.evaluations(), plan.steps[0].timestep), (17, 849.0));
    // ᾱ_849 = 0.02352294 (spec: diffusion section 3); 1e-6: the level is made of an f32 sigma.
    assert!((plan.start.signal.powi(2) - 0.02352294).abs() < 1e-6, "{:?}", plan.start);
    assert!((plan.start.signal.powi(2) + plan.start.noise.powi(2) - 1.0).abs() < 1e-12);

    let from_noise = latent_plan(&config, 20, StartFrom::Noise);
    assert_eq!((from_noise.evaluations(), from_noise.start.signal, from_noise.start.noise), (20, 0.0, 1.0));
}

#[test]
fn products_that_are_whole_numbers_stay_whole() {
    for (steps, strength, walked) in [(20, 0.85, 17), (20, 0.29, 5), (100, 0.29, 29), (10, 1.0, 10), (8, 0.85, 6)] {
        let config = SchedulerConfig { strength, ..SchedulerConfig::default() };
        assert_eq!(config.walked(steps), walked, "{steps} x {strength}");
    }
}

#[test]
fn guidance_goes_to_the_first_share_of_the_walked_steps() {
    let guided = |guidance, guided_share| {
        let config = SchedulerConfig { guidance, guided_share, ..SchedulerConfig::default() };
        let plan = latent_plan(&config, 20, StartFrom::Picture);
        plan.steps.iter().map(|step| step.guidance).take_while(Option::is_some).count()
    };
    let cases = [(3.5, 1.0, 17), (3.5, 0.5, 9), (3.5, 0.0, 0), (1.0, 1.0, 0), (0.0, 1.0, 0)];
    for (scale, share, expected) in cases {
        assert_eq!(guided(scale, share), expected, "scale {scale}, share {share}");
    }
}

#[test]
fn a_network_that_knows_the_answer_is_followed_to_it() {
    let answer = [0.5, -1.25, 3.0, 0.0];
    let noise = |step: usize| [1.0, -0.5, 0.25, 2.0].map(|z| z * (1.0 + step as f64).sin());
    for steps in [2, 20, 100] {
        let plan = prior_plan(&CosineSchedule::new(100), steps);
        let trace = walk(&plan, [9.0, 8.0, 7.0, 6.0], |_, _| answer, noise);
        assert_eq!(trace.last(), Some(&answer), "{steps} steps");
    }
}

#[test]
fn only_the_prior_draws_noise_on_its_way() {
    for sampler in [Sampler::Unipc, Sampler::DpmSolver, Sampler::Ddim] {
        let plan = latent_plan(&SchedulerConfig { sampler, ..SchedulerConfig::default() }, 20, StartFrom::Picture);
        assert!(plan.steps.iter().all(|step| step.graph_coefficients().is_some()), "{sampler:?}");
    }
    let prior = prior_plan(&CosineSchedule::new(100), 20);
    assert!(prior.steps[0].mixes(Mixed::Noise));
}
