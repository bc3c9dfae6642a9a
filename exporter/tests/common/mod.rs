//! What the tests of this folder share: an engine or a skip line, small models on disk, and comparisons.

#![allow(dead_code, unreachable_pub, reason = "each test file includes this one and uses its part")]

use mindeye_config::{EngineConfig, ModelDimensions, Precision};
use mindeye_engine::{Engine, NetworkFile, TensorSpec};
use mindeye_exporter::bundle::{Size, Sizes};
use mindeye_exporter::networks::{
    Choices, ClipImage, Half, KlEncoder, Level, MindEye2Backbone, Network, Prior, Taesd, Unet, VaeEncoder, open,
};
use mindeye_exporter::onnx::messages::ModelProto;
use mindeye_exporter::onnx::outline;
use mindeye_exporter::random_init::random_weights;
use mindeye_exporter::reference::Array;
use mindeye_exporter::weights::Weights;
use mindeye_exporter::{GraphRequest, export_graph};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::path::{Path, PathBuf};

/// ONNX Runtime on one thread, or `None` and a line that says why the test is skipped.
pub fn onnx_runtime() -> Option<Box<dyn Engine>> {
    match mindeye_engine::start(&EngineConfig { threads: 1, ..EngineConfig::default() }) {
        Ok(engine) => Some(engine),
        Err(error) if error.is_unavailable() => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Runs the ONNX file at `path` on `inputs`.
pub fn run(engine: &dyn Engine, path: &Path, inputs: &[Array]) -> Vec<Array> {
    let ends = outline(path).unwrap();
    let spec = |(name, shape): &(String, Vec<usize>)| TensorSpec::new(name.as_str(), shape.as_slice());
    let network = NetworkFile {
        name: "test".into(),
        path: path.to_path_buf(),
        precision: Precision::Fp32,
        inputs: ends.inputs.iter().map(spec).collect(),
        outputs: ends.outputs.iter().map(spec).collect(),
    };
    let mut session = engine.open(&network).unwrap();
    let mut buffers: Vec<_> = network.inputs.iter().map(|spec| engine.buffer(spec).unwrap()).collect();
    for (buffer, input) in buffers.iter_mut().zip(inputs) {
        engine.upload(buffer, &input.to_f32()).unwrap();
    }
    let mut results: Vec<_> = network.outputs.iter().map(|spec| engine.buffer(spec).unwrap()).collect();
    session.run(&buffers.iter().collect::<Vec<_>>(), &mut results.iter_mut().collect::<Vec<_>>()).unwrap();
    results
        .iter()
        .map(|buffer| {
            let mut values = vec![0.0; buffer.spec().element_count()];
            engine.download(buffer, &mut values).unwrap();
            Array::new(&buffer.spec().shape, values.into_iter().map(f64::from).collect())
        })
        .collect()
}

/// How far `found` is from `expected`.
#[derive(Debug, Clone, Copy)]
pub struct Distance {
    /// Largest absolute difference.
    pub largest: f64,
    /// Root mean square of the difference over that of `expected`.
    pub relative_rms: f64,
}

impl Distance {
    pub fn between(found: &Array, expected: &Array) -> Self {
        assert_eq!(found.shape, expected.shape);
        let differences: Vec<f64> = found.values.iter().zip(&expected.values).map(|(f, e)| f - e).collect();
        let square = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
        Self {
            largest: differences.iter().fold(0.0, |largest, d| largest.max(d.abs())),
            relative_rms: (square(&differences) / square(&expected.values)).sqrt(),
        }
    }
}

/// Models of every network in miniature: widths that are all different, so that swapped axes are noticed.
pub fn miniature() -> ModelDimensions {
    ModelDimensions {
        voxels: 23,
        hidden: 20,
        blocks: 2,
        tokens: 3,
        token_dim: 10,
        projector_hidden: 14,
        prior_depth: 1,
        prior_heads: 1,
        prior_head_dim: 4,
        low_level_hidden: 18,
        low_level_map_channels: 6,
        low_level_map_side: 3,
        upsampler_channels: vec![4, 8, 12],
        vae_channels: vec![4, 8, 12],
        vae_layers_per_block: 1,
        norm_groups: 2,
    }
}

/// The miniature networks with as many voxels as they want.
pub fn miniature_sizes() -> Sizes {
    Sizes::of(&miniature(), 23, Size::Demo).unwrap()
}

/// Every network that has weights, in miniature.
pub fn miniatures() -> Vec<Box<dyn Network>> {
    let sizes = miniature_sizes();
    let latent_side = 64; // what a TAESD without a choice gets
    let decoder = Taesd { channels: 5, stages: vec![2, 1], latent_side, ..Taesd::published(Half::Decoder) };
    let encoder = Taesd { channels: 5, stages: vec![1, 2], latent_side, ..Taesd::published(Half::Encoder) };
    vec![
        Box::new(sizes.backbone),
        Box::new(miniature_mindeye2()),
        Box::new(Prior { rotary: 3, ..Prior::with(5, 12, 2, 3, 8) }),
        Box::new(sizes.low_level),
        Box::new(miniature_unet()),
        Box::new(sizes.vae_decoder),
        Box::new(miniature_vae_encoder()),
        Box::new(decoder),
        Box::new(encoder),
        Box::new(miniature_clip()),
    ]
}

pub fn miniature_mindeye2() -> MindEye2Backbone {
    MindEye2Backbone { subject: 0, voxels: 23, hidden: 11, blocks: 3, tokens: 4, token_dim: 10, subjects: vec![0] }
}

/// Two levels, the outer with transformers on the way down only, the inner on both.
pub fn miniature_unet() -> Unet {
    let level = |channels, attends_up| Level { channels, attends_down: true, attends_up, heads: 2 };
    Unet {
        latent_side: 6,
        token_dim: 7,
        time_width: 10,
        levels: vec![level(4, false), level(8, true)],
        resnets: 1,
        norm_groups: 2,
        ..Unet::published()
    }
}

fn miniature_vae_encoder() -> VaeEncoder {
    let encoder = KlEncoder {
        prefix: "encoder.".into(),
        input: 3,
        stages: vec![4, 8, 12],
        resnets: 1,
        output: 8,
        norm_groups: 2,
    };
    VaeEncoder { moments: 8, latent_side: 6, encoder }
}

fn miniature_clip() -> ClipImage {
    ClipImage { patch: 3, tokens: 10, width: 12, mlp: 17, layers: 2, heads: 3, token_dim: 7, ..ClipImage::published() }
}

/// Writes random weights of `network` as a user would have them: a folder with the network's usual file name and the
/// settings beside it.
pub fn model_folder(network: &dyn Network, folder: &Path, seed: u64) -> PathBuf {
    let diffusers = "diffusion_pytorch_model.safetensors";
    let model = || ("model.toml", toml::to_string(&miniature()).unwrap());
    let config = |text: &str| ("config.json", text.to_owned());
    let (file, (settings, text)) = match network.name() {
        "backbone" | "prior" => ("model.safetensors", model()),
        "low-level" => ("low_level.safetensors", model()),
        "unet" => {
            let text = r#"{"_class_name": "UNet2DConditionModel", "norm_num_groups": 2, "sample_size": 6,
                           "attention_head_dim": 2}"#;
            (diffusers, config(text))
        }
        "taesd-decoder" | "taesd-encoder" => (diffusers, config(r#"{"_class_name": "AutoencoderTiny"}"#)),
        "clip-image" => ("model.safetensors", config(r#"{"num_attention_heads": 3, "hidden_act": "quick_gelu"}"#)),
        _ => {
            let text = r#"{"_class_name": "AutoencoderKL", "norm_num_groups": 2, "sample_size": 24}"#;
            (diffusers, config(text))
        }
    };
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(settings), text).unwrap();
    let path = folder.join(file);
    std::fs::write(&path, random_weights(&network.layout(), seed)).unwrap();
    path
}

/// The answers of a network's origin on random weights of its own: `w.*` are weights, `io.*` inputs and outputs.
pub struct Fixture {
    /// The weights as the origin would have saved them, with its configuration beside them.
    pub folder: tempfile::TempDir,
    tensors: Vec<Raw>,
}

impl Fixture {
    /// The fixture called `name`, its weights as `file`.
    pub fn new(name: &str, file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.safetensors"));
        let tensors = read_tensors(&path);
        let folder = tempfile::tempdir().unwrap();
        let weights = tensors.iter().filter_map(|t| Some(Raw { name: t.name.strip_prefix("w.")?.into(), ..t.clone() }));
        write_tensors(&folder.path().join(file), &weights.collect::<Vec<_>>());
        if let Some(config) = Weights::open(&path).unwrap().metadata().get("config") {
            std::fs::write(folder.path().join("config.json"), config).unwrap();
        }
        Self { folder, tensors }
    }

    /// Input or output `name`.
    pub fn io(&self, name: &str) -> Array {
        array(self.tensors.iter().find(|t| t.name == format!("io.{name}")).unwrap())
    }
}

/// On outputs of order one. ONNX Runtime sums thousands of float32 products in its own order: each sum is off by about
/// sqrt(n) roundings of 6e-8, some 30 layers deep.
pub const LARGEST: f64 = 1e-4;
/// The same roundings, averaged over an output.
pub const RELATIVE_RMS: f64 = 1e-5;

pub fn assert_close(found: &Array, expected: &Array, what: &str) {
    let distance = Distance::between(found, expected);
    eprintln!("{what}: largest {:.1e}, relative RMS {:.1e}", distance.largest, distance.relative_rms);
    assert!(distance.largest <= LARGEST && distance.relative_rms <= RELATIVE_RMS, "{what}: {distance:?}");
}

/// The reference's answer for the network `name` at `model`.
pub fn reference(name: &str, model: &Path, choices: &Choices, inputs: &[Array]) -> Vec<Array> {
    let (weights, network) = open(name, model, choices).unwrap();
    let state = weights.fit(network.name(), &network.layout(), &network.set_aside()).unwrap();
    network.reference(&state, inputs)
}

/// ONNX Runtime's answer for the graph exported from `model`, or `None` where there is no ONNX Runtime.
pub fn exported(name: &str, model: &Path, choices: Choices, inputs: &[Array]) -> Option<Vec<Array>> {
    let engine = onnx_runtime()?;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("graph.onnx");
    let batch = inputs[0].shape[0];
    export_graph(&GraphRequest { batch, choices, ..GraphRequest::new(name, model, &out) }).unwrap();
    Some(run(engine.as_ref(), &out, inputs))
}

/// A tensor of a safetensors file, taken out so that tests can change it.
#[derive(Clone)]
pub struct Raw {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// All tensors of a file.
pub fn read_tensors(path: &Path) -> Vec<Raw> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let raw = |(name, view): (&str, TensorView<'_>)| Raw {
        name: name.to_owned(),
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        bytes: view.data().to_vec(),
    };
    file.iter().map(raw).collect()
}

/// Writes tensors as a file.
pub fn write_tensors(path: &Path, tensors: &[Raw]) {
    let views = tensors.iter().map(|t| (&t.name, TensorView::new(t.dtype, t.shape.clone(), &t.bytes).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The float32 numbers of a tensor as an array.
pub fn array(raw: &Raw) -> Array {
    let values = raw.bytes.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b)));
    Array::new(&raw.shape, values.collect())
}

/// The model at `path` but for the digest of its weights file, which tells two files with equal tensors apart.
pub fn nodes_and_weights(path: &Path) -> ModelProto {
    let mut model = <ModelProto as prost::Message>::decode(std::fs::read(path).unwrap().as_slice()).unwrap();
    model.metadata_props.retain(|entry| entry.key != "weights_sha256");
    model
}

/// Cosine of the angle between two arrays seen as vectors.
pub fn cosine(a: &Array, b: &Array) -> f64 {
    assert_eq!(a.shape, b.shape);
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    dot(&a.values, &b.values) / (dot(&a.values, &a.values) * dot(&b.values, &b.values)).sqrt()
}
