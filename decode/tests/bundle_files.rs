//! A bundle is refused, by file name and with both sides, when its folder is not exactly what its manifest lists.

mod support;

use mindeye_config::sha256_of_file;
use mindeye_decode::{BundleError, Network};
use std::fs;
use support::{IDS, TestBundle};

#[test]
fn a_whole_bundle_opens_under_a_label_of_name_and_hash() {
    let written = TestBundle::write();
    let bundle = written.open().unwrap();
    let hash = sha256_of_file(&written.file("manifest.toml")).unwrap();
    assert_eq!(bundle.hash, hash);
    assert_eq!(bundle.label(), format!("tiny@{}", &hash.0[..12]));
    assert_eq!(bundle.mask.voxels(), support::VOXELS);
    assert_eq!(bundle.gallery.as_ref().unwrap().ids, IDS);
    assert_eq!(bundle.check_estimator(), Ok(()));
}

#[test]
fn one_changed_byte_in_any_file_is_refused_with_both_digests() {
    let written = TestBundle::write();
    assert_eq!(written.paths().len(), 6 + Network::ALL.len() + 2 + IDS.len(), "the test covers every kind of file");
    for entry in &written.manifest.file {
        let path = written.file(&entry.path);
        let healthy = fs::read(&path).unwrap();
        let mut tampered = healthy.clone();
        *tampered.last_mut().unwrap() ^= 1;
        fs::write(&path, &tampered).unwrap();
        let now = sha256_of_file(&path).unwrap();
        let refusal = written.refusal();
        let expected = format!("bundle: `{}` has sha256 {now}, manifest.toml says {}", entry.path, entry.sha256);
        assert_eq!(refusal, expected);
        fs::write(&path, &healthy).unwrap();
    }
    assert!(written.open().is_ok(), "restored");
}

#[test]
fn a_changed_manifest_is_another_bundle() {
    let mut written = TestBundle::write();
    let before = written.open().unwrap().label();
    written.manifest.note.push('.');
    written.write_manifest();
    assert_ne!(written.open().unwrap().label(), before);
}

#[test]
fn a_missing_file_is_refused_by_name() {
    for path in TestBundle::write().paths() {
        let written = TestBundle::write();
        fs::remove_file(written.file(&path)).unwrap();
        let expected = format!("bundle: `{path}` is listed in manifest.toml but is not in the folder");
        assert_eq!(written.refusal(), expected);
    }
}

#[test]
fn a_file_that_is_not_listed_is_refused_by_name_wherever_it_lies() {
    for path in ["notes.txt", "networks/captioner.onnx", "gallery/thumbs/cat.jpg"] {
        let written = TestBundle::write();
        fs::create_dir_all(written.file(path).parent().unwrap()).unwrap();
        fs::write(written.file(path), "x").unwrap();
        assert_eq!(written.refusal(), format!("bundle: `{path}` is in the folder but is not listed in manifest.toml"));
    }
}

#[test]
fn a_file_of_another_length_is_refused_with_both_lengths() {
    let written = TestBundle::write();
    let path = "networks/backbone.onnx";
    fs::write(written.file(path), "backbone, and more").unwrap();
    assert_eq!(written.refusal(), format!("bundle: `{path}` has 18 bytes, manifest.toml says 8"));
}

#[test]
fn a_file_that_every_bundle_needs_must_be_listed() {
    let required = [
        "mask.nii.gz",
        "reference.nii.gz",
        "preprocess.toml",
        "zscore.safetensors",
        "scheduler.toml",
        "golden.safetensors",
    ];
    for path in required {
        let written = TestBundle::write();
        fs::remove_file(written.file(path)).unwrap();
        let refusal = written.relisted().refusal();
        assert_eq!(refusal, format!("bundle: manifest.toml does not list `{path}`, which every bundle needs"));
    }
}

#[test]
fn a_file_that_the_gallery_needs_must_be_listed() {
    for path in ["gallery/vectors.safetensors", "gallery/index.tsv", "gallery/thumbs/owl.png"] {
        let written = TestBundle::write();
        fs::remove_file(written.file(path)).unwrap();
        let refusal = written.relisted().refusal();
        assert_eq!(refusal, format!("bundle: manifest.toml does not list `{path}`, which the gallery needs"));
    }
}

#[test]
fn gallery_files_without_a_declared_gallery_are_refused() {
    let mut written = TestBundle::write();
    written.manifest.gallery = None;
    written.write_manifest();
    let expected = "bundle: `manifest.toml`: lists `gallery/index.tsv` but has no [gallery]";
    assert_eq!(written.refusal(), expected);
}

#[test]
fn a_link_is_refused_even_when_it_is_listed() {
    let written = TestBundle::write();
    let path = written.file("networks/backbone.onnx");
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    fs::copy(&path, elsewhere.path()).unwrap();
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), &path).unwrap();
    let refusal = written.open().err().unwrap();
    assert!(matches!(&refusal, BundleError::NotAFile { path } if path == "networks/backbone.onnx"), "{refusal}");
}

#[test]
fn a_file_or_network_listed_twice_is_refused() {
    let mut written = TestBundle::write();
    let again = written.manifest.file[3].clone();
    written.manifest.file.push(again.clone());
    written.write_manifest();
    assert_eq!(written.refusal(), format!("bundle: manifest.toml lists `{}` twice", again.path));

    let mut written = TestBundle::write();
    let again = written.manifest.network[1].clone();
    written.manifest.network.push(again);
    written.write_manifest();
    assert_eq!(written.refusal(), "bundle: manifest.toml lists `prior` twice");
}

#[test]
fn a_manifest_that_is_absent_malformed_or_has_an_unknown_key_is_refused_by_file_and_key() {
    let written = TestBundle::write();
    let path = written.file("manifest.toml");
    let healthy = fs::read_to_string(&path).unwrap();
    let cases = [
        (healthy.replace("created_by", "createdby"), "unknown field `createdby`"),
        (format!("surprise = 1\n{healthy}"), "unknown field `surprise`"),
        (healthy.replace("mindeye-bundle/1", "mindeye-bundle/2"), "found \"mindeye-bundle/2\""),
        (healthy.replace("\"mask.nii.gz\"", "\"../mask.nii.gz\""), "must stay inside the bundle"),
        ("name =".into(), "manifest.toml"),
    ];
    for (text, complaint) in cases {
        fs::write(&path, text).unwrap();
        let refusal = written.refusal();
        assert!(refusal.starts_with(&path.display().to_string()) && refusal.contains(complaint), "{refusal}");
    }
    fs::remove_file(&path).unwrap();
    let refusal = written.open().err().unwrap();
    assert!(matches!(&refusal, BundleError::Unreadable { path: at, .. } if *at == path), "{refusal}");
}
