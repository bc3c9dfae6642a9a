//! Half-precision graphs against float32 ones of the same weights, rounded on the CPU as hardware rounds.

mod common;

use common::{Distance, LARGEST, cosine, miniatures, model_folder, onnx_runtime, run};
use half::f16;
use mindeye_config::{Exit, Precision, sha256_of_bytes};
use mindeye_engine::Engine;
use mindeye_exporter::bundle::golden_input;
use mindeye_exporter::networks::{Choices, Islands, Network, graph_with, open};
use mindeye_exporter::onnx::messages::{ModelProto, data_type};
use mindeye_exporter::onnx::{Graph, INLINE_LIMIT, Model, rounded};
use mindeye_exporter::reference::Array;
use mindeye_exporter::weights::StateDict;
use mindeye_exporter::{GraphRequest, export_graph};
use prost::Message;
use std::path::Path;

/// Agreement that the product promises of half precision (contract, issue 4).
const COSINE: f64 = 0.9995;

fn read(path: &Path) -> ModelProto {
    ModelProto::decode(std::fs::read(path).unwrap().as_slice()).unwrap()
}

/// Runs the half-precision graph at `path` with every operator's answer rounded; the last output is the largest
/// activation.
fn run_rounded(engine: &dyn Engine, path: &Path, inputs: &[Array]) -> Vec<Array> {
    let rewritten = path.with_extension("rounded.onnx");
    std::fs::write(&rewritten, rounded(&read(path)).encode_to_vec()).unwrap();
    run(engine, &rewritten, inputs)
}

/// Worst cosine of the outputs against the reference, and the largest activation.
fn parity(engine: &dyn Engine, network: &dyn Network, state: &StateDict<'_>, islands: Islands) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let graph = graph_with(network, state, 2, Precision::Fp16, islands).unwrap();
    let model = Model { graph, weights_sha256: sha256_of_bytes(b""), precision: Precision::Fp16, facts: Vec::new() };
    model.write(folder.path(), "m.onnx", INLINE_LIMIT).unwrap();
    let inputs: Vec<_> = network.inputs(2).iter().map(|entry| golden_input(network.name(), entry, 5)).collect();
    let expected = network.reference(state, &inputs);
    let found = run_rounded(engine, &folder.path().join("m.onnx"), &inputs);
    let worst = found.iter().zip(&expected).map(|(f, e)| cosine(f, e)).fold(1.0, f64::min);
    (worst, found.last().unwrap().values[0])
}

#[test]
fn every_network_in_half_precision_points_where_the_reference_does() {
    let Some(engine) = onnx_runtime() else { return };
    for network in miniatures() {
        let folder = tempfile::tempdir().unwrap();
        model_folder(network.as_ref(), folder.path(), 3);
        let (weights, network) = open(network.name(), folder.path(), &Choices::default()).unwrap();
        let state = weights.fit(network.name(), &network.layout(), &[]).unwrap();
        let (cosine, largest) = parity(engine.as_ref(), network.as_ref(), &state, network.islands());
        eprintln!("{}: cosine 1 - {:.1e}, largest activation {largest:.0}", network.name(), 1.0 - cosine);
        assert!(cosine > COSINE, "{}: {cosine}", network.name());
        // Half precision ends at 65504; random weights of variance 1/fan-in keep activations of order one.
        assert!(largest < 1000.0, "{}: {largest}", network.name());
    }
}

#[test]
fn no_further_island_buys_a_digit() {
    let Some(engine) = onnx_runtime() else { return };
    let none = Islands::default();
    let further = [
        ("norms", Islands { norms: true, ..none }),
        ("softmax", Islands { softmax: true, ..none }),
        ("time MLP", Islands { time: true, ..none }),
    ];
    for network in miniatures() {
        assert_eq!(network.islands(), none, "{}", network.name());
        let state = StateDict::random(&network.layout(), 3);
        let off = |islands| 1.0 - parity(engine.as_ref(), network.as_ref(), &state, islands).0;
        let chosen = off(none);
        let bought = further.map(|(what, islands)| (what, off(islands)));
        let told = bought.map(|(what, off)| format!("{what} {off:.1e}")).join(", ");
        eprintln!("{}: 1 - cosine {chosen:.1e}; with {told}", network.name());
        assert!(bought.iter().all(|(_, off)| chosen < 10.0 * off), "{}: {chosen:.1e}; {told}", network.name());
    }
}

#[test]
fn rounding_on_the_cpu_overflows_and_loses_digits_where_half_precision_does() {
    let Some(engine) = onnx_runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut graph = Graph::new("test", Precision::Fp16);
    let x = graph.input("x", &[4]).unwrap();
    let x = graph.cast("x/half", &x, graph.arithmetic()).unwrap();
    let [large, small] = [("large", 300.0), ("small", 1.0 / 256.0)]
        .map(|(name, value)| graph.floats(name, graph.arithmetic(), &[1], &[value]));
    let y = graph.mul("times", &x, &large).unwrap();
    let y = graph.mul("over", &y, &small).unwrap();
    graph.output("y", &y).unwrap();
    let model = Model { graph, weights_sha256: sha256_of_bytes(b""), precision: Precision::Fp16, facts: Vec::new() };
    model.write(folder.path(), "m.onnx", INLINE_LIMIT).unwrap();

    let numbers = [1.0001, 3.3333, 1000.0, 1e-7];
    let found = run_rounded(engine.as_ref(), &folder.path().join("m.onnx"), &[Array::new(&[4], numbers.to_vec())]);
    let by_hand = numbers.map(|x| {
        let product = f16::from_f64(f16::from_f64(x).to_f64() * 300.0).to_f64();
        f16::from_f64(product / 256.0).to_f64()
    });
    assert_eq!(found[0].values, by_hand);
    assert!(found[0].values[2].is_infinite());
}

#[test]
fn a_half_precision_file_is_typed_throughout_and_says_its_policy() {
    let folder = tempfile::tempdir().unwrap();
    for network in miniatures() {
        let model = folder.path().join(network.name());
        model_folder(network.as_ref(), &model, 3);
        let out = folder.path().join("m.onnx");
        let request = GraphRequest { precision: Precision::Fp16, ..GraphRequest::new(network.name(), &model, &out) };
        export_graph(&request).unwrap();
        let model = read(&out);
        let policy = model.metadata_props.iter().find(|entry| entry.key == "precision_policy").unwrap();
        assert!(policy.value.starts_with("float16, strongly typed; float32: inputs and outputs"), "{policy:?}");
        let graph = model.graph.unwrap();
        let floats = graph.initializer.iter().filter(|tensor| tensor.data_type == data_type::FLOAT);
        let wide: usize = floats.map(|tensor| tensor.dims.iter().product::<i64>() as usize).sum();
        assert!(wide < 100, "{}: {wide} numbers stay in 32 bits", network.name());
        for end in graph.input.iter().chain(&graph.output) {
            let element = end.r#type.as_ref().unwrap().tensor_type.as_ref().unwrap().elem_type;
            assert_eq!(element, data_type::FLOAT, "{}", end.name);
        }
    }
}

#[test]
fn a_step_stays_in_32_bits_at_every_precision() {
    let folder = tempfile::tempdir().unwrap();
    model_folder(&common::miniature_unet(), folder.path(), 1);
    let graphs = [Precision::Fp32, Precision::Fp16].map(|precision| {
        let out = folder.path().join("step.onnx");
        let request = GraphRequest { precision, ..GraphRequest::new("step", folder.path(), &out) };
        export_graph(&request).unwrap();
        read(&out).graph
    });
    assert!(graphs[0] == graphs[1]);
}

#[test]
fn a_weight_beyond_half_precision_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = model_folder(&common::miniature_unet(), folder.path(), 1);
    let mut tensors = common::read_tensors(&path);
    let odd = tensors.iter_mut().find(|tensor| tensor.name == "conv_in.bias").unwrap();
    odd.bytes[..4].copy_from_slice(&70_000.0_f32.to_le_bytes());
    common::write_tensors(&path, &tensors);
    let out = folder.path().join("m.onnx");
    let request = GraphRequest::new("unet", folder.path(), &out);
    let error = export_graph(&GraphRequest { precision: Precision::Fp16, ..request }).unwrap_err();
    assert_eq!(error.exit(), Exit::Data);
    assert!(error.to_string().contains("beyond float16, whose largest is 65504, in conv_in.bias"), "{error}");
    assert!(!out.exists());
    export_graph(&request).unwrap();
}

/// ONNX Runtime's own way with float16 on a CPU, by which the daemon runs such a bundle there.
#[test]
fn the_runtime_itself_agrees_as_well() {
    let Some(engine) = onnx_runtime() else { return };
    for network in miniatures() {
        let folder = tempfile::tempdir().unwrap();
        model_folder(network.as_ref(), folder.path(), 3);
        let out = folder.path().join("m.onnx");
        let request =
            GraphRequest { precision: Precision::Fp16, ..GraphRequest::new(network.name(), folder.path(), &out) };
        export_graph(&request).unwrap();
        let (_, network) = open(network.name(), folder.path(), &Choices::default()).unwrap();
        let inputs: Vec<_> = network.inputs(1).iter().map(|entry| golden_input(network.name(), entry, 5)).collect();
        let expected = common::reference(network.name(), folder.path(), &Choices::default(), &inputs);
        for (found, expected) in run(engine.as_ref(), &out, &inputs).iter().zip(&expected) {
            assert!(cosine(found, expected) > COSINE, "{}", network.name());
            // Weights alone are rounded: different, and by more than float32's own error.
            assert!(Distance::between(found, expected).largest > LARGEST / 10.0, "{}", network.name());
        }
    }
}
