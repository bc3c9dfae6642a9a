//! A demo bundle opens, warms up against its goldens, and retrieves what the phantom was shown.

mod common;

use common::onnx_runtime;
use mindeye_config::{Exit, ManualClock, ModelDimensions, PreprocessConfig, Timings};
use mindeye_decode::{Bundle, Decoder};
use mindeye_exporter::{RandomInit, random_init_bundle};
use mindeye_preprocess::phantom::{Phantom, PhantomConfig, scene_id, window_gain};
use mindeye_preprocess::{Mask, Pattern, RawVolume, RunPreprocessor, VoxelType, ZscoreTable};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn demo(seed: u64) -> RandomInit<'static> {
    let preset = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/model/demo.toml");
    let dimensions: ModelDimensions = mindeye_config::load(&preset).unwrap();
    RandomInit { dimensions, seed, mask: None }
}

#[test]
fn measure() {
    let engine = onnx_runtime().unwrap();
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("bundle");
    random_init_bundle(&demo(1), &out).unwrap();
    let bundle = Bundle::open(&out).unwrap();
    let (mut decoder, report) = Decoder::warm_up(&bundle, engine, ManualClock::new()).unwrap();
    eprintln!("{report}");
    let gallery = bundle.gallery.as_ref().unwrap();
    for (s, e) in [(4.0, 8.0), (3.0, 7.0), (4.0, 7.5), (3.0, 8.0), (2.5, 7.5)] {
        for baseline in [0.0, 1.5, 3.0, 6.0] {
            let mut recipe = bundle.recipe.clone();
            recipe.beta.window_start_s = s;
            recipe.beta.window_end_s = e;
            recipe.beta.baseline_s = baseline;
            let gain = window_gain(&recipe, 3.0) as f32;
            let n = bundle.mask.len();
            let z = Arc::new(ZscoreTable::new(recipe.revision_lags_s.clone(), n, vec![0.0; n], vec![gain; n]).unwrap());
            let mut ranks = Vec::new();
            let mut corr = 0.0;
            for seed in [1, 2, 3] {
                let config = PhantomConfig { seed, trials: 40, ..Default::default() };
                let mut phantom = Phantom::new(config);
                let mut run = RunPreprocessor::new(&recipe, bundle.mask.clone(), z.clone(), 1.5, 32).unwrap();
                let events = phantom.events();
                for i in 0..phantom.volume_count() {
                    for (event, _) in &events { if event.onset_s <= f64::from(i) * 1.5 { run.set_event(event.clone()).unwrap(); } }
                    let bytes: Vec<u8> = phantom.volume(i).iter().flat_map(|v| v.to_le_bytes()).collect();
                    run.resample(RawVolume::new(VoxelType::Int16, phantom.grid().voxel_count(), &bytes).unwrap()).unwrap();
                    run.advance(i, f64::from(i) * 1.5).unwrap();
                    for mut beta in run.due_betas().unwrap() {
                        run.zscore(&mut beta);
                        let scene = events[beta.trial as usize].1;
                        let truth = mindeye_preprocess::phantom::response_pattern(scene, &bundle.mask);
                        corr += beta.zscored.correlation(&truth).unwrap();
                        let retrieval = decoder.retrieve(&beta.zscored, &mut Timings::default()).unwrap();
                        ranks.push(retrieval.rank_of(gallery.find(&scene_id(scene)).unwrap()));
                    }
                }
            }
            let top1 = ranks.iter().filter(|r| **r == 1).count();
            let mean = ranks.iter().sum::<usize>() as f64 / ranks.len() as f64;
            eprintln!("window {s}-{e} baseline {baseline}: top1 {top1}/{} mean rank {mean:.2} max {} corr {:.3} gain {gain}", ranks.len(), ranks.iter().max().unwrap(), corr / ranks.len() as f64);
        }
    }
}
