//! Every exported graph against an answer that its exporter had no hand in.

mod common;

use common::{Distance, Raw, array, miniature_sizes, model_folder, onnx_runtime, read_tensors, run, write_tensors};
use half::{bf16, f16};
use mindeye_exporter::bundle::golden_input;
use mindeye_exporter::networks::{Network, open};
use mindeye_exporter::reference::Array;
use mindeye_exporter::weights::Weights;
use mindeye_exporter::{GraphRequest, export_graph};
use safetensors::tensor::Dtype;
use std::path::Path;

/// On outputs of order one. ONNX Runtime sums thousands of float32 products in its own order: each sum is off by about
/// sqrt(n) roundings of 6e-8, some 30 layers deep.
const LARGEST: f64 = 1e-4;
/// The same roundings, averaged over an output.
const RELATIVE_RMS: f64 = 1e-5;

fn assert_close(found: &Array, expected: &Array, what: &str) {
    let distance = Distance::between(found, expected);
    assert!(distance.largest <= LARGEST && distance.relative_rms <= RELATIVE_RMS, "{what}: {distance:?}");
}

/// Exports from `model`, runs in ONNX Runtime, and compares with the reference on the same weights.
fn check_against_reference(name: &str, model: &Path, batch: usize, inline_limit: u64) {
    let Some(engine) = onnx_runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("graph.onnx");
    export_graph(&GraphRequest { batch, inline_limit, ..GraphRequest::new(name, model, &out) }).unwrap();

    let (weights, network) = open(name, model, None).unwrap();
    let state = weights.fit(network.name(), &network.layout(), &network.set_aside()).unwrap();
    let inputs: Vec<_> = network.inputs(batch).iter().map(|entry| golden_input(name, entry, 5)).collect();
    let expected = network.reference(&state, &inputs);
    let found = run(engine.as_ref(), &out, &inputs);
    assert_eq!(found.len(), expected.len());
    for ((found, expected), entry) in found.iter().zip(&expected).zip(network.outputs(batch)) {
        assert_eq!(found.shape, entry.shape, "{name}/{}", entry.name);
        assert_close(found, expected, &format!("{name}/{}", entry.name));
    }
}

#[test]
fn graphs_agree_with_the_reference_for_one_example_and_for_several() {
    let folder = tempfile::tempdir().unwrap();
    for network in miniature_sizes().networks() {
        let model = folder.path().join(network.name());
        model_folder(network, &model, 3);
        for batch in [1, 3] {
            check_against_reference(network.name(), &model, batch, u64::MAX);
        }
    }
}

#[test]
fn graphs_with_external_data_agree_too() {
    let folder = tempfile::tempdir().unwrap();
    for network in miniature_sizes().networks() {
        let model = folder.path().join(network.name());
        model_folder(network, &model, 3);
        check_against_reference(network.name(), &model, 1, 1000);
    }
}

#[test]
fn half_precision_checkpoints_are_read_as_they_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    for network in miniature_sizes().networks() {
        for dtype in [Dtype::F16, Dtype::BF16] {
            let model = folder.path().join(network.name());
            let path = model_folder(network, &model, 3);
            let narrowed: Vec<Raw> = read_tensors(&path).iter().map(|raw| narrowed(raw, dtype)).collect();
            write_tensors(&path, &narrowed);
            check_against_reference(network.name(), &model, 1, u64::MAX);
        }
    }
}

fn narrowed(raw: &Raw, dtype: Dtype) -> Raw {
    let narrow = |v: &f64| match dtype {
        Dtype::F16 => f16::from_f64(*v).to_le_bytes(),
        _ => bf16::from_f64(*v).to_le_bytes(),
    };
    Raw { dtype, bytes: array(raw).values.iter().flat_map(narrow).collect(), ..raw.clone() }
}

/// diffusers' own answer on its own random weights, as a folder of the kind that diffusers saves.
struct Diffusers {
    folder: tempfile::TempDir,
    latent: Array,
    image: Array,
}

fn tiny_vae() -> Diffusers {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny_vae.safetensors");
    let tensors = read_tensors(&fixture);
    let named = |name: &str| array(tensors.iter().find(|t| t.name == name).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let weights: Vec<Raw> =
        tensors.iter().filter_map(|t| Some(Raw { name: t.name.strip_prefix("w.")?.to_owned(), ..t.clone() })).collect();
    write_tensors(&folder.path().join("diffusion_pytorch_model.safetensors"), &weights);
    let config = Weights::open(&fixture).unwrap().metadata()["config"].clone();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    Diffusers { latent: named("io.scaled_latent").map(|v| v / 0.18215), image: named("io.decoded"), folder }
}

#[test]
fn the_reference_decodes_as_diffusers_does() {
    let vae = tiny_vae();
    let (weights, network) = open("vae-decoder", vae.folder.path(), None).unwrap();
    let state = weights.fit(network.name(), &network.layout(), &network.set_aside()).unwrap();
    let image = &network.reference(&state, &[vae.latent])[0];
    assert_close(image, &vae.image, "reference");
}

#[test]
fn the_graph_decodes_as_diffusers_does() {
    let Some(engine) = onnx_runtime() else { return };
    let vae = tiny_vae();
    let out = vae.folder.path().join("vae-decoder.onnx");
    let report = export_graph(&GraphRequest::new("vae-decoder", vae.folder.path(), &out)).unwrap();
    // The side of the latent comes from sample_size, 64 px, over three doublings.
    assert_eq!(report.inputs[0].shape, [1, 4, 8, 8]);
    assert_eq!(report.set_aside.len(), 2, "{:?}", report.set_aside);
    let image = &run(engine.as_ref(), &out, &[vae.latent])[0];
    assert_close(image, &vae.image, "ONNX Runtime");
}

/// Names and shapes of attention weights as diffusers 0.13 and LDM wrote them.
fn as_in_old_checkpoints(raw: &Raw) -> Raw {
    let renamed = [(".to_q.", ".query."), (".to_k.", ".key."), (".to_v.", ".value."), (".to_out.0.", ".proj_attn.")];
    let name = renamed.iter().fold(raw.name.clone(), |name, (new, old)| name.replace(new, old));
    let mut shape = raw.shape.clone();
    if name != raw.name && shape.len() == 2 {
        shape.extend([1, 1]);
    }
    Raw { name, shape, ..raw.clone() }
}

#[test]
fn both_generations_of_attention_names_give_the_same_graph() {
    let sizes = miniature_sizes();
    for network in [&sizes.low_level as &dyn Network, &sizes.vae_decoder] {
        let folder = tempfile::tempdir().unwrap();
        let path = model_folder(network, folder.path(), 3);
        let export = |out: &str| {
            let out = folder.path().join(out);
            export_graph(&GraphRequest::new(network.name(), folder.path(), &out)).unwrap();
            without_weights_hash(&std::fs::read(out).unwrap())
        };
        let new = export("new.onnx");
        let old: Vec<Raw> = read_tensors(&path).iter().map(as_in_old_checkpoints).collect();
        assert!(old.iter().any(|t| t.name.contains(".proj_attn.")));
        write_tensors(&path, &old);
        assert!(export("old.onnx") == new, "{}: the graphs differ", network.name());
    }
}

/// The model but for the digest of its file, which tells the two generations apart.
fn without_weights_hash(onnx: &[u8]) -> mindeye_exporter::onnx::messages::ModelProto {
    let mut model: mindeye_exporter::onnx::messages::ModelProto = prost::Message::decode(onnx).unwrap();
    model.metadata_props.retain(|entry| entry.key != "weights_sha256");
    model
}

#[test]
fn weights_in_a_graph_are_the_tensors_of_the_layout_under_their_own_names() {
    for network in miniature_sizes().networks() {
        let folder = tempfile::tempdir().unwrap();
        let path = model_folder(network, folder.path(), 3);
        let weights = Weights::open(&path).unwrap();
        let state = weights.fit(network.name(), &network.layout(), &[]).unwrap();
        let graph = mindeye_exporter::networks::graph(network, &state, 1).unwrap();
        let mut drawn: Vec<&str> = graph.weight_names().collect();
        drawn.sort_unstable();
        let expected: Vec<&str> = state.keys().collect();
        assert_eq!(drawn, expected, "{}", network.name());
    }
}
