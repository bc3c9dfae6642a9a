//! A whole reconstruction, network by network and step by step, against dalle2-pytorch and diffusers on the same weights.
//!
//! `fixtures/tiny_chain.safetensors` holds their weights, the numbers that they drew, and what came out of them
//! (`tests/oracle/_make_chain_fixture.py`). Prior, UNet and VAE are exported from those weights and run by ONNX Runtime;
//! backbone and low-level network, which have parity tests of their own, are replaced by their answers.

mod support;

use mindeye_config::{
    Dimensions, EngineConfig, EngineKind, LowLevelStart, ManualClock, NetworkEntry, Precision, Sampler, SchedulerConfig,
};
use mindeye_decode::effort::Effort;
use mindeye_decode::sampler::LoopPlace;
use mindeye_decode::{Candidate, Decoder, Draw, Network, NoiseSource, Progress};
use mindeye_engine::{Buffer, Engine, EngineError, NetworkFile, Session, TensorSpec};
use mindeye_exporter::bundle::write_loop_graphs;
use mindeye_exporter::networks::Choices;
use mindeye_exporter::{GraphRequest, export_graph};
use mindeye_preprocess::Pattern;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use support::{TestBundle, VOXELS, trial_noise};

const FIXTURE: &[u8] = include_bytes!("fixtures/tiny_chain.safetensors");
const TOKENS: usize = 70;
const WIDTH: usize = 20;
const SIDE: usize = 8;

/// Every tensor of the fixture that is no weight.
fn numbers() -> Arc<BTreeMap<String, Vec<f32>>> {
    let file = SafeTensors::deserialize(FIXTURE).unwrap();
    let floats = |view: &TensorView<'_>| view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let kept = file.iter().filter(|(key, _)| !key.starts_with("w."));
    Arc::new(kept.map(|(key, view)| (key.to_owned(), floats(&view))).collect())
}

/// The numbers that the other program drew.
struct Drawn {
    numbers: Arc<BTreeMap<String, Vec<f32>>>,
    prior: &'static str,
}

impl NoiseSource for Drawn {
    fn fill(&self, draw: Draw, values: &mut [f32]) {
        let (key, step) = match draw {
            Draw::PriorStart => (format!("noise.{}_start", self.prior), 0),
            Draw::PriorStep(step) => (format!("noise.{}_steps", self.prior), step as usize),
            Draw::LatentStart => ("noise.latent_start".into(), 0),
            Draw::Posterior => ("noise.posterior".into(), 0),
        };
        values.copy_from_slice(&self.numbers[&key][step * values.len()..][..values.len()]);
    }
}

/// ONNX Runtime, but `backbone` and `low-level` answer with the fixture's numbers. It calls itself a mock, so that warm-up
/// compares nothing: this test does.
struct Answering {
    inner: Box<dyn Engine>,
    numbers: Arc<BTreeMap<String, Vec<f32>>>,
}

struct Answer {
    network: NetworkFile,
    values: Vec<f32>,
}

impl Engine for Answering {
    fn kind(&self) -> EngineKind {
        EngineKind::Mock
    }

    fn describe(&self) -> String {
        "fixture and ONNX Runtime".into()
    }

    fn open(&self, network: &NetworkFile) -> Result<Box<dyn Session>, EngineError> {
        let key = match network.name.as_str() {
            "backbone" => "io.brain_tokens",
            "low-level" => "io.latent",
            _ => return self.inner.open(network),
        };
        Ok(Box::new(Answer { network: network.clone(), values: self.numbers[key].clone() }))
    }
}

impl Session for Answer {
    fn inputs(&self) -> &[TensorSpec] {
        &self.network.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.network.outputs
    }

    fn run(&mut self, _: &[&Buffer], outputs: &mut [&mut Buffer]) -> Result<(), EngineError> {
        let mover = mindeye_engine::MockEngine::new(mindeye_engine::MockPlan::default());
        outputs.iter_mut().try_for_each(|buffer| mover.upload(buffer, &self.values))
    }
}

/// Writes the weights that begin with `w.<name>.` and their configuration as a model folder.
fn model_folder(dir: &Path, name: &str, file: &str) {
    let folder = dir.join(name);
    std::fs::create_dir(&folder).unwrap();
    let all = SafeTensors::deserialize(FIXTURE).unwrap();
    let prefix = format!("w.{name}.");
    let own = all.iter().filter_map(|(key, view)| Some((key.strip_prefix(&prefix)?.to_owned(), view)));
    std::fs::write(folder.join(file), safetensors::serialize(own, None).unwrap()).unwrap();
    let (_, header) = SafeTensors::read_metadata(FIXTURE).unwrap();
    if let Some(config) = header.metadata().as_ref().unwrap().get(name) {
        std::fs::write(folder.join("config.json"), config).unwrap();
    }
}

/// Exports `network` from the model folder `model` into `written` and lists it.
fn export(written: &mut TestBundle, models: &Path, network: Network, model: &str, batch: usize) {
    let path = format!("networks/{}.onnx", network.key());
    let model = models.join(model);
    let mut choices = Choices::default();
    match network {
        Network::Unet => choices = Choices { latent_side: Some(SIDE), tokens: Some(TOKENS), ..choices },
        Network::Prior => {}
        _ => choices.latent_side = Some(SIDE),
    }
    let out = written.file(&path);
    let report = export_graph(&GraphRequest { batch, choices, ..GraphRequest::new(network.key(), &model, &out) });
    let report = report.unwrap_or_else(|error| panic!("{}: {error}", network.key()));
    let (inputs, outputs) = (report.inputs, report.outputs);
    let (name, precision) = (network.key().into(), Precision::Fp32);
    written.manifest.network.push(NetworkEntry { name, path, precision, tolerance: 1e-4, inputs, outputs });
}

/// A bundle of the fixture's networks; the UNet takes `batch` branches at once, and the graphs of loops on a device are
/// there if asked for.
fn chain_bundle(scheduler: &SchedulerConfig, batch: usize, with_loop_graphs: bool) -> TestBundle {
    let models = tempfile::tempdir().unwrap();
    model_folder(models.path(), "prior", "model.safetensors");
    model_folder(models.path(), "unet", "diffusion_pytorch_model.safetensors");
    model_folder(models.path(), "vae", "diffusion_pytorch_model.safetensors");

    let mut written = TestBundle::write().without(&Network::ALL, true);
    let dimensions = written.manifest.dimensions.clone();
    let (latent, picture) = ([4, SIDE, SIDE], [2 * SIDE, 2 * SIDE]);
    written.manifest.dimensions = Dimensions { tokens: TOKENS, token_dim: WIDTH, latent, picture, ..dimensions };
    for network in [Network::Backbone, Network::LowLevel] {
        std::fs::write(written.file(&format!("networks/{}.onnx", network.key())), "answered").unwrap();
        let mut entry = support::network_entry(network);
        entry.outputs = network.outputs(&written.manifest.dimensions, &entry);
        written.manifest.network.push(entry);
    }
    export(&mut written, models.path(), Network::Prior, "prior", 1);
    export(&mut written, models.path(), Network::Unet, "unet", batch);
    export(&mut written, models.path(), Network::VaeDecoder, "vae", 1);
    export(&mut written, models.path(), Network::VaeEncoder, "vae", 1);
    if with_loop_graphs {
        export(&mut written, models.path(), Network::Step, "unet", 1);
        let entries = write_loop_graphs(written.path(), &written.manifest.network).unwrap();
        written.manifest.network.extend(entries);
    }
    written.write_toml("scheduler.toml", scheduler);
    written.write_golden();
    written.relisted()
}

struct Outcome {
    candidate: Candidate,
    tokens: Vec<f32>,
    latent: Vec<f32>,
}

fn reconstruct(written: &TestBundle, inner: Box<dyn Engine>, prior: &'static str, place: LoopPlace) -> Outcome {
    let numbers = numbers();
    let engine = Answering { inner, numbers: numbers.clone() };
    let (decoder, _) = Decoder::warm_up(&written.open().unwrap(), Box::new(engine), ManualClock::new()).unwrap();
    let mut decoder = decoder.with_loops(place);
    assert_eq!(decoder.loops(), [place; 2]);
    let pattern = Pattern(vec![0.5; VOXELS.len()]);
    let full = decoder.begin(&pattern, Effort::Full, trial_noise()).unwrap();
    let mut full = full.with_noise(Drawn { numbers, prior });
    loop {
        if let Progress::Picture(candidate) = full.step(&mut decoder).unwrap() {
            return Outcome { candidate, tokens: full.image_tokens().to_vec(), latent: full.latent().to_vec() };
        }
    }
}

fn onnx_runtime() -> Option<Box<dyn Engine>> {
    match mindeye_engine::start(&EngineConfig { threads: 1, ..EngineConfig::default() }) {
        Ok(engine) => Some(engine),
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Largest difference as a share of the largest expected number.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f64, |largest, v| largest.max(f64::from(v.abs())));
    let differences = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    differences.fold(0.0, f64::max) / largest
}

fn check(found: &Outcome, start: &str, what: &str) {
    let numbers = numbers();
    // 1e-4: the prior is evaluated 19 times in float32, each time from its own answer; one evaluation differs by 1e-6.
    let tokens = distance(&found.tokens, &numbers["io.tokens"]);
    assert!(tokens < 1e-4, "{what}: tokens differ by {tokens:.1e}");
    // 1e-4: 17 guided evaluations, whose differences guidance multiplies by 3.5.
    let latent = distance(&found.latent, &numbers[&format!("io.{start}.latent")]);
    assert!(latent < 1e-4, "{what}: latents differ by {latent:.1e}");
    let image = &numbers[&format!("io.{start}.image")];
    for (i, level) in found.candidate.picture.rgb().iter().enumerate() {
        let (pixel, channel) = (i / 3, i % 3);
        let value = f64::from(image[channel * 4 * SIDE * SIDE + pixel]);
        let expected = 255.0 * (value / 2.0 + 0.5).clamp(0.0, 1.0);
        // 0.6: half a level of rounding, and the latent's difference.
        assert!((f64::from(*level) - expected).abs() < 0.6, "{what}: pixel {pixel}: {level}, expected {expected}");
    }
}

#[test]
fn the_whole_chain_ends_in_diffusers_picture_from_either_start() {
    for (low_level_start, start) in [(LowLevelStart::Direct, "direct"), (LowLevelStart::RoundTrip, "round_trip")] {
        let Some(engine) = onnx_runtime() else { return };
        let scheduler = SchedulerConfig { low_level_start, ..SchedulerConfig::default() };
        check(&reconstruct(&chain_bundle(&scheduler, 2, false), engine, "prior", LoopPlace::Host), start, start);
    }
}

#[test]
fn a_unet_of_one_branch_ends_in_the_same_picture() {
    let Some(engine) = onnx_runtime() else { return };
    let written = chain_bundle(&SchedulerConfig::default(), 1, false);
    check(&reconstruct(&written, engine, "prior", LoopPlace::Host), "direct", "one branch at a time");
}

#[test]
fn the_loops_on_a_device_end_where_the_loops_on_the_host_do() {
    let samplers = [Sampler::Unipc, Sampler::DpmSolver, Sampler::Ddim];
    for sampler in samplers {
        let scheduler = SchedulerConfig { sampler, guided_share: 0.6, ..SchedulerConfig::default() };
        let written = chain_bundle(&scheduler, 2, true);
        let (Some(engine), Some(other)) = (onnx_runtime(), onnx_runtime()) else { return };
        let host = reconstruct(&written, engine, "prior", LoopPlace::Host);
        let device = reconstruct(&written, other, "prior", LoopPlace::Device);
        // 1e-5: the host mixes in f64 and rounds once a step, the graphs add three to five float32 products, each rounded
        // to 6e-8; 19 steps later that is 1e-6, and ten times as much where guidance multiplies differences by 3.5.
        for (what, found, expected) in [("tokens", device.tokens, host.tokens), ("latent", device.latent, host.latent)]
        {
            let apart = distance(&found, &expected);
            assert!(apart < 1e-5, "{sampler:?}: {what} differ by {apart:.1e}");
            assert!(apart > 0.0, "{sampler:?}: {what}: both loops on the same place?");
        }
        let levels = device.candidate.picture.rgb().iter().zip(host.candidate.picture.rgb());
        // 1: a level that lies between two may be rounded either way.
        assert!(levels.map(|(a, b)| a.abs_diff(*b)).max() <= Some(1), "{sampler:?}: pictures differ");
    }
}

#[test]
fn the_loops_on_a_device_end_in_diffusers_picture() {
    let Some(engine) = onnx_runtime() else { return };
    let written = chain_bundle(&SchedulerConfig::default(), 2, true);
    check(&reconstruct(&written, engine, "prior", LoopPlace::Device), "direct", "loops on a device");
}

#[test]
fn the_ancestral_prior_is_dalle2_pytorchs() {
    let Some(engine) = onnx_runtime() else { return };
    let mut scheduler = SchedulerConfig::default();
    (scheduler.prior.train_timesteps, scheduler.prior.steps) = (12, 12);
    let written = chain_bundle(&scheduler, 2, true);
    for (place, engine) in [(LoopPlace::Host, engine), (LoopPlace::Device, onnx_runtime().expect("it just was there"))]
    {
        let found = reconstruct(&written, engine, "ancestral", place);
        let tokens = distance(&found.tokens, &numbers()["io.ancestral_tokens"]);
        // 1e-4: 12 evaluations in float32, each from the last one's answer.
        assert!(tokens < 1e-4, "{place:?}: tokens differ by {tokens:.1e}");
    }
}
