//! A folder of pictures through an encoder becomes a gallery that names where its vectors come from.

mod common;

use common::{Distance, array, onnx_runtime, read_tensors};
use image::{Rgb, RgbImage};
use mindeye_config::{Exit, Precision, sha256_of_bytes, sha256_of_file};
use mindeye_exporter::gallery::encode_gallery;
use mindeye_exporter::onnx::{Graph, INLINE_LIMIT, Model};
use mindeye_exporter::reference::Array;
use std::path::{Path, PathBuf};

/// An encoder whose tokens are the rows of its normalised 4x4 picture.
fn encoder(folder: &Path) -> PathBuf {
    let mut graph = Graph::new("clip-image", Precision::Fp32);
    let pixels = graph.input("pixel_values", &[1, 3, 4, 4]).unwrap();
    let rows = graph.reshape("rows", &pixels, &[1, 12, 4]).unwrap();
    graph.output("image_tokens", &rows).unwrap();
    let model = Model { graph, weights_sha256: sha256_of_bytes(b""), precision: Precision::Fp32, facts: Vec::new() };
    model.write(folder, "clip-image.onnx", INLINE_LIMIT).unwrap();
    folder.join("clip-image.onnx")
}

#[test]
fn every_picture_gets_a_row_a_vector_and_a_thumbnail() {
    if onnx_runtime().is_none() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let images = home.path().join("images");
    std::fs::create_dir(&images).unwrap();
    RgbImage::from_pixel(40, 30, Rgb([255, 0, 0])).save(images.join("red.png")).unwrap();
    RgbImage::from_pixel(30, 40, Rgb([0, 0, 255])).save(images.join("blue.png")).unwrap();
    std::fs::write(images.join("notes.txt"), "no picture").unwrap();
    let encoder = encoder(home.path());
    let out = home.path().join("gallery");

    let mut steps = Vec::new();
    let report = encode_gallery(&images, &encoder, &out, &mut |step| steps.push((step.done, step.of))).unwrap();
    assert_eq!(steps, [(0, 2), (1, 2)]);
    assert_eq!((report.count, report.tokens, report.token_dim), (2, 12, 4));
    let manifest = std::fs::read_to_string(out.join("manifest.toml")).unwrap();
    assert!(manifest.contains(&sha256_of_file(&encoder).unwrap().0), "{manifest}");
    let index = std::fs::read_to_string(out.join("index.tsv")).unwrap();
    assert_eq!(index, "id\tfile\tsource\nblue\tblue.png\tfolder\nred\tred.png\tfolder\n");
    assert_eq!(image::image_dimensions(out.join("thumbs/red.png")).unwrap(), (128, 128));

    let vectors = array(&read_tensors(&out.join("vectors.safetensors"))[0]);
    // CLIP's mean and SD, spec: diffusion section 1.4; blue and red fill the whole picture.
    let plane = |value: f64, mean: f64, sd: f64| vec![(value - mean) / sd; 16];
    let picture = |r: f64, b: f64| {
        [plane(r, 0.48145466, 0.26862954), plane(0.0, 0.4578275, 0.26130258), plane(b, 0.40821073, 0.27577711)].concat()
    };
    let expected = Array::new(&[2, 48], [picture(0.0, 1.0), picture(1.0, 0.0)].concat());
    // 1e-6: float32 arithmetic on numbers up to 2.
    assert!(Distance::between(&vectors, &expected).largest < 1e-6);
}

#[test]
fn what_is_no_encoder_or_no_picture_is_refused_and_leaves_nothing() {
    if onnx_runtime().is_none() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let images = home.path().join("images");
    std::fs::create_dir(&images).unwrap();
    let good = encoder(home.path());
    let broken = home.path().join("broken.onnx");
    std::fs::write(&broken, b"\xff\xff\xff").unwrap();
    let out = home.path().join("gallery");
    let refuse = |images: &Path, encoder: &Path| {
        let error = encode_gallery(images, encoder, &out, &mut |_| {}).unwrap_err();
        assert!(!out.exists());
        (error.exit(), error.to_string())
    };

    let (exit, message) = refuse(&images, &good);
    assert!(exit == Exit::Data && message.contains("holds no pictures"), "{message}");
    std::fs::write(images.join("a.png"), b"not a png").unwrap();
    let (exit, message) = refuse(&images, &good);
    assert!(exit == Exit::Data && message.contains("a.png"), "{message}");
    let (exit, message) = refuse(&images, &broken);
    assert!(exit == Exit::Data && message.contains("broken.onnx: not a usable ONNX model"), "{message}");
    let (exit, message) = refuse(&home.path().join("nowhere"), &good);
    assert!(exit == Exit::Usage && message.contains("nowhere: no such file"), "{message}");

    RgbImage::new(8, 8).save(images.join("a.png")).unwrap();
    RgbImage::new(8, 8).save(images.join("b c.png")).unwrap();
    let (exit, message) = refuse(&images, &good);
    assert!(exit == Exit::Data && message.contains("`b c` is not a name"), "{message}");
}
