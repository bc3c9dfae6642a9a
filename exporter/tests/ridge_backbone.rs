//! The trainer's ridge variant: front-ends of several participants, a linear path and a gate that may leave the MLP out.

mod common;

use common::{
    Raw, array, assert_close, exported, miniature_sizes, nodes_and_weights, read_tensors, reference, write_tensors,
};
use mindeye_config::Exit;
use mindeye_exporter::bundle::golden_input;
use mindeye_exporter::networks::{Backbone, Choices, Network, RidgeBackbone, open};
use mindeye_exporter::random_init::random_weights;
use mindeye_exporter::reference::Array;
use mindeye_exporter::{GraphRequest, export_graph};
use std::path::{Path, PathBuf};

/// Voxels of the two participants.
const VOXELS: [usize; 2] = [23, 31];

fn sizes(participant: usize) -> RidgeBackbone {
    let behind = Backbone { voxels: 11, ..miniature_sizes().backbone };
    RidgeBackbone { participant, voxels: VOXELS[participant], participants: vec![0, 1], gate: 1.0, behind }
}

/// A checkpoint of both participants with this gate, and a prior's tensor beside.
fn checkpoint(folder: &Path, gate: f32) -> PathBuf {
    let mut layout = sizes(0).layout();
    layout.linear("voxel2clip.ridge.1", 11, VOXELS[1]);
    layout.linear("net.some", 3, 2);
    let path = folder.join("model.safetensors");
    std::fs::write(&path, random_weights(&layout, 2)).unwrap();
    let mut tensors = read_tensors(&path);
    let gates = tensors.iter_mut().filter(|tensor| tensor.name == "voxel2clip.gate");
    gates.for_each(|tensor| *tensor = Raw { bytes: gate.to_le_bytes().to_vec(), ..tensor.clone() });
    write_tensors(&path, &tensors);
    path
}

fn participant(i: usize) -> Choices {
    Choices { subject: Some(i), ..Choices::default() }
}

fn voxels(i: usize) -> [Array; 1] {
    [golden_input("backbone", &sizes(i).inputs(3)[0], 5)]
}

#[test]
fn the_graph_is_the_whole_variant_for_every_participant_and_gate() {
    for gate in [0.0, 0.25, 1.0] {
        let folder = tempfile::tempdir().unwrap();
        checkpoint(folder.path(), gate);
        for i in 0..VOXELS.len() {
            let inputs = voxels(i);
            // The reference evaluates the MLP whatever the gate.
            let whole = reference("backbone", folder.path(), &participant(i), &inputs);
            let Some(found) = exported("backbone", folder.path(), participant(i), &inputs) else { return };
            for (found, whole) in found.iter().zip(&whole) {
                assert_close(found, whole, &format!("participant {i}, gate {gate}"));
            }
        }
    }
}

#[test]
fn behind_a_gate_of_zero_no_mlp_is_written_and_the_answer_is_affine() {
    let folder = tempfile::tempdir().unwrap();
    let export = |gate: f32| {
        checkpoint(folder.path(), gate);
        let out = folder.path().join("backbone.onnx");
        let choices = participant(1);
        let request = GraphRequest { choices, ..GraphRequest::new("backbone", folder.path(), &out) };
        let report = export_graph(&request).unwrap();
        let graph = nodes_and_weights(&out).graph.unwrap();
        let held: Vec<String> = graph.initializer.iter().map(|weight| weight.name.clone()).collect();
        (report, held)
    };
    let (report, affine) = export(0.0);
    assert!(
        !affine.iter().any(|name| name.contains("lin0") || name.contains("mlp") || name.contains("gate")),
        "{affine:?}"
    );
    for part in ["2 of `voxel2clip.ridge.0.*`: another participant's front-end", "1 of `voxel2clip.gate`: 0:"] {
        assert!(report.set_aside.iter().any(|line| line.contains(part)), "{part} in {:?}", report.set_aside);
    }
    let (_, open) = export(0.5);
    assert!(
        open.iter().any(|name| name.contains("mlp.0")) && open.iter().any(|name| name.contains("gate")),
        "{open:?}"
    );

    checkpoint(folder.path(), 0.0);
    let tokens = |x: &Array| {
        reference("backbone", folder.path(), &participant(0), std::slice::from_ref(x)).swap_remove(0).values
    };
    let [a] = voxels(0);
    let zero = a.clone().map(|_| 0.0);
    let (twice, once, none) = (tokens(&a.clone().map(|v| 2.0 * v)), tokens(&a), tokens(&zero));
    for ((twice, once), none) in twice.iter().zip(&once).zip(&none) {
        // 1e-9: f64.
        assert!((twice - (2.0 * once - none)).abs() < 1e-9 * (1.0 + twice.abs()));
    }
}

#[test]
fn a_participant_must_be_named_and_be_there_and_every_tensor_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path(), 1.0);
    let cases = [
        (Choices::default(), "--subject: name one of the file's front-ends [0, 1]"),
        (participant(2), "--subject: no front-end 2; the file has [0, 1]"),
    ];
    for (choices, expected) in cases {
        let Err(error) = open("backbone", folder.path(), &choices) else { panic!("{expected}") };
        assert_eq!((error.exit(), error.to_string().as_str()), (Exit::Usage, expected));
    }
    let kept: Vec<Raw> = read_tensors(&path).into_iter().filter(|tensor| tensor.name != "voxel2clip.gate").collect();
    assert!(kept.iter().map(array).all(|tensor| !tensor.values.is_empty()));
    write_tensors(&path, &kept);
    let (weights, network) = open("backbone", folder.path(), &participant(0)).unwrap();
    let error = weights.fit(network.name(), &network.layout(), &network.set_aside()).unwrap_err().to_string();
    assert!(error.contains("voxel2clip.gate"), "{error}");
}
