//! `mindeye-export`: weights in, ONNX graphs, galleries and bundles out.

use clap::{ArgGroup, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use mindeye_config::{Failure, Precision, run_program};
use mindeye_engine::Target;
use mindeye_exporter::bundle::{FromCheckpoint, checkpoint_bundle, random_init_bundle_with_progress};
use mindeye_exporter::gallery::{encode_gallery, write_coarse};
use mindeye_exporter::inspect::{CARDS, card, inspect};
use mindeye_exporter::networks::{Choices, Dialect};
use mindeye_exporter::onnx::INLINE_LIMIT;
use mindeye_exporter::{
    EngineRequest, ExportError, GraphRequest, Origin, RandomInit, Size, Step, compile_engines, export_graph,
};
use serde::Serialize;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Weights in, ONNX graphs, galleries and bundles out.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// Print the report as JSON on standard output.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Verb {
    /// Write one network as an ONNX file.
    Graph(GraphArguments),
    /// Make a gallery of a folder of pictures.
    Gallery(GalleryArguments),
    /// Make a bundle, the folder that the daemon runs from.
    Bundle(BundleArguments),
    /// Compile a bundle's networks to TensorRT engines for RTX cards; needs no GPU.
    Engine(EngineArguments),
    /// Show what a graph, bundle or engine contains, and the least time it takes on a card.
    Inspect(InspectArguments),
}

#[derive(clap::Args)]
#[command(group = ArgGroup::new("weights").args(["model", "random_init"]).required(true))]
struct GraphArguments {
    /// backbone, prior, low-level, unet, step, vae-decoder, vae-encoder, taesd-decoder, taesd-encoder or clip-image.
    network: String,
    /// Folder with the weights, or the .safetensors file itself.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Random weights of demo or full size instead.
    #[arg(long, value_enum)]
    random_init: Option<SizeArgument>,
    /// Seed of the random weights.
    #[arg(long, default_value = "1", conflicts_with = "model")]
    seed: u64,
    /// The .onnx file to write; above 256 MiB the weights go to a `.data` file beside it.
    #[arg(long)]
    out: PathBuf,
    /// Arithmetic of the graph; inputs and outputs are float32 always.
    #[arg(long, value_enum, default_value = "fp32")]
    precision: PrecisionArgument,
    /// Whose operators the graph uses: every runtime's, or those that ONNX Runtime's CUDA provider fuses.
    #[arg(long, value_enum, default_value = "portable")]
    dialect: DialectArgument,
    /// Examples that the graph takes at once.
    #[arg(long, default_value = "1")]
    batch: NonZeroUsize,
    /// Side of the latent of a UNet, step, VAE or TAESD [default: from config.json's sample_size, else 64].
    #[arg(long)]
    latent_size: Option<NonZeroUsize>,
    /// Tokens that a UNet attends to [default: 257].
    #[arg(long)]
    tokens: Option<NonZeroUsize>,
    /// Front-end of a MindEye2 backbone, the I of `ridge.linears.I` [default: the only one].
    #[arg(long)]
    subject: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionArgument {
    Fp32,
    Fp16,
}

impl From<PrecisionArgument> for Precision {
    fn from(argument: PrecisionArgument) -> Self {
        match argument {
            PrecisionArgument::Fp32 => Self::Fp32,
            PrecisionArgument::Fp16 => Self::Fp16,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum DialectArgument {
    Portable,
    OnnxruntimeCuda,
}

impl From<DialectArgument> for Dialect {
    fn from(argument: DialectArgument) -> Self {
        match argument {
            DialectArgument::Portable => Self::Portable,
            DialectArgument::OnnxruntimeCuda => Self::OnnxRuntimeCuda,
        }
    }
}

#[derive(clap::Args)]
struct GalleryArguments {
    /// Folder of .png and .jpg pictures; a picture's name becomes its id.
    #[arg(long)]
    images: PathBuf,
    /// CLIP image tower as ONNX: `pixel_values` to `image_tokens`.
    #[arg(long)]
    encoder: PathBuf,
    /// Coarse vectors of so many numbers for a first look, 1 to 1024: for galleries of thousands.
    #[arg(long, value_name = "N")]
    coarse: Option<usize>,
    /// The gallery to make.
    #[arg(long)]
    out: PathBuf,
}

#[derive(clap::Args)]
#[command(group = ArgGroup::new("origin").args(["random_init", "checkpoint"]).required(true))]
struct BundleArguments {
    /// Random weights of demo or full size, for wiring and latency work.
    #[arg(long, value_enum)]
    random_init: Option<SizeArgument>,
    /// Arithmetic of the graphs [default: fp16 for random weights of full size, else fp32].
    #[arg(long, value_enum)]
    precision: Option<PrecisionArgument>,
    /// Whose operators the graphs use: every runtime's, or those that ONNX Runtime's CUDA provider fuses.
    #[arg(long, value_enum, default_value = "portable")]
    dialect: DialectArgument,
    /// A trained checkpoint: model.safetensors, preprocess.toml, mask.nii.gz, reference.nii.gz and what else it has.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Folder with unet/, vae/ and perhaps taesd/, clip-image/ to draw with [default: retrieval only].
    #[arg(long, requires = "checkpoint")]
    renderer: Option<PathBuf>,
    /// Gallery to retrieve from, as `gallery` makes it.
    #[arg(long, requires = "checkpoint")]
    gallery: Option<PathBuf>,
    /// Front-end of a MindEye2 checkpoint, the I of `ridge.linears.I` [default: the only one].
    #[arg(long, requires = "checkpoint")]
    subject: Option<usize>,
    /// Seed of the random weights.
    #[arg(long, default_value = "1", conflicts_with = "checkpoint")]
    seed: u64,
    /// Mask to decode in [default: the phantom's visual region].
    #[arg(long, conflicts_with = "checkpoint")]
    mask: Option<PathBuf>,
    /// The bundle to make.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum SizeArgument {
    Demo,
    Full,
}

impl From<SizeArgument> for Size {
    fn from(argument: SizeArgument) -> Self {
        match argument {
            SizeArgument::Demo => Self::Demo,
            SizeArgument::Full => Self::Full,
        }
    }
}

#[derive(clap::Args)]
struct InspectArguments {
    /// An .onnx file, a bundle, or an .engine file.
    path: PathBuf,
    /// A card by name, for instance `rtx-4090`, `rtx-6000-ada`, `rtx-a6000`, `h100` or `h200`.
    #[arg(long)]
    card: Option<String>,
}

#[derive(clap::Args)]
struct EngineArguments {
    /// The bundle; the engines go to its folder `engines/TARGET/`.
    bundle: PathBuf,
    /// sm_86, sm_89, sm_120, or current for the GPU of this machine.
    #[arg(long)]
    target: String,
    /// Arithmetic that every graph must have; a graph of another is refused [default: as the manifest says of each].
    #[arg(long, value_enum)]
    precision: Option<PrecisionArgument>,
}

fn main() -> ExitCode {
    run_program(|arguments: Arguments| {
        let json = arguments.json;
        run(arguments.verb, json).map_err(|error| Failure::new(error.exit(), error))
    })
}

fn run(verb: Verb, json: bool) -> Result<(), ExportError> {
    match verb {
        Verb::Graph(arguments) => graph(&arguments, json),
        Verb::Gallery(arguments) => gallery(&arguments, json),
        Verb::Bundle(arguments) => bundle(&arguments, json),
        Verb::Engine(arguments) => engine(&arguments, json),
        Verb::Inspect(arguments) => show(&arguments, json),
    }
}

fn graph(arguments: &GraphArguments, json: bool) -> Result<(), ExportError> {
    let choices = Choices {
        latent_side: arguments.latent_size.map(NonZeroUsize::get),
        tokens: arguments.tokens.map(NonZeroUsize::get),
        subject: arguments.subject,
    };
    let origin = match (&arguments.model, arguments.random_init) {
        (Some(model), _) => Origin::Model(model),
        (None, Some(size)) => Origin::Random(size.into(), arguments.seed),
        (None, None) => unreachable!("clap wants one of the two"),
    };
    let request = GraphRequest {
        network: &arguments.network,
        origin,
        out: &arguments.out,
        precision: arguments.precision.into(),
        dialect: arguments.dialect.into(),
        batch: arguments.batch.get(),
        choices,
        inline_limit: INLINE_LIMIT,
    };
    let report = export_graph(&request)?;
    for line in &report.set_aside {
        eprintln!("left aside {line}");
    }
    let (out, mib) = (arguments.out.display(), report.bytes >> 20);
    let told = format!(
        "{out}: {} with {} parameters in {} tensors, {mib} MiB",
        report.network, report.parameters, report.tensors
    );
    tell(json, &report, &told);
    Ok(())
}

fn gallery(arguments: &GalleryArguments, json: bool) -> Result<(), ExportError> {
    let mut bar = Bar::new();
    let report = encode_gallery(&arguments.images, &arguments.encoder, &arguments.out, &mut |step| bar.show(step))?;
    bar.finish();
    let coarse = arguments.coarse.map(|dimensions| write_coarse(&arguments.out, dimensions)).transpose()?;
    let (out, encoder) = (arguments.out.display(), &report.encoder);
    let coarse = coarse.map_or(String::new(), |found| format!(", {found} coarse numbers each"));
    let told =
        format!("{out}: {} pictures of {}x{} by {encoder}{coarse}", report.count, report.tokens, report.token_dim);
    tell(json, &report, &told);
    Ok(())
}

fn bundle(arguments: &BundleArguments, json: bool) -> Result<(), ExportError> {
    let mut bar = Bar::new();
    let progress = &mut |step: Step<'_>| bar.show(step);
    let manifest = match (&arguments.checkpoint, arguments.random_init) {
        (Some(checkpoint), _) => {
            let from = FromCheckpoint {
                checkpoint,
                renderer: arguments.renderer.as_deref(),
                gallery: arguments.gallery.as_deref(),
                precision: arguments.precision.map_or(Precision::Fp32, Into::into),
                dialect: arguments.dialect.into(),
                subject: arguments.subject,
            };
            checkpoint_bundle(&from, &arguments.out, progress)?
        }
        (None, Some(size)) => {
            let of_size = RandomInit::of(size.into(), arguments.seed);
            let precision = arguments.precision.map_or(of_size.precision, Into::into);
            let (dialect, mask) = (arguments.dialect.into(), arguments.mask.as_deref());
            let init = RandomInit { precision, dialect, mask, ..of_size };
            random_init_bundle_with_progress(&init, &arguments.out, progress)?
        }
        (None, None) => unreachable!("clap wants one of the two"),
    };
    bar.finish();
    let (out, sizes) = (arguments.out.display(), &manifest.dimensions);
    let told =
        format!("{out}: {} voxels to {}x{} tokens. {}", sizes.voxels, sizes.tokens, sizes.token_dim, manifest.note);
    tell(json, &manifest, &told);
    Ok(())
}

fn show(arguments: &InspectArguments, json: bool) -> Result<(), ExportError> {
    let card = match &arguments.card {
        None => None,
        Some(name) => Some(card(name).ok_or_else(|| {
            let known = CARDS.map(|card| card.name).join(", ");
            ExportError::Flag { flag: "--card", message: format!("`{name}` is none of {known}") }
        })?),
    };
    let found = inspect(&arguments.path, card)?;
    tell(json, &found, &found.to_string());
    Ok(())
}

fn engine(arguments: &EngineArguments, json: bool) -> Result<(), ExportError> {
    let wrong = |message| ExportError::Flag { flag: "--target", message };
    let target = match arguments.target.as_str() {
        "current" => Target::of_this_machine()?,
        name => name.parse().map_err(wrong)?,
    };
    let precision = arguments.precision.map(Into::into);
    let mut bar = Bar::new();
    let request = EngineRequest { bundle: &arguments.bundle, target, precision };
    let report = compile_engines(&request, &mut |step| bar.show(step))?;
    bar.finish();
    let mib: u64 = report.engines.iter().map(|engine| engine.report.engine_bytes >> 20).sum();
    let reused = report.engines.iter().filter(|engine| engine.reused).count();
    let (bundle, count) = (arguments.bundle.display(), report.engines.len());
    let told = format!("{bundle}: {count} engines for {target}, {mib} MiB, {reused} of them there already");
    tell(json, &report, &told);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "standard output is where a program's answer goes")]
fn tell(json: bool, report: &impl Serialize, told: &str) {
    let machine = || serde_json::to_string_pretty(report).expect("reports hold names and numbers only");
    println!("{}", if json { machine() } else { told.to_owned() });
}

/// A bar on a terminal, plain lines elsewhere.
struct Bar {
    bar: Option<ProgressBar>,
}

impl Bar {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}");
            ProgressBar::new(0).with_style(style.expect("the template is a constant without errors"))
        });
        Self { bar }
    }

    fn show(&mut self, step: Step<'_>) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(step.of as u64);
                bar.set_position(step.done as u64);
                bar.set_message(step.what.to_owned());
            }
            None => eprintln!("{}/{} {}", step.done + 1, step.of, step.what),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
