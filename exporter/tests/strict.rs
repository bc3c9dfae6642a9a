//! Weights that do not fit are refused by name, with both sides, and nothing is written.

mod common;

use common::{Raw, miniature_sizes, miniatures, model_folder, read_tensors, write_tensors};
use mindeye_config::Exit;
use mindeye_exporter::networks::{Choices, Network, names, open};
use mindeye_exporter::{ExportError, GraphRequest, export_graph};
use proptest::prelude::*;
use safetensors::tensor::Dtype;
use std::path::Path;

/// Exports a miniature `network` after `change` was done to its tensors; the error's message.
fn refusal(network: &dyn Network, change: impl FnOnce(&mut Vec<Raw>)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = model_folder(network, &folder.path().join("model"), 1);
    let mut tensors = read_tensors(&path);
    change(&mut tensors);
    write_tensors(&path, &tensors);
    let out = folder.path().join("out.onnx");
    let error = export_graph(&GraphRequest::new(network.name(), &path, &out)).unwrap_err();
    assert_eq!(error.exit(), Exit::Data, "{error}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["model"], "something was written");
    error.to_string()
}

fn remove(tensors: &mut Vec<Raw>, name: &str) -> Raw {
    let at = tensors.iter().position(|t| t.name == name).unwrap_or_else(|| panic!("no tensor `{name}`"));
    tensors.remove(at)
}

fn zeros(name: &str, shape: &[usize]) -> Raw {
    Raw {
        name: name.into(),
        dtype: Dtype::F32,
        shape: shape.to_vec(),
        bytes: vec![0; 4 * shape.iter().product::<usize>()],
    }
}

#[test]
fn all_differences_are_told_at_once_with_both_shapes() {
    let message = refusal(&miniature_sizes().backbone, |tensors| {
        remove(tensors, "voxel2clip.lin1.bias");
        remove(tensors, "voxel2clip.projector.6.weight");
        remove(tensors, "voxel2clip.mlp.1.0.weight");
        tensors.push(zeros("voxel2clip.mlp.1.0.weight", &[20, 19]));
        tensors.push(zeros("voxel2clip.stray", &[2, 2]));
    });
    let parts = [
        "the tensors are not those of `backbone`",
        "2 missing: voxel2clip.lin1.bias [30], voxel2clip.projector.6.weight [14]",
        "1 extra: voxel2clip.stray [2, 2]",
        "1 mis-shaped: voxel2clip.mlp.1.0.weight (expected [20, 20], found [20, 19])",
    ];
    for part in parts {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn every_single_missing_tensor_is_named() {
    for network in miniatures() {
        for (key, _) in network.layout().tensors {
            let message = refusal(network.as_ref(), |tensors| drop(remove(tensors, &key)));
            assert!(message.contains(&key), "{key} in {message}");
        }
    }
}

#[test]
fn every_single_tensor_of_another_shape_is_told() {
    for network in miniatures() {
        for (key, shape) in network.layout().tensors {
            let wrong = [&shape[..], &[1]].concat();
            let message = refusal(network.as_ref(), |tensors| {
                remove(tensors, &key);
                tensors.push(zeros(&key, &wrong));
            });
            assert!(message.contains(&format!("{key} (expected")), "{key} in {message}");
            assert!(message.contains(&format!("found {wrong:?}")), "{key} in {message}");
        }
    }
}

#[test]
fn a_nan_or_an_infinity_is_refused_by_tensor_and_place() {
    let sizes = miniature_sizes();
    for (network, key, bad) in [
        (&sizes.backbone as &dyn Network, "voxel2clip.lin0.0.weight", f32::NAN),
        (&sizes.low_level, "norm.bias", f32::INFINITY),
        (&sizes.vae_decoder, "decoder.conv_out.weight", f32::NEG_INFINITY),
    ] {
        let message = refusal(network, |tensors| {
            let tensor = tensors.iter_mut().find(|t| t.name == key).unwrap();
            tensor.bytes[8..12].copy_from_slice(&bad.to_le_bytes());
        });
        assert!(message.contains(&format!("NaN or infinite numbers in {key} (first at 2 of")), "{message}");
    }
}

#[test]
fn a_tensor_of_integers_is_refused_by_name_and_type() {
    let message = refusal(&miniature_sizes().low_level, |tensors| {
        tensors.iter_mut().find(|t| t.name == "norm.bias").unwrap().dtype = Dtype::I32;
    });
    assert!(message.contains("only F32, F16 and BF16 are read, found norm.bias (I32)"), "{message}");
}

#[test]
fn empty_tensors_fit_nothing() {
    let message = refusal(&miniature_sizes().backbone, |tensors| {
        remove(tensors, "voxel2clip.lin0.0.weight");
        tensors.push(zeros("voxel2clip.lin0.0.weight", &[20, 0]));
    });
    assert!(message.contains("voxel2clip.lin0.0.weight (expected [20, ?], found [20, ?])"), "{message}");
}

#[test]
fn known_exceptions_pass_and_are_reported() {
    let sizes = miniature_sizes();
    let clip = miniatures().pop().unwrap();
    let cases = [
        (&sizes.backbone as &dyn Network, "net.learned_query", "1 of `net.*`: the diffusion prior's"),
        (&sizes.backbone, "noise_scheduler.betas", "1 of `noise_scheduler.*`: the prior's schedule"),
        (&sizes.low_level, "maps_projector.0.weight", "1 of `maps_projector.*`: used in training only"),
        (&sizes.vae_decoder, "quant_conv.bias", "1 of `quant_conv.*`: the VAE encoder's"),
        (clip.as_ref(), "vision_model.embeddings.position_ids", "1 of `vision_model.embeddings.position_ids`"),
    ];
    for (network, extra, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = model_folder(network, folder.path(), 1);
        let mut tensors = read_tensors(&path);
        tensors.push(zeros(extra, &[2]));
        write_tensors(&path, &tensors);
        let report = export_graph(&GraphRequest::new(network.name(), &path, &folder.path().join("o.onnx"))).unwrap();
        assert!(report.set_aside.len() == 1 && report.set_aside[0].starts_with(expected), "{:?}", report.set_aside);
    }
}

#[test]
fn the_prefix_of_distributed_training_is_taken_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = model_folder(&miniature_sizes().backbone, folder.path(), 1);
    let wrapped = read_tensors(&path).into_iter().map(|t| Raw { name: format!("module.{}", t.name), ..t });
    write_tensors(&path, &wrapped.collect::<Vec<_>>());
    let report = export_graph(&GraphRequest::new("backbone", &path, &folder.path().join("o.onnx"))).unwrap();
    assert_eq!(report.parameters, miniature_sizes().backbone.layout().parameters());
}

#[test]
fn one_tensor_under_two_names_is_refused() {
    let message = refusal(&miniature_sizes().backbone, |tensors| {
        tensors.push(zeros("module.voxel2clip.lin1.bias", &[30]));
    });
    assert!(message.contains("tensor `voxel2clip.lin1.bias` is stored under two names"), "{message}");
}

#[test]
fn pickles_are_refused_with_the_command_that_converts_them() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("diffusion_pytorch_model.bin"), b"PK\x03\x04").unwrap();
    let as_folder = folder.path().to_path_buf();
    let as_file = folder.path().join("diffusion_pytorch_model.bin");
    for model in [as_folder, as_file] {
        let error = open("vae-decoder", &model, &Choices::default()).err().unwrap();
        assert!(matches!(error, ExportError::Pickle { .. }) && error.exit() == Exit::Data, "{error}");
        assert!(error.to_string().contains("weights_only=True"), "{error}");
    }
}

/// Opens `bytes` as the weights of every network and fits them, as far as that goes.
fn open_and_fit(bytes: &[u8], folder: &Path) -> usize {
    let path = folder.join("mutated.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let fitted = names().into_iter().filter(|name| *name != "step").filter(|name| {
        let Ok((weights, network)) = open(name, &path, &Choices::default()) else { return false };
        weights.fit(network.name(), &network.layout(), &network.set_aside()).is_ok()
    });
    fitted.count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_damaged_file_is_refused_or_read_and_never_panics(
        which in 0_usize..10,
        changes in proptest::collection::vec((0.0..1.0_f64, any::<u8>()), 1..6),
        keep in 0.5..1.5_f64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = model_folder(miniatures()[which].as_ref(), folder.path(), 1);
        let mut bytes = std::fs::read(&path).unwrap();
        let header = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
        // Numbers hardly matter; the header is where a reader breaks.
        for (place, to) in changes {
            bytes[(place * header as f64) as usize] = to;
        }
        bytes.truncate((keep * bytes.len() as f64) as usize);
        prop_assert!(open_and_fit(&bytes, folder.path()) <= 1);
    }

    #[test]
    fn a_header_with_hostile_names_and_shapes_never_panics(
        entries in proptest::collection::vec((0..HOSTILE_NAMES.len(), proptest::collection::vec(hostile_axis(), 0..5)), 0..12),
    ) {
        let folder = tempfile::tempdir().unwrap();
        prop_assert_eq!(open_and_fit(&hostile_file(&entries), folder.path()), 0);
    }
}

/// Keys from which sizes are read, some with numbers that no list should be as long as.
const HOSTILE_NAMES: [&str; 26] = [
    "voxel2clip.lin0.0.weight",
    "voxel2clip.lin1.weight",
    "voxel2clip.projector.0.weight",
    "voxel2clip.mlp.4294967295.0.weight",
    "lin0.0.weight",
    "lin1.weight",
    "norm.weight",
    "upsampler.conv_in.weight",
    "decoder.conv_in.weight",
    "decoder.up_blocks.7.resnets.0.conv1.weight",
    "post_quant_conv.weight",
    "decoder.up_blocks.18446744073709551615.x",
    "net.learned_query",
    "net.causal_transformer.layers.0.0.null_kv",
    "net.causal_transformer.layers.0.0.to_q.weight",
    "net.to_time_embeds.0.1.net.99.weight",
    "ridge.linears.0.weight",
    "ridge.linears.18446744073709551615.weight",
    "backbone.mixer_blocks2.0.0.weight",
    "noise_scheduler.betas",
    "down_blocks.0.resnets.0.conv1.weight",
    "down_blocks.9.attentions.0.norm.weight",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight",
    "decoder.layers.18446744073709551615.conv.0.weight",
    "0.conv.0.weight",
    "vision_model.embeddings.position_embedding.weight",
];

fn hostile_axis() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0_usize), Just(1), Just(usize::MAX), Just(1 << 40), 0_usize..9]
}

/// A file whose header lists these names and shapes, with as many bytes as the first few thousand numbers need.
fn hostile_file(entries: &[(usize, Vec<usize>)]) -> Vec<u8> {
    let mut end = 0_usize;
    let mut header = Vec::new();
    for (name, shape) in entries {
        let Some(bytes) = shape.iter().try_fold(4_usize, |n, axis| n.checked_mul(*axis)) else { continue };
        let start = end;
        end += bytes.min(4096);
        let name = HOSTILE_NAMES[*name];
        header.push(format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#));
    }
    let header = format!("{{{}}}", header.join(","));
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; end]].concat()
}
