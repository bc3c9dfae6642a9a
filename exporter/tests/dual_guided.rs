//! MindEye runs the dual-guided UNet at text weight 0; its image half alone is the same function.

mod common;

use common::{Distance, miniature_unet, model_folder, read_tensors, write_tensors};
use mindeye_exporter::bundle::golden_input;
use mindeye_exporter::networks::{Choices, Network, Unet, open};
use mindeye_exporter::random_init::random_weights;
use mindeye_exporter::reference::{Array, dual_guided_unet};
use mindeye_exporter::weights::{Entry, Layout, Weights};
use mindeye_exporter::{GraphRequest, export_graph};
use std::path::Path;

/// Tensors of the image half's transformers, which the text half repeats.
fn of_transformers(unet: &Unet) -> impl Iterator<Item = Entry> {
    unet.layout().tensors.into_iter().filter(|(key, _)| key.contains(".attentions."))
}

/// `attentions.N.x` as `attentions.N.transformers.which.x`.
fn dual_name(key: &str, which: usize) -> String {
    let (before, after) = key.split_once(".attentions.").unwrap();
    let (n, rest) = after.split_once('.').unwrap();
    format!("{before}.attentions.{n}.transformers.{which}.{rest}")
}

/// The layout of both halves, as a file read here names them.
fn both_halves(unet: &Unet) -> Layout {
    let mut layout = unet.layout();
    layout.tensors.extend(of_transformers(unet).map(|(key, shape)| (dual_name(&key, 1), shape)));
    layout
}

/// A dual-guided file as diffusers writes it, both halves under `transformers`.
fn write_dual(unet: &Unet, path: &Path) {
    std::fs::write(path, random_weights(&both_halves(unet), 4)).unwrap();
    let mut tensors = read_tensors(path);
    for tensor in &mut tensors {
        if tensor.name.contains(".attentions.") && !tensor.name.contains(".transformers.") {
            tensor.name = dual_name(&tensor.name, 0);
        }
    }
    write_tensors(path, &tensors);
}

#[test]
fn at_text_weight_0_the_dual_guided_unet_is_its_image_half() {
    let unet = Unet { tokens: 5, ..miniature_unet() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dual.safetensors");
    write_dual(&unet, &path);
    let weights = Weights::open(&path).unwrap();
    let state = weights.fit("unet", &both_halves(&unet), &[]).unwrap();
    let mut inputs: Vec<Array> = unet.inputs(2).iter().map(|entry| golden_input("unet", entry, 5)).collect();
    inputs.push(golden_input("text", &unet.inputs(2)[2], 6));

    let image = &unet.reference(&state, &inputs[..3])[0];
    let at = |text_weight| Distance::between(&dual_guided_unet(&unet, &state, &inputs, text_weight), image);
    // 1e-12: x + (image - x) rounds once more than image, in doubles.
    assert!(at(0.0).largest < 1e-12, "{:?}", at(0.0));
    // The test can fail: half a text transformer is another network.
    assert!(at(0.5).largest > 1e-2, "{:?}", at(0.5));
}

#[test]
fn a_dual_guided_file_gives_the_graph_of_its_image_half_and_says_what_it_dropped() {
    let unet = miniature_unet();
    let folder = tempfile::tempdir().unwrap();
    let path = model_folder(&unet, folder.path(), 1);
    write_dual(&unet, &path);
    let dual = folder.path().join("dual.onnx");
    let report = export_graph(&GraphRequest::new("unet", folder.path(), &dual)).unwrap();
    let dropped = of_transformers(&unet).count();
    let expected = format!("{dropped} of `*.transformers.1.*`: the text half of a dual-guided UNet");
    assert!(report.set_aside.len() == 1 && report.set_aside[0].starts_with(&expected), "{:?}", report.set_aside);

    let image_only = read_tensors(&path).into_iter().filter(|tensor| !tensor.name.contains(".transformers.1."));
    let mut image_only: Vec<_> = image_only.collect();
    image_only.iter_mut().for_each(|tensor| tensor.name = tensor.name.replace(".transformers.0.", "."));
    write_tensors(&path, &image_only);
    let single = folder.path().join("single.onnx");
    let alone = export_graph(&GraphRequest::new("unet", folder.path(), &single)).unwrap();
    assert!(alone.set_aside.is_empty(), "{:?}", alone.set_aside);
    assert!(common::nodes_and_weights(&dual) == common::nodes_and_weights(&single), "the graphs differ");
}

#[test]
fn zero_tokens_make_cross_attention_its_output_bias() {
    // Classifier-free guidance's unconditional half: with keys and values 0, attn2 hands on to_out.0.bias alone, so the
    // number of zero tokens changes nothing.
    let folder = tempfile::tempdir().unwrap();
    model_folder(&miniature_unet(), folder.path(), 1);
    let answer = |tokens: usize| {
        let choices = Choices { tokens: Some(tokens), ..Choices::default() };
        let (weights, unet) = open("unet", folder.path(), &choices).unwrap();
        let state = weights.fit("unet", &unet.layout(), &unet.set_aside()).unwrap();
        let mut inputs: Vec<Array> = unet.inputs(1).iter().map(|entry| golden_input("unet", entry, 5)).collect();
        inputs[2] = inputs[2].clone().map(|_| 0.0);
        unet.reference(&state, &inputs).remove(0)
    };
    // 1e-12: shares of 1/3 and 1/9 times 0 are 0; only softmax's own sum rounds differently.
    assert!(Distance::between(&answer(3), &answer(9)).largest < 1e-12);
}
