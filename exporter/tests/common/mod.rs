//! What the tests of this folder share: an engine or a skip line, small models on disk, and comparisons.

#![allow(dead_code, unreachable_pub, reason = "each test file includes this one and uses its part")]

use mindeye_config::{EngineConfig, ModelDimensions};
use mindeye_engine::{Engine, NetworkFile, TensorSpec};
use mindeye_exporter::bundle::Sizes;
use mindeye_exporter::networks::Network;
use mindeye_exporter::onnx::outline;
use mindeye_exporter::random_init::random_weights;
use mindeye_exporter::reference::Array;
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
    Sizes::of(&miniature(), 23).unwrap()
}

/// Writes random weights of `network` as a user would have them: a folder with the network's usual file name and the
/// settings beside it.
pub fn model_folder(network: &dyn Network, folder: &Path, seed: u64) -> PathBuf {
    let (file, settings, text) = match network.name() {
        "backbone" => ("model.safetensors", "model.toml", toml::to_string(&miniature()).unwrap()),
        "low-level" => ("low_level.safetensors", "model.toml", toml::to_string(&miniature()).unwrap()),
        _ => {
            let config = r#"{"_class_name": "AutoencoderKL", "norm_num_groups": 2, "sample_size": 24}"#;
            ("diffusion_pytorch_model.safetensors", "config.json", config.to_owned())
        }
    };
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(settings), text).unwrap();
    let path = folder.join(file);
    std::fs::write(&path, random_weights(&network.layout(), seed)).unwrap();
    path
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
