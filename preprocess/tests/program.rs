//! `mindeye-preprocess run`: the live stages' betas, in the files of the contract.

mod program_support;

use mindeye_config::{BetaConfig, PreprocessConfig};
use mindeye_preprocess::{Event, Mask, RawVolume, RunPreprocessor, VoxelType, ZscoreTable, read_bold};
use ndarray::Array2;
use program_support::{Room, TR_S, VOLUMES, betas, json, recipe, value, volumes};
use serde_json::Value;
use std::process::Command;
use std::sync::Arc;

/// The betas of the stages themselves, as the daemon calls them, at the lag of 7.5 s.
fn live_betas(volumes: &[Vec<u8>], mask: &Mask) -> Vec<Vec<f32>> {
    let recipe = PreprocessConfig::new(vec![7.5], BetaConfig::default());
    let table = ZscoreTable::new(vec![7.5], mask.len(), vec![0.0; mask.len()], vec![1.0; mask.len()]).unwrap();
    let mut run = RunPreprocessor::new(&recipe, Arc::new(mask.clone()), Arc::new(table), TR_S, 64).unwrap();
    for (trial, onset_s) in (0u32..).zip([6.0, 18.0, 30.0, 42.0]) {
        run.set_event(Event { trial, onset_s, duration_s: 3.0 }).unwrap();
    }
    let mut betas = Vec::new();
    for (index, bytes) in (0u32..).zip(volumes) {
        run.resample(RawVolume::new(VoxelType::Float32, 24, bytes).unwrap()).unwrap();
        run.advance(index, f64::from(index) * TR_S).unwrap();
        betas.extend(run.due_betas().unwrap().into_iter().map(|beta| beta.beta.0));
    }
    betas
}

#[test]
fn online_betas_are_those_of_the_live_stages_bit_for_bit() {
    let room = Room::new();
    let out = room.succeed(&[]);
    let mask = Mask::read(&room.path("mask.nii")).unwrap();
    let expected = live_betas(&volumes(value), &mask);
    let betas = betas(&out);
    assert_eq!(betas.dim(), (4, 20));
    for (row, expected) in betas.rows().into_iter().zip(&expected) {
        assert_eq!(row.to_vec(), *expected);
    }
}

#[test]
fn every_file_of_the_contract_is_there_and_says_what_its_numbers_are() {
    let room = Room::new();
    let out = room.succeed(&["--write-bold"]);
    let table = std::fs::read_to_string(out.join("betas.tsv")).unwrap();
    // Window 4 to 8 s after 6 s: volumes sampled at 10.5 to 13.5 s, of which those up to the due one at 13.5 s count.
    assert_eq!(
        table.lines().take(2).collect::<Vec<_>>(),
        [
            "trial\tonset_s\tfirst_volume\tlast_volume\tbeta_revision\tvolumes_used\tseconds_after_onset",
            "0\t6\t7\t8\t0\t2\t7.5"
        ]
    );
    assert_eq!(table.lines().count(), 5);
    let sidecar = json(&out.join("betas.json"));
    assert_eq!((&sidecar["unit"], &sidecar["mode"]), (&"percent-signal-change".into(), &"online".into()));
    assert_eq!((&sidecar["estimator"]["beta"], &sidecar["tr"]["source"]), (&"window".into(), &"header".into()));
    assert_eq!(sidecar["inputs"][0]["sha256"].as_str().map(str::len), Some(64));
    let confounds = std::fs::read_to_string(out.join("desc-confounds_timeseries.tsv")).unwrap();
    let mut lines = confounds.lines();
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("trans_x\ttrans_y\ttrans_z\trot_x\trot_y\trot_z\tframewise_displacement\tdvars")
    );
    assert!(lines.next().unwrap().contains("\tn/a\t"), "the first volume has no DVARS");
    assert_eq!(lines.count(), VOLUMES - 1);
    let written = read_bold(&out.join("desc-preproc_bold.nii.gz")).unwrap();
    assert_eq!((written.volumes, written.tr_s), (volumes(value), Some(TR_S)));
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    let elsewhere = report.replace("http://www.w3.org/2000/svg", "").contains("http");
    assert!(!elsewhere && report.contains("<svg") && report.contains("face against house"), "self-contained");
}

#[test]
fn offline_betas_see_the_whole_window_and_the_mean_of_the_whole_run() {
    let room = Room::new();
    let out = room.succeed(&["--mode", "offline"]);
    let betas = betas(&out);
    let sampled = |t: usize| (t as f64 + 0.5) * TR_S;
    for (trial, onset_s) in [6.0, 18.0, 30.0, 42.0].into_iter().enumerate() {
        for (column, voxel) in (2..22).enumerate() {
            let mean = |keep: &dyn Fn(usize) -> bool| {
                let kept: Vec<f64> = (0..VOLUMES).filter(|t| keep(*t)).map(|t| f64::from(value(voxel, t))).collect();
                kept.iter().sum::<f64>() / kept.len() as f64
            };
            let window = mean(&|t| (4.0..=8.0).contains(&(sampled(t) - onset_s)));
            let whole = mean(&|_| true);
            let expected = 100.0 * (window - whole) / whole;
            let found = f64::from(betas[[trial, column]]);
            // 1e-6: one rounding to f32 of percents below 10, and a mean by recurrence.
            assert!((found - expected).abs() < 1e-6, "trial {trial} voxel {voxel}: {found} {expected}");
        }
    }
}

#[test]
fn two_runs_of_the_program_write_the_same_bytes() {
    let (first, second) = (Room::new(), Room::new());
    let (a, b) = (first.succeed(&["--write-bold"]), second.succeed(&["--write-bold"]));
    let mut names: Vec<_> = std::fs::read_dir(&a).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 8, "{names:?}");
    for name in names {
        assert!(std::fs::read(a.join(&name)).unwrap() == std::fs::read(b.join(&name)).unwrap(), "{name:?}");
    }
}

#[test]
fn voxels_without_a_number_or_a_change_are_counted_and_their_betas_are_zero() {
    let room = Room::new();
    room.write_run(|voxel, volume| match voxel {
        5 if volume == 17 => f32::NAN,
        6 if volume == 3 => f32::INFINITY,
        9 => 123.0,
        _ => value(voxel, volume),
    });
    let out = room.succeed(&[]);
    let betas = betas(&out);
    assert!(betas.iter().all(|beta| beta.is_finite()));
    for (column, excluded) in [(2, false), (3, true), (4, true), (7, true), (8, false)] {
        assert_eq!(betas.column(column).iter().all(|beta| *beta == 0.0), excluded, "column {column}");
    }
    let sidecar = json(&out.join("betas.json"));
    assert_eq!(sidecar["voxels_excluded"], serde_json::json!({ "not_finite": 2, "constant": 1 }));
    assert!(sidecar["notes"].to_string().contains("3 of 20 mask voxels left out"), "{}", sidecar["notes"]);
}

#[test]
fn trials_outside_the_run_and_unfinished_ones_are_counted_and_stated() {
    let room = Room::new();
    let events = "onset\tduration\ttrial\n-15\t1\t9\n6\t3\t4\n55\t3\t5\n60\t3\t6\n500\t3\t7\n";
    std::fs::write(room.path("events.tsv"), events).unwrap();
    let output = room.run(&["--json"]);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["trials"], &summary["betas"]), (&5.into(), &1.into()), "{summary}");
    assert_eq!(summary["without_beta"], serde_json::json!([5, 6, 7, 9]));
    let told = String::from_utf8_lossy(&output.stderr);
    for part in [
        "1 of 5 trials begin before the first volume",
        "2 of 5 trials begin at or after the end of the run",
        "1 of 5 trials were not due before the run ended",
        "1 of 5 trials could not be estimated",
    ] {
        assert!(told.contains(part), "{told} should say {part}");
    }
    let reasons = json(&room.path("out").join("betas.json"))["trials_without_beta"].to_string();
    assert!(reasons.contains("due at 62.5 s, the run ends at 60 s"), "{reasons}");
}

#[test]
fn a_run_without_a_place_is_stated_and_compared_by_its_voxels() {
    let room = Room::new();
    room.patch("bold.nii", 254, &0i16.to_le_bytes());
    let output = room.run(&[]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("note: no qform or sform in the header of the run"), "{told}");
}

#[test]
fn the_flag_beats_the_recipe_beats_the_sidecar_and_both_others_are_named() {
    let room = Room::new();
    std::fs::write(room.path("bold.json"), "{\"RepetitionTime\": 2.0}").unwrap();
    std::fs::write(room.path("recipe.toml"), recipe("tr_s = 1.6", "")).unwrap();
    let output = room.run(&["--config", "recipe.toml", "--tr-s", "1.5", "--json"]);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["tr_s"], 1.5);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("TR 1.5 s by the configuration; the sidecar says 2 s"), "{told}");
}

/// Betas are 100 / mean times the bump of 1 + voxel, up for trials 0 and 2 and down for trial 1: a truth of +1, −1, +1 is met.
#[test]
fn accuracy_against_lag_is_told_where_the_truth_is_given() {
    let room = Room::new();
    let shown: [f32; 4] = [1.0, -1.0, 1.0, 0.0];
    let truth = Array2::from_shape_fn((4, 20), |(trial, voxel)| shown[trial] * (1.0 + voxel as f32));
    ndarray_npy::write_npy(room.path("truth.npy"), &truth).unwrap();
    std::fs::write(room.path("lags.toml"), recipe("", "").replace("[7.5]", "[6.0, 7.5]")).unwrap();
    let out = room.succeed(&["--config", "lags.toml", "--truth", "truth.npy"]);
    let told = json(&out.join("betas.json"))["accuracy_against_truth"].clone();
    let lags: Vec<&Value> = told.as_array().unwrap().iter().map(|row| &row["lag_s"]).collect();
    // A window knows no whole run: its ring has forgotten the first volumes by then.
    assert_eq!(lags, [6.0, 7.5], "{told}");
    for row in told.as_array().unwrap() {
        assert_eq!((&row["trials"], &row["voxels"]), (&4.into(), &20.into()), "{row}");
        // 0.8: the bump of the lowest voxels is no larger than their slow wave.
        assert!(row["r"].as_f64().unwrap() > 0.8, "{row}");
    }
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(report.contains("How near the truth, and how soon?"));
}

/// What the filters of a recipe do is in the betas, in the written run and in the report's words.
#[test]
fn filters_of_the_recipe_are_applied_and_told() {
    let room = Room::new();
    let tail = "[smoothing]\nfwhm_mm = 5.0\n[averaging]\nvolumes = 2\n[slice_timing]\nkind = \"linear\"\n";
    std::fs::write(room.path("r.toml"), recipe("slice_reference = 0.0", tail)).unwrap();
    std::fs::write(room.path("bold.json"), "{\"SliceTiming\": [0, 0.75], \"RepetitionTime\": 1.5}").unwrap();
    let out = room.succeed(&["--config", "r.toml", "--write-bold"]);
    assert_eq!(json(&out.join("betas.json"))["estimator"]["smoothing_fwhm_mm"], 5.0);
    let written = read_bold(&out.join("desc-preproc_bold.nii.gz")).unwrap();
    let first = mindeye_preprocess::offline::volume_values(written.dtype, &written.volumes[0]);
    assert_eq!((first[0], first[23]), (0.0, 0.0), "outside the mask");
    // Neighbours differ by 10 of 500 to 740 in the run; smoothed by 5 mm they differ by less.
    assert!((first[6] - value(6, 0)).abs() > 1.0, "{} against {}", first[6], value(6, 0));
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    let words = "slices brought to the volume&#39;s start, smoothed inside the mask by 5 mm, averaged over the last 2";
    assert!(report.replace('\'', "&#39;").contains(words), "the report names them in order");
}

#[test]
fn help_and_version_end_well() {
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_mindeye-preprocess")).args(arguments).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{arguments:?}");
    }
}
