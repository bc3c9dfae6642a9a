//! Times one training step (forward, losses, gradients, AdamW) of a model of any size, and its checkpoint; prints JSON.
//!
//! ```text
//! cargo run --release -p mindeye-trainer --features libtorch --example training_step -- \
//!     --model FILE|mindeye1-subj01 --batch 8 --steps 1 [--device cuda:0] [--precision bf16] \
//!     [--checkpoint FILE] [--threads N]
//! ```
//! The same step in PyTorch: tests/oracle/_training_step.py, with the same flags and the same answer;
//! tests/oracle/_training_bench.py runs both in turn. Weights and data are random numbers, made in place.

use clap::Parser;
use mindeye_config::{ModelDimensions, SystemClock, TrainingConfig, TrainingPrecision};
use mindeye_trainer::checkpoint::{Numbers, write_safetensors};
use mindeye_trainer::learning::{AdamW, Parameters, PriorNetwork, backbone, bi_mix_co, device, mix, noised};
use mindeye_trainer::networks::{Backbone, Prior};
use mindeye_trainer::{Draws, Mixing, OneCycle, cosine_alphas_cumprod};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tch::{Device, Kind, Reduction, Tensor};

#[derive(Parser)]
struct Arguments {
    /// mindeye1-subj01, or a model.toml
    #[arg(long)]
    model: String,
    #[arg(long, default_value_t = 8)]
    batch: usize,
    #[arg(long, default_value_t = 5)]
    steps: u64,
    /// Also write the weights here
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    #[arg(long, default_value_t = 2)]
    threads: i32,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    #[arg(long, value_enum, default_value = "fp32")]
    precision: Products,
}

/// What products round their factors to.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Products {
    Fp32,
    Bf16,
}

/// Networks, weights, optimiser and one batch of random numbers.
struct Bench {
    backbone: Backbone,
    prior: PriorNetwork,
    parameters: Parameters,
    optimiser: AdamW,
    cycle: OneCycle,
    training: TrainingConfig,
    voxels: Tensor,
    target: Tensor,
}

impl Bench {
    fn new(model: &ModelDimensions, batch: i64, device: Device, precision: TrainingPrecision) -> Self {
        let training = TrainingConfig::default();
        let (backbone, prior) = (Backbone::of(model), Prior::of(model));
        let mut layout = backbone.layout();
        layout.extend(prior.layout());
        let mut parameters = Parameters::random(layout, 0, device);
        parameters.set_precision(precision);
        let normal = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, device));
        Self {
            optimiser: AdamW::new(&training.optimiser, &parameters),
            cycle: OneCycle::new(&training.optimiser, training.epochs, 276),
            voxels: normal(&[batch, model.voxels as i64]),
            target: normal(&[batch, model.tokens as i64, model.token_dim as i64]),
            prior: PriorNetwork::new(prior, device),
            backbone,
            parameters,
            training,
        }
    }

    /// One step in the BiMixCo phase; the loss.
    fn step(&mut self, number: u64) -> f64 {
        let batch = self.voxels.size()[0];
        let mut draws = Draws::new(0, number, "step");
        let mixing = Mixing::draw(&mut draws, batch as usize, &self.training.contrastive);
        let voxels = mix(&self.voxels, &mixing);
        let answer = backbone(&self.backbone, &self.parameters, &voxels, 0, Some(&self.training.dropout));
        let device = voxels.device();
        let weights = Tensor::from_slice(&mixing.target(self.training.contrastive.mixco_target));
        let contrastive =
            bi_mix_co(&answer.projected, &self.target, &weights.view([batch, batch]).to_device(device), 0.006);
        let kept: Vec<f32> = cosine_alphas_cumprod(100).into_iter().map(|a| a as f32).collect();
        let t = Tensor::randint(100, [batch], (Kind::Int64, device));
        let clean = &self.target * self.prior.sizes.target_scale();
        let x = noised(&clean, &clean.randn_like(), &Tensor::from_slice(&kept).to_device(device).index_select(0, &t));
        let predicted = self.prior.forward(&self.parameters, &x, &t, &answer.tokens, None);
        let total = contrastive + predicted.mse_loss(&clean, Reduction::Mean) * self.training.prior.weight;
        let trained: Vec<&Tensor> = self.parameters.trained().map(|(_, tensor)| tensor).collect();
        let gradients = Tensor::run_backward(&[&total], &trained, false, false);
        self.optimiser.update(&self.parameters, &gradients, self.cycle.at(number));
        total.double_value(&[])
    }
}

#[expect(clippy::print_stdout, reason = "the numbers are the answer")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    tch::set_num_threads(arguments.threads);
    let text = match arguments.model.as_str() {
        "mindeye1-subj01" => include_str!("../../config/model/mindeye1-subj01.toml").to_owned(),
        file => std::fs::read_to_string(file)?,
    };
    let model: ModelDimensions = toml::from_str(&text)?;
    let clock = SystemClock::start();
    let precision = match arguments.precision {
        Products::Fp32 => TrainingPrecision::Fp32,
        Products::Bf16 => TrainingPrecision::Bf16,
    };
    let device = device(&arguments.device)?;
    let before = device_memory_gb(device);
    let mut bench = Bench::new(&model, arguments.batch as i64, device, precision);
    let (mut seconds, mut losses) = (Vec::new(), Vec::new());
    for step in 0..arguments.steps {
        let began = clock.now();
        losses.push(bench.step(step)); // the number of the loss is there only once the whole step is done
        seconds.push(clock.now().since(began).as_secs_f64());
    }
    let device_gb = device_memory_gb(device);
    let began = clock.now();
    if let Some(path) = &arguments.checkpoint {
        let tensors: Vec<(String, &dyn Numbers)> =
            bench.parameters.all().map(|(key, tensor)| (key.to_owned(), tensor as &dyn Numbers)).collect();
        write_safetensors(path, &tensors, &BTreeMap::new())?;
    }
    let answer = serde_json::json!({
        "parameters": bench.parameters.layout().parameters(),
        "batch": arguments.batch,
        "device": arguments.device,
        "precision": format!("{precision:?}").to_lowercase(),
        "step_s": seconds,
        "loss": losses,
        "checkpoint_s": arguments.checkpoint.as_ref().map(|_| clock.now().since(began).as_secs_f64()),
        "peak_rss_gb": peak_rss_gb(),
        "device_gb": device_gb.zip(before).map(|(now, before)| now - before),
    });
    println!("{answer}");
    Ok(())
}

/// Memory in use on a CUDA device, as its driver's tool says; nothing on the processor or without the tool. libtorch
/// gives nothing back while it runs, so that the last number is the largest.
fn device_memory_gb(device: Device) -> Option<f64> {
    let Device::Cuda(number) = device else { return None };
    let query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits"];
    let asked = std::process::Command::new("nvidia-smi").args(query).arg(format!("--id={number}")).output().ok()?;
    let mebibytes: f64 = String::from_utf8_lossy(&asked.stdout).trim().parse().ok()?;
    Some(mebibytes * 1024.0 * 1024.0 / 1e9)
}

/// The largest resident memory so far, as the kernel counts; nothing where it does not say.
fn peak_rss_gb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0 / 1e9)
}
