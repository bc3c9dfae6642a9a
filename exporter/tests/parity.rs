//! Every exported graph against the plain f64 reference on the same random weights.

mod common;

use common::{
    Raw, array, assert_close, exported, miniatures, model_folder, nodes_and_weights, onnx_runtime, read_tensors, run,
    write_tensors,
};
use half::{bf16, f16};
use mindeye_config::Precision;
use mindeye_exporter::bundle::golden_input;
use mindeye_exporter::networks::{Choices, open};
use mindeye_exporter::weights::Weights;
use mindeye_exporter::{GraphRequest, export_graph};
use safetensors::tensor::Dtype;
use std::path::Path;

/// Exports from `model`, runs in ONNX Runtime, and compares with the reference on the same weights.
fn check_against_reference(name: &str, model: &Path, batch: usize, inline_limit: u64) {
    let Some(engine) = onnx_runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("graph.onnx");
    export_graph(&GraphRequest { batch, inline_limit, ..GraphRequest::new(name, model, &out) }).unwrap();

    let (weights, network) = open(name, model, &Choices::default()).unwrap();
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
    for network in miniatures() {
        let model = folder.path().join(network.name());
        model_folder(network.as_ref(), &model, 3);
        for batch in [1, 3] {
            check_against_reference(network.name(), &model, batch, u64::MAX);
        }
    }
}

#[test]
fn graphs_with_external_data_agree_too() {
    let folder = tempfile::tempdir().unwrap();
    for network in miniatures() {
        let model = folder.path().join(network.name());
        model_folder(network.as_ref(), &model, 3);
        check_against_reference(network.name(), &model, 1, 1000);
    }
}

#[test]
fn half_precision_checkpoints_are_read_as_they_are_stored() {
    let folder = tempfile::tempdir().unwrap();
    for network in miniatures() {
        for dtype in [Dtype::F16, Dtype::BF16] {
            let model = folder.path().join(network.name());
            let path = model_folder(network.as_ref(), &model, 3);
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
    let with_attention = ["low-level", "vae-decoder", "vae-encoder"];
    for network in miniatures().iter().filter(|network| with_attention.contains(&network.name())) {
        let folder = tempfile::tempdir().unwrap();
        let path = model_folder(network.as_ref(), folder.path(), 3);
        let export = |out: &str| {
            let out = folder.path().join(out);
            export_graph(&GraphRequest::new(network.name(), folder.path(), &out)).unwrap();
            nodes_and_weights(&out)
        };
        let new = export("new.onnx");
        let old: Vec<Raw> = read_tensors(&path).iter().map(as_in_old_checkpoints).collect();
        assert!(old.iter().any(|t| t.name.contains(".proj_attn.")));
        write_tensors(&path, &old);
        assert!(export("old.onnx") == new, "{}: the graphs differ", network.name());
    }
}

/// A tiny autoencoder's half as its author saves it: bare numbers, in the decoder one higher.
fn as_the_author_saves(raw: &Raw, half: &str, shift: usize) -> Raw {
    let rest = raw.name.strip_prefix(&format!("{half}.layers.")).unwrap();
    let (number, rest) = rest.split_once('.').unwrap();
    Raw { name: format!("{}.{rest}", number.parse::<usize>().unwrap() + shift), ..raw.clone() }
}

#[test]
fn both_namings_of_the_tiny_autoencoder_compute_the_same() {
    for (name, half, shift) in [("taesd-encoder", "encoder", 0), ("taesd-decoder", "decoder", 1)] {
        let network = miniatures().into_iter().find(|network| network.name() == name).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = model_folder(network.as_ref(), folder.path(), 3);
        let inputs: Vec<_> = network.inputs(1).iter().map(|entry| golden_input(name, entry, 5)).collect();
        let answer = || exported(name, folder.path(), Choices::default(), &inputs);
        let Some(of_diffusers) = answer() else { return };
        let tensors: Vec<Raw> = read_tensors(&path).iter().map(|raw| as_the_author_saves(raw, half, shift)).collect();
        std::fs::remove_file(&path).unwrap();
        write_tensors(&folder.path().join(name.replace('-', "_") + ".safetensors"), &tensors);
        assert!(answer().unwrap() == of_diffusers, "{name}");
    }
}

#[test]
fn weights_in_a_graph_are_the_tensors_of_the_layout_under_their_own_names_but_for_the_folded() {
    for network in miniatures() {
        let folder = tempfile::tempdir().unwrap();
        let path = model_folder(network.as_ref(), folder.path(), 3);
        let weights = Weights::open(&path).unwrap();
        let state = weights.fit(network.name(), &network.layout(), &[]).unwrap();
        let graph = mindeye_exporter::networks::graph(network.as_ref(), &state, 1, Precision::Fp32).unwrap();
        let mut drawn: Vec<&str> = graph.weight_names().collect();
        drawn.sort_unstable();
        let folded = network.folded();
        let carried = state.keys().filter(|key| !folded.iter().any(|what| what.covers(key)));
        let expected: Vec<&str> = carried.collect();
        assert_eq!(drawn, expected, "{}", network.name());
    }
}
