//! `targets` through an exported CLIP tower and VAE encoder: once per picture, whole, refused by name.

mod support;

use mindeye_exporter::networks::{ClipImage, KlEncoder, Network, VaeEncoder};
use mindeye_exporter::random_init::random_weights;
use mindeye_exporter::{GraphRequest, export_graph};
use ndarray::{ArrayD, Axis};
use std::fs;
use std::path::Path;
use support::{fails, participant, succeeds};

const CLIP: &str = "mean = [0.48145466, 0.4578275, 0.40821073]\nsd = [0.26862954, 0.26130258, 0.27577711]\n";

/// Exports `network` with random weights and describes it.
fn encoder(home: &Path, network: &dyn Network, config: &str, scale: &str) -> String {
    let folder = home.join(network.name());
    fs::create_dir_all(&folder).unwrap();
    let file = if network.name() == "clip-image" { "model" } else { "diffusion_pytorch_model" };
    fs::write(folder.join(format!("{file}.safetensors")), random_weights(&network.layout(), 3)).unwrap();
    fs::write(folder.join("config.json"), config).unwrap();
    let onnx = home.join(format!("{}.onnx", network.name()));
    export_graph(&GraphRequest::new(network.name(), &folder, &onnx)).unwrap();
    let (input, output) = (network.inputs(1).remove(0), network.outputs(1).remove(0));
    let text = format!(
        "onnx = \"{}.onnx\"\ninput = \"{}\"\nside = {}\noutput = \"{}\"\nshape = {:?}\n{scale}",
        network.name(),
        input.name,
        input.shape[2],
        output.name,
        output.shape
    );
    let path = home.join(format!("{}.toml", network.name()));
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn clip(home: &Path) -> String {
    let tower = ClipImage {
        patch: 3,
        tokens: 10,
        width: 12,
        mlp: 17,
        layers: 2,
        heads: 3,
        token_dim: 7,
        ..ClipImage::published()
    };
    encoder(home, &tower, r#"{"num_attention_heads": 3, "hidden_act": "quick_gelu"}"#, CLIP)
}

/// Sixty pictures that are all different, the last twice.
fn pictures(data: &Path) {
    fs::create_dir_all(data.join("images")).unwrap();
    for i in 0..60_u32 {
        let shade = i.min(58) as u8;
        let picture =
            image::RgbImage::from_fn(24, 16, |x, y| image::Rgb([shade * 4, (x * 9) as u8, (y * 13) as u8 ^ shade]));
        picture.save(data.join(format!("images/img{i:02}.png"))).unwrap();
    }
}

fn has_no_onnx_runtime() -> bool {
    let missing = mindeye_engine::OnnxRuntime::on_cpu(1).err();
    missing.iter().for_each(|error| eprintln!("skipped: {error}"));
    missing.is_some()
}

#[test]
fn a_picture_is_encoded_once_and_its_row_is_where_its_name_says() {
    if has_no_onnx_runtime() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    participant(&data, 7, 2.0);
    fs::remove_file(data.join("targets.npy")).unwrap();
    pictures(&data);
    let tower = clip(home.path());
    let at = data.display().to_string();
    let run = || succeeds(&["targets", "--data", &at, "--encoder", &tower]);
    assert!(run().contains("60 images, 59 encoded now, 1 from the cache"), "two pictures are one file");
    let targets: ArrayD<f32> = ndarray_npy::read_npy(data.join("targets.npy")).unwrap();
    assert_eq!(targets.shape(), [60, 10, 7]);
    assert_eq!(targets.index_axis(Axis(0), 58), targets.index_axis(Axis(0), 59));
    assert_ne!(targets.index_axis(Axis(0), 0), targets.index_axis(Axis(0), 1));
    for row in targets.outer_iter() {
        let length = row.index_axis(Axis(0), 0).iter().map(|v| v * v).sum::<f32>().sqrt();
        // 1e-5: the graph divides by the length of the CLS token, in float32.
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    let before = fs::read(data.join("targets.npy")).unwrap();
    assert!(run().contains("0 encoded now, 60 from the cache"));
    assert_eq!(fs::read(data.join("targets.npy")).unwrap(), before);
    assert!(fs::read_to_string(data.join("targets.toml")).unwrap().contains("encoder = \"clip-image.onnx\""));
    // The folder is a training folder now.
    succeeds(&["calibrate", "--direct", "--data", &at, "--out", &home.path().join("ridge").display().to_string()]);
}

#[test]
fn latents_are_the_means_of_the_moments_in_the_scale_of_the_diffusion() {
    if has_no_onnx_runtime() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    participant(&data, 7, 2.0);
    pictures(&data);
    let encoder_half = KlEncoder {
        prefix: "encoder.".into(),
        input: 3,
        stages: vec![4, 8, 12],
        resnets: 1,
        output: 8,
        norm_groups: 2,
    };
    let vae = VaeEncoder { moments: 8, latent_side: 6, encoder: encoder_half };
    let config = r#"{"_class_name": "AutoencoderKL", "norm_num_groups": 2, "sample_size": 24}"#;
    let symmetric = "mean = [0.5, 0.5, 0.5]\nsd = [0.5, 0.5, 0.5]\n";
    let described = encoder(home.path(), &vae, config, symmetric);
    let at = data.display().to_string();
    succeeds(&["targets", "--data", &at, "--kind", "latents", "--encoder", &described]);
    let latents: ArrayD<f32> = ndarray_npy::read_npy(data.join("latents.npy")).unwrap();
    assert_eq!(latents.shape(), [60, 4, 6, 6]);
    let error = fails(65, &["targets", "--data", &at, "--kind", "tokens", "--encoder", &described]);
    assert!(error.contains("`shape` must be [1, T, D] for tokens"), "{error}");
}

#[test]
fn what_cannot_be_encoded_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    participant(&data, 7, 2.0);
    let at = data.display().to_string();
    let absent = home.path().join("none.toml").display().to_string();
    assert!(fails(64, &["targets", "--data", &at, "--encoder", &absent]).contains("none.toml: does not exist"));
    if has_no_onnx_runtime() {
        return;
    }
    let tower = clip(home.path());
    let run = || fails(65, &["targets", "--data", &at, "--encoder", &tower]);
    assert!(run().contains("images/img00.png: 60 of 60 images have no picture"));
    pictures(&data);
    fs::write(data.join("images/img07.png"), b"no picture").unwrap();
    assert!(run().contains("img07.png"));
    assert!(!data.join("targets.toml").exists(), "nothing was written");
    pictures(&data);
    let text = fs::read_to_string(&tower).unwrap();
    fs::write(&tower, text.replace("0.48145466", "0.5")).unwrap();
    assert!(run().contains("tokens are CLIP's"));
}
