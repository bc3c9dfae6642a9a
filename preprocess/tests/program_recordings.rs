//! `mindeye-preprocess run` on a real recording: activation lies where light and sound are processed.

mod program_support;

use mindeye_preprocess::{Mask, read_bold};
use program_support::{Room, betas};
use std::path::{Path, PathBuf};
use std::process::Command;

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
