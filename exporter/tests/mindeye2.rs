//! MindEye2's layout: one front-end of several, mixer blocks that collapse, and the prior beside them.

mod common;

use common::{
    Distance, Raw, array, assert_close, exported, miniature_mindeye2, read_tensors, reference, write_tensors,
};
use mindeye_config::Exit;
use mindeye_exporter::bundle::golden_input;
use mindeye_exporter::networks::{Choices, MindEye2Backbone, Network, Prior, open};
use mindeye_exporter::random_init::random_weights;
use mindeye_exporter::reference::Array;
use mindeye_exporter::weights::Layout;
use mindeye_exporter::{GraphRequest, export_graph};
use std::path::{Path, PathBuf};

/// Voxels of the three subjects of the miniature checkpoint.
const VOXELS: [usize; 3] = [23, 31, 17];

fn prior() -> Prior {
    Prior { prefix: "diffusion_prior.net.", rotary: 3, ..Prior::with(4, 10, 1, 2, 8) }
}

/// A checkpoint of three subjects with a prior and a blurry head, as MindEye2 has them in one file.
fn checkpoint(folder: &Path) -> PathBuf {
    let mut layout = Layout::default();
    for (subject, voxels) in VOXELS.into_iter().enumerate() {
        let sizes = MindEye2Backbone { subject, voxels, ..miniature_mindeye2() };
        layout.tensors.extend(sizes.layout().tensors);
    }
    layout.tensors.extend(prior().layout().tensors);
    layout.linear("backbone.blin1", 12, 11);
    layout.tensors.sort();
    layout.tensors.dedup();
    let path = folder.join("model.safetensors");
    std::fs::write(&path, random_weights(&layout, 2)).unwrap();
    path
}

fn subject(i: usize) -> Choices {
    Choices { subject: Some(i), ..Choices::default() }
}

fn voxels(i: usize) -> [Array; 1] {
    let sizes = MindEye2Backbone { voxels: VOXELS[i], ..miniature_mindeye2() };
    [golden_input("backbone", &sizes.inputs(3)[0], 5)]
}

/// Changes every number of the tensors whose names contain `part`.
fn change(path: &Path, part: &str, to: fn(f64) -> f64) {
    let mut tensors = read_tensors(path);
    let mut changed = 0;
    for tensor in tensors.iter_mut().filter(|tensor| tensor.name.contains(part)) {
        let values = array(tensor).values.into_iter().map(|v| to(v) as f32);
        *tensor = Raw { bytes: values.flat_map(f32::to_le_bytes).collect(), ..tensor.clone() };
        changed += 1;
    }
    assert!(changed > 0, "no tensor like {part}");
    write_tensors(path, &tensors);
}

#[test]
fn the_collapsed_graph_is_the_full_evaluation_for_every_subject() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(folder.path());
    for i in 0..VOXELS.len() {
        let inputs = voxels(i);
        // The reference evaluates every mixer block.
        let full = reference("backbone", folder.path(), &subject(i), &inputs);
        let Some(collapsed) = exported("backbone", folder.path(), subject(i), &inputs) else { return };
        for (collapsed, full) in collapsed.iter().zip(&full) {
            assert_close(collapsed, full, &format!("subject {i}"));
        }
    }
}

#[test]
fn the_mixers_over_channels_are_dead_and_those_over_the_sequence_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path());
    let answer = || reference("backbone", folder.path(), &subject(1), &voxels(1)).remove(0);
    let before = answer();
    change(&path, "mixer_blocks1.", |v| 3.0 - 2.0 * v);
    assert_eq!(answer(), before, "bit for bit");
    change(&path, "mixer_blocks2.", |v| 3.0 - 2.0 * v);
    assert!(Distance::between(&answer(), &before).largest > 0.1);
}

#[test]
fn the_report_says_what_was_left_aside_and_what_was_folded() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(folder.path());
    let out = folder.path().join("backbone.onnx");
    let request = GraphRequest { choices: subject(1), ..GraphRequest::new("backbone", folder.path(), &out) };
    let report = export_graph(&request).unwrap();
    assert_eq!(report.inputs[0].shape, [1, VOXELS[1]]);
    for part in [
        "2 of `ridge.linears.0.*`: another subject's front-end",
        "2 of `ridge.linears.2.*`: another subject's front-end",
        "2 of `backbone.blin1.*`: the blurry head's",
        "of `diffusion_prior.*`: the diffusion prior's",
        "18 of `backbone.mixer_blocks1.*`: dead with one token in the sequence",
    ] {
        assert!(report.set_aside.iter().any(|line| line.contains(part)), "{part} in {:?}", report.set_aside);
    }
}

#[test]
fn a_subject_is_named_unless_there_is_only_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path());
    for (choices, part) in [
        (Choices::default(), "--subject: name one of the file's front-ends [0, 1, 2]"),
        (subject(3), "--subject: no front-end 3; the file has [0, 1, 2]"),
    ] {
        let error = open("backbone", &path, &choices).err().unwrap();
        assert!(error.to_string().contains(part) && error.exit() == Exit::Usage, "{error}");
    }
}

#[test]
fn a_longer_sequence_is_refused_because_it_does_not_collapse() {
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path());
    let mut tensors = read_tensors(&path);
    for tensor in tensors.iter_mut().filter(|t| t.name == "backbone.mixer_blocks2.0.0.weight") {
        (tensor.shape, tensor.bytes) = (vec![2], vec![0; 8]);
    }
    write_tensors(&path, &tensors);
    let error = open("backbone", &path, &subject(0)).err().unwrap();
    assert!(error.to_string().contains("mixes a sequence of 2"), "{error}");
    assert_eq!(error.exit(), Exit::Unavailable);
}

#[test]
fn the_prior_of_a_mindeye2_checkpoint_agrees_with_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(folder.path());
    let choices = Choices::default();
    let (_, network) = open("prior", folder.path(), &choices).unwrap();
    let inputs: Vec<Array> = network.inputs(2).iter().map(|entry| golden_input("prior", entry, 5)).collect();
    let expected = reference("prior", folder.path(), &choices, &inputs);
    let Some(found) = exported("prior", folder.path(), choices, &inputs) else { return };
    assert_close(&found[0], &expected[0], "MindEye2's prior");
}
