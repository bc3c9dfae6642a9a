//! A demo bundle opens, warms up against its goldens, and retrieves what the phantom was shown.

mod common;

use common::onnx_runtime;
use mindeye_config::{Exit, ManualClock, Timings, sha256_of_file};
use mindeye_decode::{Bundle, Decoder};
use mindeye_exporter::{RandomInit, Size, random_init_bundle};
use mindeye_preprocess::phantom::{Phantom, PhantomConfig, scene_id};
use mindeye_preprocess::{Grid, Mask, RawVolume, RunPreprocessor, TrialBeta, VoxelType};

fn demo(seed: u64) -> RandomInit<'static> {
    RandomInit::of(Size::Demo, seed)
}

/// Whether this decoder knows the renderer's networks; says so where it does not.
fn decoder_runs_all_networks() -> bool {
    let knows = mindeye_decode::Network::named("unet").is_some();
    if !knows {
        eprintln!("skipped: this decoder refuses bundles that hold a UNet");
    }
    knows
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_other_weights() {
    let home = tempfile::tempdir().unwrap();
    let bundles = [("a", 1), ("b", 1), ("c", 2)].map(|(name, seed)| {
        let out = home.path().join(name);
        let manifest = random_init_bundle(&demo(seed), &out).unwrap();
        (sha256_of_file(&out.join("manifest.toml")).unwrap(), manifest)
    });
    let digest = |i: usize, path: &str| bundles[i].1.file.iter().find(|f| f.path == path).unwrap().sha256.clone();
    assert_eq!(bundles[0].0, bundles[1].0);
    for path in ["networks/backbone.onnx", "gallery/vectors.safetensors", "golden.safetensors"] {
        assert_ne!(digest(0, path), digest(2, path), "{path}");
    }
    assert_eq!(digest(0, "gallery/thumbs/scene-017.png"), digest(2, "gallery/thumbs/scene-017.png"));
}

#[test]
fn a_bundle_on_a_mask_of_the_users_opens_with_its_grid_and_count() {
    let home = tempfile::tempdir().unwrap();
    let affine = [[-2.0, 0.0, 0.0, 20.0], [0.0, 2.0, 0.5, -30.0], [0.0, -0.5, 2.0, 5.0], [0.0, 0.0, 0.0, 1.0]];
    let grid = Grid { dim: [10, 12, 7], affine };
    let mask = home.path().join("mask.nii.gz");
    Mask::from_voxels(grid, vec![3, 5, 100, 101, 838]).unwrap().write(&mask).unwrap();

    let out = home.path().join("bundle");
    random_init_bundle(&RandomInit { mask: Some(&mask), ..demo(1) }, &out).unwrap();
    if !decoder_runs_all_networks() {
        return;
    }
    let bundle = Bundle::open(&out).unwrap();
    assert_eq!((bundle.manifest.dimensions.voxels, bundle.manifest.dimensions.grid), (5, [10, 12, 7]));
    assert_eq!(bundle.mask.voxels(), [3, 5, 100, 101, 838]);
    assert!(bundle.manifest.note.contains("match nothing in a recorded run"));
    bundle.check_estimator().unwrap();
}

#[test]
fn nothing_is_written_when_the_mask_is_wrong_or_the_place_is_taken() {
    let home = tempfile::tempdir().unwrap();
    let mask = home.path().join("mask.nii.gz");
    let out = home.path().join("bundle");
    let make = || random_init_bundle(&RandomInit { mask: Some(&mask), ..demo(1) }, &out).unwrap_err().exit();
    assert_eq!(make(), Exit::Usage, "no mask");
    std::fs::write(&mask, b"no nifti").unwrap();
    assert_eq!(make(), Exit::Data, "a broken mask");
    assert!(!out.exists());
    std::fs::create_dir(&out).unwrap();
    assert_eq!(make(), Exit::Usage, "a place that is taken");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 2);
}

/// The z-scored betas of a phantom run, each with the scene that was shown.
fn phantom_trials(bundle: &Bundle, config: PhantomConfig) -> Vec<(TrialBeta, u32)> {
    let mut phantom = Phantom::new(config);
    let tr_s = phantom.config().tr_s;
    let mut run = RunPreprocessor::new(&bundle.recipe, bundle.mask.clone(), bundle.zscore.clone(), tr_s, 32).unwrap();
    let events = phantom.events();
    for (event, _) in &events {
        run.set_event(*event).unwrap();
    }
    let mut trials = Vec::new();
    for index in 0..phantom.volume_count() {
        let bytes: Vec<u8> = phantom.volume(index).iter().flat_map(|v| v.to_le_bytes()).collect();
        let raw = RawVolume::new(VoxelType::Int16, phantom.grid().voxel_count(), &bytes).unwrap();
        run.resample(raw).unwrap();
        run.advance(index, f64::from(index) * tr_s).unwrap();
        for mut beta in run.due_betas().unwrap() {
            run.zscore(&mut beta);
            let scene = events[beta.trial as usize].1;
            trials.push((beta, scene));
        }
    }
    trials
}

#[test]
fn the_demo_bundle_warms_up_and_finds_the_phantoms_scenes() {
    let Some(engine) = onnx_runtime() else { return };
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("bundle");
    random_init_bundle(&demo(1), &out).unwrap();
    if !decoder_runs_all_networks() {
        return;
    }
    let bundle = Bundle::open(&out).unwrap();
    let (mut decoder, report) = Decoder::warm_up(&bundle, engine, ManualClock::new()).unwrap();
    assert!(report.parity_checked(), "{report}");
    assert!(decoder.products().retrieval && decoder.products().blurry);

    let gallery = bundle.gallery.as_ref().unwrap();
    let trials = phantom_trials(&bundle, PhantomConfig { trials: 20, ..PhantomConfig::default() });
    assert_eq!(trials.len(), 20);
    let rank = |(beta, scene): &(TrialBeta, u32)| {
        let retrieval = decoder.retrieve(&beta.zscored, &mut Timings::default()).unwrap();
        retrieval.rank_of(gallery.find(&scene_id(*scene)).unwrap())
    };
    let ranks: Vec<usize> = trials.iter().map(rank).collect();
    // 119 of 120 trials came first when three runs were simulated; by chance each would with 1/300.
    assert!(ranks.iter().filter(|rank| **rank == 1).count() >= 18, "{ranks:?}");

    let blurry = decoder.blurry(&trials[0].0.zscored, &mut Timings::default()).unwrap();
    assert_eq!((blurry.width(), blurry.height()), (64, 64));
}
