//! `mindeye-preprocess run` on bad input: a status, one clear line, and nothing left behind.

mod program_support;

use mindeye_preprocess::{Grid, Mask, VoxelType, write_bold, write_volume};
use program_support::{Room, TR_S, grid, recipe, value, volumes};

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
            "truth of another run",
            &|room| ndarray_npy::write_npy(room.path("t.npy"), &ndarray::Array2::<f32>::zeros((3, 20))).unwrap(),
            &["--truth", "t.npy"],
            65,
            "--truth t.npy: holds [3, 20] numbers, the events and the mask have [4, 20]",
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
