//! A real head: 64 volumes of FSL's example run, without any orientation in its header, against a bundle on its own grid.

use mindeye_preprocess::{Mask, RawVolume, VoxelType, read_bold};
use mindeye_tests::bundle::make_demo_bundle;
use mindeye_tests::http::metrics;
use mindeye_tests::instrument::Setup;
use mindeye_tests::listener::Listener;
use mindeye_tests::programs::{daemon, run};
use mindeye_tests::shared_data;
use std::fmt::Write as _;
use std::path::Path;

const VOLUMES: u32 = 64;
/// The header says 1 s; see SOURCES.md of the data.
const TR_S: f64 = 3.0;
/// A trial every 15 s: half a block of the visual stimulation, which goes on and off every 30 s, on first.
const TRIALS: u32 = 12;

#[test]
fn a_real_run_is_accepted_whole_and_gives_trials_with_pictures_and_timings() {
    let Some(bold) = shared_data("fsl_feeds_fmri/filtered_func_data.nii.gz") else { return };
    let room = tempfile::tempdir().unwrap();
    let mask = room.path().join("mask.nii.gz");
    let voxels = write_brain_mask(&bold, &mask);
    let bundle = room.path().join("bundle");
    make_demo_bundle(&bundle, &["--mask".as_ref(), mask.as_os_str()]);
    let events = room.path().join("events.tsv");
    std::fs::write(&events, events_table()).unwrap();
    let setup = Setup { bundle, ..Setup::new(room.path()) };
    let instrument = setup.start();
    let mut listener = Listener::connect(&instrument.results);

    let mut scanner = daemon("scanner");
    scanner.args(["--connect", &instrument.volumes, "--tr-s", "3", "--speed", "120", "--run", "feeds"]);
    let played = run(scanner.arg("--bold").arg(&bold).arg("--events").arg(&events));
    assert_eq!(played.status, Some(0), "{}", played.stderr);
    assert!(played.stderr.contains(&format!("{VOLUMES} volumes and {TRIALS} events accepted")), "{}", played.stderr);
    assert!(played.stderr.contains("neither by sform nor by qform"), "{}", played.stderr);

    for (trial, answer) in listener.finals(TRIALS.into()).iter().enumerate() {
        let json = &answer.json;
        assert_eq!((&json["effort"], &json["deadline_met"]), (&"full".into(), &true.into()), "{json}");
        assert!(answer.picture.starts_with(b"\x89PNG"), "trial {trial} has a picture");
        // Window 4 to 8 s after an onset at a volume's start, sampled at 1.5, 4.5, 7.5 s: two volumes.
        assert_eq!(json["evidence"]["volumes_used"], 2, "{json}");
        for step in [
            "receive",
            "queue",
            "resample",
            "glm",
            "zscore",
            "backbone",
            "retrieval",
            "low_level",
            "vae",
            "publish",
            "total",
        ] {
            assert!(json["timings_ms"][step].is_number(), "{step} of trial {trial}: {}", json["timings_ms"]);
        }
    }
    let metrics = metrics(&instrument.http);
    assert_eq!(metrics["mindeye_volumes_accepted_total"], f64::from(VOLUMES));
    assert_eq!((metrics["mindeye_volume_gaps_total"], metrics["mindeye_deadlines_missed_total"]), (0.0, 0.0));
    instrument.stop();
    let record = mindeye_tests::record::Record::read(&setup.journal().join("simulated/feeds"));
    assert_eq!(record.betas.len(), TRIALS as usize);
    let mut distinct: Vec<&Vec<u8>> = record.betas.values().collect();
    distinct.dedup();
    assert_eq!(distinct.len(), TRIALS as usize, "every trial has a beta of its own");
    assert!(distinct.iter().all(|beta| beta.len() == 4 * voxels));
}

/// Voxels brighter than half the mean of the bright ones in the first volume. Returns how many.
fn write_brain_mask(bold: &Path, mask: &Path) -> usize {
    let run = read_bold(bold).unwrap();
    assert_eq!((run.grid.dim, run.volumes.len()), ([64, 64, 21], VOLUMES as usize));
    let everything = Mask::from_voxels(run.grid.clone(), (0..run.grid.voxel_count() as u32).collect()).unwrap();
    let mut first = mindeye_preprocess::Pattern::zeros(everything.len());
    everything.gather(raw(&run.dtype, &run.volumes[0], everything.len()), &mut first).unwrap();
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    let overall = mean(&first.0);
    let bright: Vec<f32> = first.0.iter().copied().filter(|value| *value > overall).collect();
    let threshold = mean(&bright) / 2.0;
    let inside: Vec<u32> = (0..first.0.len() as u32).filter(|voxel| first.0[*voxel as usize] > threshold).collect();
    let voxels = inside.len();
    assert!((2_000..40_000).contains(&voxels), "{voxels} voxels make no head");
    Mask::from_voxels(run.grid, inside).unwrap().write(mask).unwrap();
    voxels
}

fn raw<'a>(dtype: &VoxelType, bytes: &'a [u8], voxels: usize) -> RawVolume<'a> {
    RawVolume::new(*dtype, voxels, bytes).unwrap()
}

fn events_table() -> String {
    let mut table = String::from("onset\tduration\ttrial_type\n");
    for trial in 0..TRIALS {
        let kind = if trial % 4 < 2 { "visual" } else { "dark" };
        writeln!(table, "{}\t15\t{kind}", f64::from(trial) * 5.0 * TR_S).unwrap();
    }
    table
}
