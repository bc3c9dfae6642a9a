//! A bundle whose files are all as listed is still refused, with both sides, when its parts disagree.

mod support;

use mindeye_config::{BetaUnit, NetworkEntry, SchedulerConfig, TensorEntry};
use mindeye_decode::Network;
use mindeye_preprocess::{Grid, Mask, VoxelType, ZscoreTable, write_volume};
use std::fs;
use support::{IDS, TestBundle, VOXELS, WIDTH, grid, recipe};

/// The refusal of a bundle that was edited and then listed again, so that every hash is right.
fn refusal_after(edit: impl FnOnce(&mut TestBundle)) -> String {
    let mut written = TestBundle::write();
    edit(&mut written);
    written.relisted().refusal()
}

fn dimension(edit: impl FnOnce(&mut mindeye_config::Dimensions)) -> String {
    refusal_after(|bundle| edit(&mut bundle.manifest.dimensions))
}

fn entry<'a>(bundle: &'a mut TestBundle, name: &str) -> &'a mut NetworkEntry {
    bundle.manifest.network.iter_mut().find(|network| network.name == name).unwrap()
}

#[test]
fn a_unet_takes_one_branch_or_both_and_a_clip_any_square() {
    let refusal = refusal_after(|bundle| {
        let unet = entry(bundle, "unet");
        unet.inputs.iter_mut().chain(&mut unet.outputs).for_each(|tensor| tensor.shape[0] = 3);
    });
    assert!(refusal.contains("inputs of network unet is") && refusal.contains("[3, 4, 2, 2]"), "{refusal}");
    let refusal = refusal_after(|bundle| entry(bundle, "clip-image").inputs[0].shape = vec![1, 3, 4, 5]);
    assert!(refusal.contains("inputs of network clip-image is") && refusal.contains("[1, 3, 4, 5]"), "{refusal}");
}

#[test]
fn dimensions_must_be_possible_and_those_of_the_networks() {
    assert_eq!(
        dimension(|d| d.picture[1] = 0),
        "bundle: `manifest.toml`: a size in [dimensions] is 0, the format says 1..=1048576"
    );
    assert_eq!(
        dimension(|d| d.tokens = usize::MAX >> 12),
        "bundle: `manifest.toml`: a size in [dimensions] is 4503599627370495, the format says 1..=1048576"
    );
    let refusal = dimension(|d| d.voxels = 7);
    assert!(refusal.starts_with("bundle: `manifest.toml`: inputs of network backbone is"), "{refusal}");
    assert!(refusal.contains("shape: [1, 6]") && refusal.contains("shape: [1, 7]"), "{refusal}");
    let refusal = dimension(|d| d.picture = [4, 4]);
    assert!(refusal.contains("outputs of network vae-decoder") && refusal.contains("[1, 3, 4, 6]"), "{refusal}");
}

#[test]
fn networks_must_be_known_with_the_contract_s_tensors_and_a_usable_tolerance() {
    let refusal = refusal_after(|bundle| bundle.manifest.network[0].name = "captioner".into());
    let known = Network::ALL.map(Network::key).join(", ");
    assert_eq!(refusal, format!("bundle: network `captioner` is not one that this version runs: {known}"));

    let refusal = refusal_after(|bundle| bundle.manifest.network[0].outputs[1].name = "tokens".into());
    assert!(refusal.contains("\"tokens\"") && refusal.contains("\"retrieval_tokens\""), "{refusal}");

    let extra = TensorEntry { name: "extra".into(), shape: vec![1] };
    let refusal = refusal_after(|bundle| entry(bundle, "low-level").inputs.push(extra));
    assert!(refusal.contains("inputs of network low-level"), "{refusal}");

    for tolerance in [0.0, -1.0, f64::INFINITY, f64::NAN] {
        let refusal = refusal_after(|bundle| entry(bundle, "vae-decoder").tolerance = tolerance);
        assert!(refusal.contains("tolerance of network vae-decoder is"), "{refusal}");
    }
}

#[test]
fn the_mask_must_have_the_manifest_s_grid_and_voxels() {
    let refusal = refusal_after(|bundle| {
        let mask = Mask::from_voxels(grid(), VOXELS[..5].to_vec()).unwrap();
        mask.write(&bundle.file("mask.nii.gz")).unwrap();
    });
    assert_eq!(refusal, "bundle: `mask.nii.gz`: number of voxels is 5, manifest.toml says 6");

    let refusal = refusal_after(|bundle| {
        let mask = Mask::from_voxels(Grid { dim: [2, 3, 2], ..grid() }, VOXELS.to_vec()).unwrap();
        mask.write(&bundle.file("mask.nii.gz")).unwrap();
    });
    assert_eq!(refusal, "bundle: `mask.nii.gz`: voxel grid is [2, 3, 2], manifest.toml says [3, 2, 2]");
}

#[test]
fn the_reference_must_lie_on_the_mask_s_grid() {
    let write = |bundle: &TestBundle, grid: &Grid| {
        let bytes = vec![0; 2 * grid.voxel_count()];
        write_volume(&bundle.file("reference.nii.gz"), grid, VoxelType::Int16, &bytes).unwrap();
    };
    let refusal = refusal_after(|bundle| write(bundle, &Grid { dim: [3, 2, 3], ..grid() }));
    assert_eq!(refusal, "bundle: `reference.nii.gz`: voxel grid is [3, 2, 3], mask.nii.gz says [3, 2, 2]");

    let mut shifted = grid();
    shifted.affine[0][3] += 0.5;
    let refusal = refusal_after(|bundle| write(bundle, &shifted));
    assert!(refusal.starts_with("bundle: `reference.nii.gz`: affine is"), "{refusal}");
    assert!(refusal.contains("-3.5") && refusal.contains("-4.0"), "{refusal}");
}

#[test]
fn z_scores_must_have_the_manifest_s_voxels_and_the_recipe_s_lags() {
    let write = |bundle: &TestBundle, lags_s: Vec<f64>, voxels: usize| {
        let numbers = vec![1.0; lags_s.len() * voxels];
        let table = ZscoreTable::new(lags_s, voxels, numbers.clone(), numbers).unwrap();
        table.write(&bundle.file("zscore.safetensors")).unwrap();
    };
    let refusal = refusal_after(|bundle| write(bundle, vec![7.5], 5));
    assert_eq!(refusal, "bundle: `zscore.safetensors`: number of voxels is 5, manifest.toml says 6");
    let refusal = refusal_after(|bundle| write(bundle, vec![7.5, 9.0], 6));
    assert_eq!(refusal, "bundle: `zscore.safetensors`: list of lags in s is [7.5, 9.0], preprocess.toml says [7.5]");
}

#[test]
fn the_schedule_must_have_the_manifest_s_latent_scale() {
    let refusal = refusal_after(|bundle| {
        bundle.write_toml("scheduler.toml", &SchedulerConfig { latent_scale: 0.5, ..SchedulerConfig::default() });
    });
    assert_eq!(refusal, "bundle: `scheduler.toml`: latent_scale is 0.5, manifest.toml says 0.18215");
}

#[test]
fn a_malformed_part_is_refused_by_file() {
    for path in ["mask.nii.gz", "reference.nii.gz", "zscore.safetensors", "golden.safetensors", "preprocess.toml"] {
        let refusal = refusal_after(|bundle| fs::write(bundle.file(path), "nonsense").unwrap());
        assert!(refusal.contains(path), "{path}: {refusal}");
    }
}

#[test]
fn golden_cases_must_be_there_for_every_tensor_and_no_other() {
    let write = |bundle: &TestBundle, key: &str, shape: Vec<usize>| {
        let count = shape.iter().product();
        bundle.write_tensors("golden.safetensors", &[(key.into(), shape, vec![0.5; count])]);
    };
    let refusal = refusal_after(|bundle| write(bundle, "backbone/backbone_tokens", vec![1, 2, 4]));
    assert_eq!(refusal, "bundle: `golden.safetensors`: `backbone/voxels` is missing");
    let refusal = refusal_after(|bundle| write(bundle, "backbone/voxels", vec![1, 5]));
    assert_eq!(
        refusal,
        "bundle: `golden.safetensors`: shape of `backbone/voxels` is [1, 5], manifest.toml says [1, 6]"
    );
    let refusal = refusal_after(|bundle| {
        bundle.manifest.network.clear();
        write(bundle, "unet/sample", vec![1]);
    });
    assert_eq!(refusal, "bundle: `golden.safetensors`: `unet/sample` is no tensor of a network in manifest.toml");
    let refusal = refusal_after(|bundle| {
        bundle.write_tensors("golden.safetensors", &[("backbone/voxels".into(), vec![2], vec![0.0, f32::NAN])]);
    });
    assert_eq!(refusal, "bundle: `golden.safetensors`: `backbone/voxels`: element 1 is NaN");
}

#[test]
fn gallery_index_and_vectors_must_agree_with_each_other_and_the_manifest() {
    let refusal = refusal_after(|bundle| bundle.manifest.gallery.as_mut().unwrap().count = 6);
    assert_eq!(refusal, "bundle: `gallery/index.tsv`: number of pictures is 5, manifest.toml says 6");

    let vectors = |shape: [usize; 2]| {
        move |bundle: &mut TestBundle| {
            let values = (0..shape[0] * shape[1]).map(|i| i as f32).collect();
            bundle.write_tensors("gallery/vectors.safetensors", &[("vectors".into(), shape.into(), values)]);
        }
    };
    let expected = |shape: &str| {
        format!(
            "bundle: `gallery/vectors.safetensors`: shape of `vectors` is {shape}, \
             manifest.toml says [5, 8]"
        )
    };
    assert_eq!(refusal_after(vectors([4, WIDTH])), expected("[4, 8]"));
    assert_eq!(refusal_after(vectors([IDS.len(), 9])), expected("[5, 9]"));

    let index = |text: &str| {
        let text = text.to_owned();
        refusal_after(move |bundle| fs::write(bundle.file("gallery/index.tsv"), text).unwrap())
    };
    let cases = [
        ("id,file\n", "header is \"id,file\""),
        ("id\tfile\tsource\ncat\tcat.jpg\n", "line 2 has 2 columns, the header 3"),
        ("id\tfile\tsource\n../cat\ta\tb\n", "`../cat` is not a name"),
        ("id\tfile\tsource\ncat\ta\tb\ncat\ta\tb\n", "lists `cat` twice"),
    ];
    for (text, complaint) in cases {
        let refusal = index(text);
        assert!(refusal.starts_with("bundle: `gallery/index.tsv`: ") && refusal.contains(complaint), "{refusal}");
    }
}

#[test]
fn a_vector_without_a_direction_is_refused_by_id() {
    let refusal = refusal_after(|bundle| {
        let mut values: Vec<f32> = (0..IDS.len() * WIDTH).map(|i| i as f32).collect();
        values[2 * WIDTH..3 * WIDTH].fill(0.0);
        bundle.write_tensors("gallery/vectors.safetensors", &[("vectors".into(), vec![IDS.len(), WIDTH], values)]);
    });
    assert_eq!(refusal, "bundle: gallery: the vector of `owl` has length 0e0 as given; no direction is left");
}

#[test]
fn another_estimator_than_the_training_s_opens_but_is_named() {
    let mut written = TestBundle::write();
    written.manifest.estimator.unit = BetaUnit::None;
    written.write_manifest();
    let mismatch = written.open().unwrap().check_estimator().unwrap_err();
    assert_eq!((mismatch.field, mismatch.here.as_str()), ("unit", "\"percent-signal-change\""));
    assert_eq!(recipe().estimator().agrees_with(&recipe().estimator()), Ok(()));
}
