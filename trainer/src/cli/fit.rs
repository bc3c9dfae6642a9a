//! `mindeye-train fit`: flags over files over defaults, then the training.

use clap::ValueEnum;
use mindeye_config::{Checked, Failure, ModelDimensions, RendererDimensions, TrainingConfig, TrainingPrecision, load};
use mindeye_trainer::TrainError;
use std::path::{Path, PathBuf};

/// Presets that are part of the program: name, and text of the file of that name in `config/`.
const MODELS: [(&str, &str); 4] = [
    ("mindeye1-subj01", include_str!("../../../config/model/mindeye1-subj01.toml")),
    ("mindeye1-1x768", include_str!("../../../config/model/mindeye1-1x768.toml")),
    ("realtime-1024", include_str!("../../../config/model/realtime-1024.toml")),
    ("demo", include_str!("../../../config/model/demo.toml")),
];
const RENDERERS: [(&str, &str); 2] = [
    ("demo", include_str!("../../../config/renderer/demo.toml")),
    ("demo-trained", include_str!("../../../config/renderer/demo-trained.toml")),
];
const TRAININGS: [(&str, &str); 6] = [
    ("mindeye1", include_str!("../../../config/training/mindeye1.toml")),
    ("low-level", include_str!("../../../config/training/low-level.toml")),
    ("encoder", include_str!("../../../config/training/encoder.toml")),
    ("vae", include_str!("../../../config/training/vae.toml")),
    ("unet", include_str!("../../../config/training/unet.toml")),
    ("demo", include_str!("../../../config/training/demo.toml")),
];

/// What to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartArgument {
    /// Backbone, projector and prior
    Mindeye,
    /// Voxels to the blurry picture's latent
    LowLevel,
    /// Picture encoder of a small renderer
    Encoder,
    /// Autoencoder of a small renderer
    Vae,
    /// UNet of a small renderer, after encoder and vae in the same --out
    Unet,
}

/// What products round their factors to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TrainingPrecisionArgument {
    /// Nothing is rounded
    Fp32,
    /// bfloat16
    Bf16,
    /// float16 with a scaled loss, on CUDA
    Fp16,
}

impl TrainingPrecisionArgument {
    fn value(self) -> TrainingPrecision {
        match self {
            Self::Fp32 => TrainingPrecision::Fp32,
            Self::Bf16 => TrainingPrecision::Bf16,
            Self::Fp16 => TrainingPrecision::Fp16,
        }
    }
}

/// What the high-level part begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StartArgument {
    /// Random weights, as MindEye1
    Mindeye1,
    /// A ridge regression in closed form, to which a gated MLP adds what it learns
    Ridge,
}

/// Train a part of a model on a training folder, and write its checkpoint.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Training folder (dataset.toml, trials.tsv, voxels.npy, targets.npy, ...); repeat for participants who share a model.
    /// For encoder, vae and unet one, which may also be a folder of PNG and JPEG pictures, or a safetensors file with
    /// `pictures` u8 [n, side, side, 3]
    #[arg(long, value_name = "DIR", required = true)]
    data: Vec<PathBuf>,
    /// Sizes: mindeye1-subj01, mindeye1-1x768, realtime-1024, demo, or a model.toml; the data's voxel count is taken
    #[arg(long, value_name = "PRESET|FILE")]
    model: String,
    /// Sizes of encoder and UNet: demo, demo-trained, or a renderer.toml
    #[arg(long, value_name = "PRESET|FILE", default_value = "demo")]
    renderer: String,
    /// Checkpoint folder to write; for encoder, vae and unet the renderer folder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What to train
    #[arg(long, value_enum, default_value = "mindeye")]
    part: PartArgument,
    /// What the high-level part begins as
    #[arg(long, value_enum, default_value = "mindeye1")]
    start: StartArgument,
    /// Losses, schedule, optimiser: mindeye1, low-level, encoder, vae, unet, demo, or a training.toml [default: by part]
    #[arg(long, value_name = "PRESET|FILE")]
    training: Option<String>,
    /// Go on where a training in --out stopped
    #[arg(long)]
    resume: bool,
    /// Begin with the weights of this checkpoint (safetensors)
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// Passes over the training images
    #[arg(long)]
    epochs: Option<u32>,
    /// Images in a batch
    #[arg(long)]
    batch: Option<usize>,
    /// Batches whose gradients are averaged before the weights move
    #[arg(long)]
    accumulate: Option<usize>,
    /// Factors of matrix products: fp32, bf16, or on CUDA fp16
    #[arg(long)]
    precision: Option<TrainingPrecisionArgument>,
    /// Learning rate at the peak
    #[arg(long)]
    lr: Option<f64>,
    /// Seed of every random draw
    #[arg(long)]
    seed: Option<u64>,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Stop after this epoch; --resume goes on
    #[arg(long, value_name = "EPOCH")]
    pause_after: Option<u32>,
    /// Go on in spite of test trials in masks or statistics
    #[arg(long)]
    allow_leakage: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let model: ModelDimensions = preset_or_file("--model", &arguments.model, &MODELS).map_err(failure)?;
    let training = training(&arguments).map_err(failure)?;
    let renderer: RendererDimensions =
        preset_or_file("--renderer", &arguments.renderer, &RENDERERS).map_err(failure)?;
    if let Some(path) = arguments.data.iter().find(|path| !path.exists()) {
        return Err(failure(TrainError::NoSuchFile { path: path.clone() }));
    }
    train(&arguments, (model, renderer), training).map_err(failure)
}

/// The error as the shell sees it.
fn failure(error: TrainError) -> Failure {
    Failure::new(error.exit(), error)
}

/// The training configuration with the flags over it.
fn training(arguments: &Arguments) -> Result<TrainingConfig, TrainError> {
    let mut training = match (&arguments.training, arguments.part) {
        (Some(named), _) => preset_or_file("--training", named, &TRAININGS)?,
        (None, PartArgument::Mindeye) => TrainingConfig::default(),
        (None, PartArgument::LowLevel) => TrainingConfig::low_level(),
        (None, PartArgument::Encoder) => preset_or_file("--training", "encoder", &TRAININGS)?,
        (None, PartArgument::Vae) => preset_or_file("--training", "vae", &TRAININGS)?,
        (None, PartArgument::Unet) => preset_or_file("--training", "unet", &TRAININGS)?,
    };
    training.epochs = arguments.epochs.unwrap_or(training.epochs);
    training.batch = arguments.batch.unwrap_or(training.batch);
    training.accumulate = arguments.accumulate.unwrap_or(training.accumulate);
    training.precision = arguments.precision.map_or(training.precision, TrainingPrecisionArgument::value);
    training.seed = arguments.seed.unwrap_or(training.seed);
    training.optimiser.learning_rate = arguments.lr.unwrap_or(training.optimiser.learning_rate);
    if arguments.epochs.is_some() {
        // A short training keeps its warm-up short: no longer than half of it.
        let longest = f64::from(training.epochs) / 2.0;
        training.optimiser.warmup_epochs = training.optimiser.warmup_epochs.min(longest);
    }
    training.check().map_err(|c| TrainError::Flag { flag: "--training", message: c.to_string() })?;
    Ok(training)
}

fn preset_or_file<T: serde::de::DeserializeOwned + Checked>(
    flag: &'static str,
    named: &str,
    presets: &[(&str, &str)],
) -> Result<T, TrainError> {
    if let Some((name, text)) = presets.iter().find(|(name, _)| *name == named) {
        return Ok(mindeye_config::from_toml(text, Path::new(name))?);
    }
    let path = Path::new(named);
    if !path.exists() {
        let names: Vec<&str> = presets.iter().map(|(name, _)| *name).collect();
        let message = format!("`{named}` is neither a file nor one of {}", names.join(", "));
        return Err(TrainError::Flag { flag, message });
    }
    Ok(load(path)?)
}

#[cfg(not(feature = "libtorch"))]
fn train(_: &Arguments, _: (ModelDimensions, RendererDimensions), _: TrainingConfig) -> Result<(), TrainError> {
    Err(TrainError::Unavailable {
        what: "this build of mindeye-train has no libtorch, which `fit` needs".into(),
        remedy: "run `cargo xtask setup --with trainer`, then build with `--features libtorch`".into(),
    })
}

#[cfg(feature = "libtorch")]
fn train(
    arguments: &Arguments,
    (model, renderer): (ModelDimensions, RendererDimensions),
    training: TrainingConfig,
) -> Result<(), TrainError> {
    use mindeye_config::SystemClock;
    use mindeye_trainer::learning::{FitRequest, PartName, Start, device, fit};
    let part = match arguments.part {
        PartArgument::Mindeye => PartName::Mindeye,
        PartArgument::LowLevel => PartName::LowLevel,
        PartArgument::Encoder => PartName::Encoder,
        PartArgument::Vae => PartName::Vae,
        PartArgument::Unet => PartName::Unet,
    };
    let request = FitRequest {
        data: arguments.data.clone(),
        model,
        renderer,
        training,
        out: arguments.out.clone(),
        part,
        start: match arguments.start {
            StartArgument::Mindeye1 => Start::Mindeye1,
            StartArgument::Ridge => Start::Ridge,
        },
        device: device(&arguments.device)?,
        resume: arguments.resume,
        from: arguments.from.clone(),
        allow_leakage: arguments.allow_leakage,
        pause_after: arguments.pause_after,
        clock: SystemClock::start(),
    };
    let mut progress = super::progress::Progress::new(request.clock.clone());
    let outcome = fit(&request, &mut progress)?;
    progress.finish();
    tell(arguments, &outcome);
    Ok(())
}

#[cfg(feature = "libtorch")]
#[expect(clippy::print_stdout, reason = "--json prints its answer")]
fn tell(arguments: &Arguments, outcome: &mindeye_trainer::learning::FitOutcome) {
    let out = arguments.out.display();
    let best = outcome.best_epoch.unwrap_or(0);
    if arguments.json {
        let last = outcome.log.rows.last();
        let values: serde_json::Map<String, serde_json::Value> = outcome
            .log
            .names
            .iter()
            .zip(last.map_or(&[][..], |row| &row.values))
            .map(|(name, value)| (name.clone(), (*value).into()))
            .collect();
        let answer = serde_json::json!({
            "checkpoint": out.to_string(), "epochs": outcome.epochs, "best_epoch": best, "last_epoch": values
        });
        println!("{answer}");
    } else {
        eprintln!("{out}: {} epochs done; the checkpoint holds epoch {best}", outcome.epochs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser;

    fn arguments(more: &[&str]) -> Arguments {
        let line = [&["mindeye-train", "fit", "--data", "d", "--model", "demo", "--out", "o"], more].concat();
        let Verb::Fit(arguments) = Cli::try_parse_from(line).unwrap().verb else { panic!("not fit") };
        arguments
    }

    #[test]
    fn flags_go_over_presets_and_presets_over_defaults() {
        let of = |more: &[&str]| training(&arguments(more)).unwrap();
        assert_eq!(of(&[]), TrainingConfig::default());
        assert_eq!(of(&["--part", "low-level"]), TrainingConfig::low_level());
        assert_eq!(of(&["--training", "demo"]).epochs, 20);
        let flags = of(&["--training", "demo", "--epochs", "3", "--batch", "4", "--lr", "0.1", "--seed", "9"]);
        assert_eq!((flags.epochs, flags.batch, flags.seed), (3, 4, 9));
        assert_eq!((flags.optimiser.learning_rate, flags.optimiser.warmup_epochs), (0.1, 1.5));
    }

    #[test]
    fn names_that_are_nothing_are_refused_with_the_choices() {
        let error = training(&arguments(&["--training", "mindeye"])).unwrap_err();
        assert_eq!(error.exit().status(), 64);
        let expected =
            "--training: `mindeye` is neither a file nor one of mindeye1, low-level, encoder, vae, unet, demo";
        assert_eq!(error.to_string(), expected);
        let error = training(&arguments(&["--batch", "0"])).unwrap_err();
        assert!(error.to_string().contains("key `batch`: must be 1 or more"), "{error}");
    }

    #[test]
    fn every_preset_of_the_program_is_good() {
        for (name, text) in MODELS {
            mindeye_config::from_toml::<ModelDimensions>(text, Path::new(name)).unwrap();
        }
        for (name, text) in TRAININGS {
            mindeye_config::from_toml::<TrainingConfig>(text, Path::new(name)).unwrap();
        }
    }
}
