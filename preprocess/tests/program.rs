//! `mindeye-preprocess run`: the live stages' betas in files, and one clear line for every kind of bad input.

use mindeye_config::{BetaConfig, PreprocessConfig};
use mindeye_preprocess::{
    Event, Grid, Mask, RawVolume, RunPreprocessor, VoxelType, ZscoreTable, read_bold, write_bold, write_volume,
};
use ndarray::Array2;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

const TR_S: f64 = 1.5;
const VOLUMES: usize = 40;
const EVENTS: &str = "onset\tduration\ttrial_type\n6\t3\tface\n18\t3\thouse\n25\t1\trest\n30\t3\tface\n42\t3\thouse\n";

/// A folder with a run of 4 x 3 x 2 voxels, a mask of 20 of them, and events.
struct Room {
    folder: tempfile::TempDir,
}

fn grid() -> Grid {
    let affine = [[3., 0., 0., -6.], [0., 3., 0., -4.], [0., 0., 3., 2.], [0., 0., 0., 1.]];
    Grid { dim: [4, 3, 2], affine }
}

/// Voxel v of volume t: a level, a slow wave and a voxel-specific bump after each onset.
fn value(voxel: usize, volume: usize) -> f32 {
    let seconds = volume as f32 * TR_S as f32;
    let bump = |onset: f32| if (4.0..9.0).contains(&(seconds - onset)) { 1.0 + voxel as f32 } else { 0.0 };
    500.0 + 10.0 * voxel as f32 + (0.3 * seconds + voxel as f32).sin() + bump(6.0) + bump(30.0) - bump(18.0)
}

fn volumes(value: impl Fn(usize, usize) -> f32) -> Vec<Vec<u8>> {
    let volume = |t: usize| (0..24).flat_map(|v| value(v, t).to_le_bytes()).collect();
    (0..VOLUMES).map(volume).collect()
}

impl Room {
    fn new() -> Self {
        let room = Self { folder: tempfile::tempdir().unwrap() };
        room.write_run(value);
        Mask::from_voxels(grid(), (2..22).collect()).unwrap().write(&room.path("mask.nii")).unwrap();
        std::fs::write(room.path("events.tsv"), EVENTS).unwrap();
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_run(&self, value: impl Fn(usize, usize) -> f32) {
        write_bold(&self.path("bold.nii"), &grid(), TR_S, VoxelType::Float32, &volumes(value)).unwrap();
    }

    /// Overwrites bytes of a file.
    fn patch(&self, name: &str, at: usize, bytes: &[u8]) {
        let mut content = std::fs::read(self.path(name)).unwrap();
        content[at..at + bytes.len()].copy_from_slice(bytes);
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Runs the program into `out`, or where `more` says.
    fn run(&self, more: &[&str]) -> Output {
        let files = ["--bold", "bold.nii", "--events", "events.tsv", "--mask", "mask.nii"];
        let out: &[&str] = if more.contains(&"--out") { &[] } else { &["--out", "out"] };
        let mut program = Command::new(env!("CARGO_BIN_EXE_mindeye-preprocess"));
        program.current_dir(self.folder.path()).arg("run").args(files).args(out).args(more).output().unwrap()
    }

    fn succeed(&self, more: &[&str]) -> PathBuf {
        let output = self.run(more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.path("out")
    }
}

fn betas(out: &Path) -> Array2<f32> {
    ndarray_npy::read_npy(out.join("betas.npy")).unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

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

fn recipe(head: &str, tail: &str) -> String {
    format!("{head}\nrevision_lags_s = [7.5]\n[beta]\nkind = \"window\"\n[zscore]\npolicy = \"frozen-per-lag\"\n{tail}")
}

/// What is wrong with the room, the flags, the status and the words.
type BadInput<'a> = (&'a str, &'a dyn Fn(&Room), &'a [&'a str], i32, &'a str);

#[test]
fn every_bad_input_has_its_status_one_line_and_leaves_nothing_behind() {
    let write = |room: &Room, name: &str, text: &str| std::fs::write(room.path(name), text).unwrap();
    let other_grid = |dim: [usize; 3], shift_mm: f64| {
        let mut grid = Grid { dim, ..grid() };
        grid.affine[0][3] += shift_mm;
        Mask::from_voxels(grid, vec![1, 2, 3]).unwrap()
    };
    let cases: &[BadInput<'_>] = &[
        ("no verb's flag", &|_| (), &["--mode", "sideways"], 64, "sideways"),
        ("output exists", &|room| std::fs::create_dir(room.path("out")).unwrap(), &[], 64, "--out out: exists already"),
        ("no such folder", &|_| (), &["--out", "no/where"], 64, "--out no/where: no such folder as no"),
        ("missing reference", &|_| (), &["--reference", "r.nii"], 64, "--reference r.nii: no such file"),
        ("missing recipe", &|_| (), &["--config", "r.toml"], 64, "--config r.toml: no such file"),
        (
            "unknown key",
            &|room| write(room, "r.toml", &recipe("smooth = 1", "")),
            &["--config", "r.toml"],
            64,
            "smooth",
        ),
        ("TR of a flag", &|_| (), &["--tr-s", "0"], 64, "--tr-s: must be seconds above 0, found 0"),
        ("TR in ms by flag", &|_| (), &["--tr-s", "1500"], 64, "a TR of 1500 s by the configuration"),
        (
            "offline has no time",
            &|_| (),
            &["--mode", "offline", "--decode-after-s", "6"],
            64,
            "--decode-after-s: 6 s is",
        ),
        (
            "decoded too early",
            &|_| (),
            &["--decode-after-s", "6"],
            64,
            "--decode-after-s: 6 s, but the recipe's first beta comes 7.5 s",
        ),
        (
            "motion in two slices",
            &|room| write(room, "r.toml", &glm_with_motion("first-volume")),
            &["--config", "r.toml"],
            65,
            "the run has 4 voxels along x; motion correction needs 8 or more: switch it off",
        ),
        (
            "confounds without motion",
            &|room| write(room, "r.toml", &glm_with_motion("first-volume").replace("rigid", "none")),
            &["--config", "r.toml"],
            64,
            "key `confounds.kind`: \"motion6\" needs motion.kind = \"rigid\"",
        ),
        (
            "no session to compare with",
            &|room| write(room, "r.toml", &glm_with_motion("session")),
            &["--config", "r.toml"],
            64,
            "--reference: the recipe's motion.against = \"session\" compares volumes with one",
        ),
        ("no header", &|room| write(room, "bold.nii", "short"), &[], 65, "bold.nii: a NIfTI-1 header has 348 bytes"),
        ("not NIfTI-1", &|room| room.patch("bold.nii", 0, &540i32.to_le_bytes()), &[], 65, "bold.nii: "),
        (
            "truncated",
            &|room| {
                let bytes = std::fs::read(room.path("bold.nii")).unwrap();
                std::fs::write(room.path("bold.nii"), &bytes[..bytes.len() - 7]).unwrap();
            },
            &[],
            65,
            "bold.nii: volume 39 of 40 has 96 bytes, the file ends after 89 of them",
        ),
        (
            "truncated gzip",
            &|room| {
                let whole = std::fs::read(room.path("bold.nii")).unwrap();
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                std::io::Write::write_all(&mut gzip, &whole).unwrap();
                let bytes = gzip.finish().unwrap();
                std::fs::write(room.path("bold.nii"), &bytes[..bytes.len() / 2]).unwrap();
            },
            &[],
            65,
            "of 40 has 96 bytes, the file ends after",
        ),
        (
            "too few volumes for the design",
            &|room| {
                let nine = &volumes(value)[..9];
                write_bold(&room.path("bold.nii"), &grid(), TR_S, VoxelType::Float32, nine).unwrap();
                write(room, "events.tsv", "onset\tduration\n0\t1\n1\t1\n2\t1\n3\t1\n4\t1\n");
                write(room, "r.toml", &glm("glover"));
            },
            &["--config", "r.toml"],
            65,
            "no beta for any of 5 trials in 9 volumes of 1.5 s; trial 0 at 0 s: too few volumes for the design",
        ),
        (
            "library without an index",
            &|room| write(room, "r.toml", &glm("library")),
            &["--config", "r.toml"],
            64,
            "--hrf-index: the recipe's hrf.kind = \"library\" needs one",
        ),
        (
            "index without a library",
            &|room| write(room, "r.toml", &glm("glover")),
            &["--config", "r.toml", "--hrf-index", "mask.nii"],
            64,
            "--hrf-index: is for hrf.kind = \"library\"",
        ),
        (
            "index of another library",
            &|room| {
                write(room, "r.toml", &glm("library"));
                let bytes = [20f32; 24].map(f32::to_le_bytes).concat();
                write_volume(&room.path("index.nii"), &grid(), VoxelType::Float32, &bytes).unwrap();
            },
            &["--config", "r.toml", "--hrf-index", "index.nii"],
            65,
            "index.nii: voxel 2 is 20; the library has members 0 to 19",
        ),
        (
            "no slice times",
            &|room| write(room, "r.toml", &sliced()),
            &["--config", "r.toml"],
            65,
            "needs the acquisition time of every slice, and the run has none",
        ),
        (
            "slice times in ms",
            &|room| {
                write(room, "r.toml", &sliced());
                write(room, "bold.json", "{\"SliceTiming\": [0, 750]}");
            },
            &["--config", "r.toml"],
            65,
            "slice times: 750 s lies outside a TR of 1.5 s",
        ),
        (
            "mask with NaN",
            &|room| {
                let bytes = [f32::NAN; 24].map(f32::to_le_bytes).concat();
                write_volume(&room.path("mask.nii"), &grid(), VoxelType::Float32, &bytes).unwrap();
            },
            &[],
            65,
            "mask.nii: voxel 0 (linear index, x fastest) is NaN",
        ),
        ("no voxel sizes", &|room| patch_sizes(room), &[], 65, "voxel sizes (pixdim) must be positive"),
        ("one volume", &|room| one_volume(room), &[], 65, "bold.nii: a run has at least 8 volumes, found 1"),
        (
            "sidecar contradicts",
            &|room| write(room, "bold.json", "{\"RepetitionTime\": 2.0}"),
            &[],
            65,
            "the header gives a TR of 1.5 s, the sidecar bold.json gives 2 s; set tr_s",
        ),
        ("sidecar in ms", &|room| write(room, "bold.json", "{\"RepetitionTime\": 1500}"), &[], 65, "gives 1500 s"),
        ("sidecar no JSON", &|room| write(room, "bold.json", "TR: 2"), &[], 65, "bold.json: "),
        ("header in ms", &|room| room.patch("bold.nii", 92, &1500f32.to_le_bytes()), &[], 65, "is it in another unit?"),
        ("header without unit", &|room| room.patch("bold.nii", 123, &[2]), &[], 65, "a TR of 1.5 without a unit"),
        (
            "empty mask",
            &|room| {
                let zeros = vec![0; 24 * 4];
                write_volume(&room.path("mask.nii"), &grid(), VoxelType::Float32, &zeros).unwrap();
            },
            &[],
            65,
            "mask.nii: mask: no voxel of 24 is selected",
        ),
        (
            "mask of another size",
            &|room| other_grid([4, 3, 3], 0.0).write(&room.path("mask.nii")).unwrap(),
            &[],
            65,
            "mask.nii and bold.nii are on different grids: [4, 3, 3] against [4, 3, 2] voxels",
        ),
        (
            "mask elsewhere",
            &|room| other_grid([4, 3, 2], 1.5).write(&room.path("mask.nii")).unwrap(),
            &[],
            65,
            "a corner lies 1.50 mm apart, 1 mm are allowed",
        ),
        (
            "reference elsewhere",
            &|room| write_volume(&room.path("r.nii"), &small_grid(), VoxelType::Float32, &[0; 8]).unwrap(),
            &["--reference", "r.nii"],
            65,
            "r.nii and mask.nii are on different grids",
        ),
        ("all NaN", &|room| room.write_run(|_, _| f32::NAN), &[], 65, "20 are not finite, 0 never change"),
        ("all constant", &|room| room.write_run(|_, _| 7.0), &[], 65, "0 are not finite, 20 never change"),
        ("events no table", &|room| write(room, "events.tsv", ""), &[], 65, "events.tsv: line 1: a table starts"),
        ("no duration", &|room| write(room, "events.tsv", "onset\n3\n"), &[], 65, "line 2: column `duration`"),
        ("no trial", &|room| write(room, "events.tsv", "onset\tduration\n"), &[], 65, "the events table has no trial"),
        (
            "all outside",
            &|room| write(room, "events.tsv", "onset\tduration\n900\t1\n"),
            &[],
            65,
            "no beta for any of 1 trials in 40 volumes of 1.5 s; trial 0 at 900 s: outside the run, which ends at 60 s",
        ),
    ];
    for (name, spoil, flags, status, part) in cases {
        let room = Room::new();
        spoil(&room);
        let before = listing(&room);
        let output = room.run(flags);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*status), "{name}: {message}");
        assert!(message.contains(part), "{name}: {message} should say {part}");
        let errors = message.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "{name}: {message}");
        assert_eq!(listing(&room), before, "{name}");
    }
}

fn small_grid() -> Grid {
    Grid { dim: [2, 1, 1], ..grid() }
}

/// Least squares of all trials, with a drift that takes a column per 2.5 s.
fn glm(hrf: &str) -> String {
    let beta =
        "[beta]\nkind = \"lsa\"\n[drift]\nkind = \"cosine\"\ncutoff_hz = 0.2\n[zscore]\npolicy = \"frozen-per-lag\"\n";
    format!("revision_lags_s = [7.5]\n{beta}[hrf]\nkind = \"{hrf}\"\n")
}

fn sliced() -> String {
    recipe("slice_reference = 0.0", "[slice_timing]\nkind = \"linear\"\n")
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

fn glm_with_motion(against: &str) -> String {
    "revision_lags_s = [7.5]\n[beta]\nkind = \"lsa\"\n[hrf]\nkind = \"glover\"\n[confounds]\nkind = \"motion6\"\n\
     [motion]\nkind = \"rigid\"\nagainst = \"AGAINST\"\n[zscore]\npolicy = \"frozen-per-lag\"\n"
        .replace("AGAINST", against)
}

/// No sform, no qform, and a voxel of width 0.
fn patch_sizes(room: &Room) {
    room.patch("bold.nii", 254, &0i16.to_le_bytes());
    room.patch("bold.nii", 80, &0f32.to_le_bytes());
}

fn one_volume(room: &Room) {
    let one = &volumes(value)[..1];
    write_bold(&room.path("bold.nii"), &grid(), TR_S, VoxelType::Float32, one).unwrap();
}

fn listing(room: &Room) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> =
        std::fs::read_dir(room.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// The folder of shared recordings, or why a test cannot use it.
fn recordings() -> Result<PathBuf, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("MINDEYE_SHARED_DATA").map_or(here, PathBuf::from).join("fsl_feeds_fmri");
    if folder.is_dir() { Ok(folder) } else { Err(format!("no {}", folder.display())) }
}

/// Voxels whose mean is at least a quarter of the brightest: the head.
fn head_mask(bold: &mindeye_preprocess::Bold) -> Mask {
    let mut mean = vec![0.0f64; bold.grid.voxel_count()];
    for bytes in &bold.volumes {
        let values = mindeye_preprocess::offline::volume_values(bold.dtype, bytes);
        mean.iter_mut().zip(values).for_each(|(mean, value)| *mean += f64::from(value));
    }
    let least = 0.25 * mean.iter().copied().fold(0.0, f64::max);
    let inside = (0u32..).zip(&mean).filter(|(_, mean)| **mean > least).map(|(voxel, _)| voxel);
    Mask::from_voxels(bold.grid.clone(), inside.collect()).unwrap()
}

#[test]
fn sound_is_heard_in_temporal_and_light_seen_in_occipital_cortex() {
    let folder = match recordings() {
        Ok(folder) => folder,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let room = Room::new();
    let bold = folder.join("filtered_func_data.nii.gz");
    let mask = head_mask(&read_bold(&bold).unwrap());
    mask.write(&room.path("head.nii")).unwrap();
    // Light 30 s on and off, sound 45 s on and off, both on first; in epochs of 15 s.
    let epochs = "onset\tduration\ttrial_type\n0\t15\tboth\n15\t15\tboth\n30\t15\tsound\n60\t15\tlight\n\
                  75\t15\tlight\n90\t15\tsound\n105\t15\tsound\n120\t15\tboth\n135\t15\tlight\n180\t12\tboth\n";
    std::fs::write(room.path("epochs.tsv"), epochs).unwrap();
    let lsa = "revision_lags_s = [7.5]\n[beta]\nkind = \"lsa\"\n[hrf]\nkind = \"glover\"\n\
               [zscore]\npolicy = \"frozen-per-lag\"\n";
    std::fs::write(room.path("lsa.toml"), lsa).unwrap();
    let bold = bold.to_str().unwrap();
    let files = ["run", "--bold", bold, "--events", "epochs.tsv", "--mask", "head.nii", "--config", "lsa.toml"];
    let flags = ["--tr-s", "3", "--mode", "offline", "--out", "out"];
    let mut program = Command::new(env!("CARGO_BIN_EXE_mindeye-preprocess"));
    let output = program.current_dir(room.folder.path()).args(files).args(flags).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let betas = betas(&room.path("out"));
    // Rows of epochs.tsv without rest: 0, 1, 7 and 9 have both.
    let (sound, light) = ([2, 5, 6], [3, 4, 8]);
    let mean = |trials: &[usize], column: usize| {
        trials.iter().map(|trial| betas[[*trial, column]]).sum::<f32>() / trials.len() as f32
    };
    // How many of the 40 voxels that differ most lie where they should.
    let strongest = |more: &[usize], less: &[usize], inside: &dyn Fn([u32; 3]) -> bool| {
        let mut order: Vec<usize> = (0..mask.len()).collect();
        let effect = |column: &usize| mean(more, *column) - mean(less, *column);
        order.sort_by(|a, b| effect(b).total_cmp(&effect(a)));
        let places = order[..40].iter().map(|column| mask.voxels()[*column]).map(|v| [v % 64, v / 64 % 64, v / 4096]);
        places.filter(|place| inside(*place)).count()
    };
    // The head spans i 15 to 48, j 8 to 53 (front), of 21 slices: the hindmost quarter, and the sides of the middle.
    let occipital = |[_, j, k]: [u32; 3]| j < 20 && (3..14).contains(&k);
    let temporal = |[i, j, k]: [u32; 3]| !(23..41).contains(&i) && (20..42).contains(&j) && (4..14).contains(&k);
    for (name, more, less, place) in
        [("light", &light, &sound, &occipital as &dyn Fn([u32; 3]) -> bool), ("sound", &sound, &light, &temporal)]
    {
        let inside = strongest(more, less, place);
        // 20: half of them, where by chance 7 would be (each region is a sixth of the head).
        assert!(inside >= 20, "{name}: {inside} of the 40 strongest voxels");
    }
}

#[test]
fn help_and_version_end_well() {
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_mindeye-preprocess")).args(arguments).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty(), "{arguments:?}");
    }
}
