//! The optional parts of a bundle: compiled engines with a table of their own, and each voxel's response.

mod support;

use mindeye_config::{ENGINES_FORMAT, EngineFileEntry, EnginesManifest, Precision, sha256_of_bytes, sha256_of_file};
use mindeye_decode::Network;
use mindeye_preprocess::{Grid, VoxelType, write_volume};
use std::fs;
use support::{TestBundle, VOXELS, grid};

const ENGINE: &[u8] = b"compiled";

/// Writes an engine of the UNet into `written`, and the table that `edit` made of the right one.
fn compile(written: &TestBundle, edit: impl FnOnce(&mut EnginesManifest)) {
    fs::create_dir_all(written.file("engines/sm_89")).unwrap();
    fs::write(written.file("engines/sm_89/unet.engine"), ENGINE).unwrap();
    let engine = EngineFileEntry {
        target: "sm_89".into(),
        network: "unet".into(),
        path: "sm_89/unet.engine".into(),
        precision: Precision::Fp16,
        built_with: "a test".into(),
        sha256: sha256_of_bytes(ENGINE),
        bytes: ENGINE.len() as u64,
    };
    let bundle = sha256_of_file(&written.file("manifest.toml")).unwrap();
    let mut manifest = EnginesManifest { format: ENGINES_FORMAT.into(), bundle, engine: vec![engine] };
    edit(&mut manifest);
    written.write_toml("engines/manifest.toml", &manifest);
}

#[test]
fn compiling_engines_makes_no_other_bundle() {
    let written = TestBundle::write();
    let before = written.open().unwrap();
    assert!(before.engines.is_none() && before.engine_path("sm_89", Network::Unet).is_none());
    compile(&written, |_| ());
    let after = written.open().unwrap();
    assert_eq!(after.hash, before.hash);
    assert_eq!(after.engine_path("sm_89", Network::Unet), Some(written.file("engines/sm_89/unet.engine")));
    assert_eq!(after.engine_path("sm_120", Network::Unet), None);
    assert_eq!(after.engine_path("sm_89", Network::Prior), None);
}

#[test]
fn engines_that_are_not_as_listed_are_refused_by_name() {
    let digest = sha256_of_bytes(ENGINE);
    type Edit = fn(&mut EnginesManifest);
    let cases: [(Edit, String); 4] = [
        (
            |table| table.engine.clear(),
            "bundle: `engines/sm_89/unet.engine` is in the folder but is not listed in engines/manifest.toml".into(),
        ),
        (
            |table| table.engine[0].bytes = 9,
            "bundle: `engines/sm_89/unet.engine` has 8 bytes, manifest.toml says 9".into(),
        ),
        (
            |table| table.engine[0].sha256 = sha256_of_bytes(b"other"),
            format!(
                "`engines/sm_89/unet.engine` has sha256 {digest}, manifest.toml says {}",
                sha256_of_bytes(b"other")
            ),
        ),
        (
            |table| table.engine[0].path = "sm_89/prior.engine".into(),
            "bundle: `engines/sm_89/prior.engine` is listed in manifest.toml but is not in the folder".into(),
        ),
    ];
    for (edit, expected) in cases {
        let written = TestBundle::write();
        compile(&written, edit);
        let refusal = written.refusal();
        assert!(refusal.ends_with(&expected), "{refusal}");
    }
}

#[test]
fn engines_of_another_bundle_or_without_a_table_are_refused() {
    let written = TestBundle::write();
    compile(&written, |table| table.bundle = sha256_of_bytes(b"another"));
    let refusal = written.refusal();
    assert!(refusal.starts_with("bundle: `engines/manifest.toml`: digest of the bundle is"), "{refusal}");
    assert!(refusal.contains(&sha256_of_bytes(b"another").0), "{refusal}");

    fs::remove_file(written.file("engines/manifest.toml")).unwrap();
    assert!(written.refusal().contains("`engines/sm_89/unet.engine` is in the folder but is not listed"));
}

fn write_index(written: &TestBundle, grid: &Grid, dtype: VoxelType, bytes: &[u8]) {
    write_volume(&written.file("hrf_index.nii.gz"), grid, dtype, bytes).unwrap();
}

#[test]
fn each_voxels_response_is_read_in_the_masks_order() {
    let written = TestBundle::write();
    assert!(written.open().unwrap().hrf_index.is_none());
    let volume: Vec<u8> = (0..grid().voxel_count() as i16).flat_map(|i| (i + 3).to_le_bytes()).collect();
    write_index(&written, &grid(), VoxelType::Int16, &volume);
    let bundle = written.relisted().open().unwrap();
    assert_eq!(bundle.hrf_index.unwrap()[..], VOXELS.map(|voxel| voxel as u8 + 3));
}

#[test]
fn a_response_that_is_no_byte_or_on_another_grid_is_refused() {
    let halves: Vec<u8> = (0..grid().voxel_count()).flat_map(|i| (i as f32 / 2.0).to_le_bytes()).collect();
    let written = TestBundle::write();
    write_index(&written, &grid(), VoxelType::Float32, &halves);
    let refusal = written.relisted().refusal();
    let expected = "bundle: `hrf_index.nii.gz`: voxel 0 of the mask has 0.5, which is no index from 0 to 255";
    assert_eq!(refusal, expected);

    let written = TestBundle::write();
    write_index(&written, &Grid { dim: [2, 3, 2], ..grid() }, VoxelType::Float32, &halves);
    let refusal = written.relisted().refusal();
    assert_eq!(refusal, "bundle: `hrf_index.nii.gz`: voxel grid is [2, 3, 2], mask.nii.gz says [3, 2, 2]");
}

#[test]
fn the_reference_is_found_where_registration_reads_it() {
    let written = TestBundle::write();
    assert_eq!(written.open().unwrap().reference_path(), written.file("reference.nii.gz"));
}
