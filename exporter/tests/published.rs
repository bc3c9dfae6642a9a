//! Networks of published size, described and counted without their weights: key lists and parameter totals.

mod common;

use mindeye_exporter::networks::{
    Choices, ClipImage, Half, KlEncoder, MindEye2Backbone, Network, Prior, Taesd, Unet, VaeEncoder, open,
};
use mindeye_exporter::weights::{Entry, Layout};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Lines of the key list `name`: a key, a tab, sizes between `x`.
fn published_keys(name: &str) -> Vec<Entry> {
    let path = format!("{}/tests/fixtures/keys_{name}.tsv", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let entries = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (key, sizes) = line.split_once('\t').unwrap();
        (key.to_owned(), sizes.split('x').map(|size| size.parse().unwrap()).collect())
    });
    sorted(entries.collect())
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort();
    entries
}

fn vae_encoder() -> VaeEncoder {
    let encoder = KlEncoder {
        prefix: "encoder.".into(),
        input: 3,
        stages: vec![128, 256, 512, 512],
        resnets: 2,
        output: 8,
        norm_groups: 32,
    };
    VaeEncoder { moments: 8, latent_side: 64, encoder }
}

#[test]
fn published_networks_have_the_published_tensors() {
    let taesd = |half, start: &str| {
        let listed = published_keys("taesd").into_iter().filter(|(key, _)| key.starts_with(start));
        (Taesd::published(half).layout(), listed.collect::<Vec<_>>())
    };
    let cases = [
        (Unet::published().layout(), published_keys("vd_image_unet")),
        (vae_encoder().layout(), published_keys("vae_kl_encoder")),
        taesd(Half::Encoder, "encoder."),
        taesd(Half::Decoder, "decoder."),
    ];
    for (layout, listed) in cases {
        assert_eq!(sorted(layout.tensors), listed);
    }
}

#[test]
fn published_networks_have_the_published_parameter_counts() {
    // Spec: MindEye sections 1.2, 2.4, 7b, 14; diffusion sections 1, 2.
    let mindeye2 = |hidden| MindEye2Backbone {
        subject: 0,
        voxels: 8627,
        hidden,
        blocks: 4,
        tokens: 256,
        token_dim: 1664,
        subjects: vec![0],
    };
    let ridge = |hidden: usize| (8627 + 1) * hidden;
    let cases = [
        ("prior", Prior::with(257, 768, 6, 12, 64).layout(), 56_055_184 + rotary_copies()),
        ("prior of MindEye2", Prior::with(256, 1664, 6, 32, 52).layout(), 259_865_216 + rotary_copies()),
        ("unet", Unet::published().layout(), 859_520_964),
        ("vae-encoder", vae_encoder().layout(), 34_163_592 + 72),
        ("taesd-encoder", Taesd::published(Half::Encoder).layout(), 1_222_532),
        ("taesd-decoder", Taesd::published(Half::Decoder).layout(), 1_222_531),
        ("clip-image", ClipImage::published().layout(), 303_966_208),
        ("MindEye2, 1024 wide", mindeye2(1024).layout(), 453_360_280 + ridge(1024)),
    ];
    for (name, layout, expected) in cases {
        assert_eq!(layout.parameters(), expected, "{name}");
    }
    assert_eq!(Unet::published().layout().tensors.len(), 686);
    // 134,283,264 in the A mixers, 24 in the B mixers, output and projector; the blurry head is left aside.
    let wide = mindeye2(4096).layout().parameters() - ridge(4096);
    assert_eq!(wide, 134_283_264 + 24 + 1_745_256_448 + 8_321_664);
}

/// PyTorch counts the 16 rotary frequencies once, because all six layers share them; a file lists them with each layer.
fn rotary_copies() -> usize {
    5 * 16
}

/// A safetensors file that says it holds `layout` and takes no room: its numbers are a hole in the file.
fn hollow(layout: &Layout, folder: &Path, name: &str) -> PathBuf {
    let mut end = 0;
    let tensors = layout.tensors.iter().map(|(key, shape)| {
        let start = end;
        end += 4 * shape.iter().product::<usize>();
        format!(r#""{key}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#)
    });
    let header = format!("{{{}}}", tensors.collect::<Vec<_>>().join(","));
    let path = folder.join(name);
    let mut file = File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len((8 + header.len() + end) as u64).unwrap();
    path
}

#[test]
fn sizes_of_published_networks_are_read_from_shapes_alone() {
    let networks: [Box<dyn Network>; 6] = [
        Box::new(Prior::with(256, 1664, 6, 32, 52)),
        Box::new(Unet::published()),
        Box::new(vae_encoder()),
        Box::new(Taesd::published(Half::Encoder)),
        Box::new(Taesd::published(Half::Decoder)),
        Box::new(ClipImage::published()),
    ];
    for network in networks {
        let folder = tempfile::tempdir().unwrap();
        let path = hollow(&network.layout(), folder.path(), "weights.safetensors");
        let (_, read) = open(network.name(), &path, &Choices::default()).unwrap();
        let name = network.name();
        assert_eq!(read.layout(), network.layout(), "{name}");
        assert_eq!(read.inputs(2), network.inputs(2), "{name}");
        assert_eq!(read.outputs(2), network.outputs(2), "{name}");
    }
}
