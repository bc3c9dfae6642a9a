//! A small training folder with planted answers: each image's voxels are a linear image of its tokens, plus noise.

#![allow(dead_code, reason = "each test file uses its own part")]

use mindeye_trainer::Draws;
use ndarray::{Array2, Array3, Array4};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) const VOXELS: usize = 40;
pub(crate) const TOKENS: usize = 3;
pub(crate) const DIM: usize = 8;
pub(crate) const TRAIN: usize = 24;
pub(crate) const VALIDATION: usize = 8;
pub(crate) const TEST: usize = 4;

/// A model of every part in miniature.
pub(crate) const MODEL: &str = "voxels = 40\nhidden = 24\nblocks = 2\ntokens = 3\ntoken_dim = 8\nprojector_hidden = 16\n\
    prior_depth = 1\nprior_heads = 2\nprior_head_dim = 8\nlow_level_hidden = 16\nlow_level_map_channels = 6\n\
    low_level_map_side = 2\nupsampler_channels = [4, 8, 12]\nvae_channels = [4, 8]\nvae_layers_per_block = 1\nnorm_groups = 2\n";

/// The same with tokens of two by two patches and one more, as a picture encoder gives them; pictures of 16 px.
pub(crate) const PICTURE_MODEL: &str = "voxels = 40\nhidden = 24\nblocks = 2\ntokens = 5\ntoken_dim = 8\nprojector_hidden = 16\n\
    prior_depth = 1\nprior_heads = 2\nprior_head_dim = 8\nlow_level_hidden = 16\nlow_level_map_channels = 6\n\
    low_level_map_side = 2\nupsampler_channels = [4, 8, 12]\nvae_channels = [4, 8]\nvae_layers_per_block = 1\nnorm_groups = 2\n";

/// Encoder and UNet in miniature.
pub(crate) const RENDERER: &str = "unet_channels = [8, 16]\nunet_attends = [true, false]\nunet_layers_per_block = 1\n\
    unet_heads = 2\nunet_time_width = 32\nencoder_patch = 4\nencoder_width = 16\nencoder_mlp = 24\nencoder_layers = 1\n\
    encoder_heads = 2\n";

/// Replaces the model of the folder in `home` by [`PICTURE_MODEL`], its targets by ones of that shape, and adds a picture
/// for every image (a disc of some colour, place and size on a ground of another) and what a bundle needs of a scanner.
pub(crate) fn add_pictures(home: &Path, images: usize) {
    let data = home.join("data");
    fs::write(home.join("model.toml"), PICTURE_MODEL).unwrap();
    fs::write(home.join("renderer.toml"), RENDERER).unwrap();
    fs::create_dir_all(data.join("images")).unwrap();
    let mut draws = Draws::new(2, 0, "pictures");
    let targets = Array3::from_shape_simple_fn((images, 5, DIM), || draws.normal() as f32);
    ndarray_npy::write_npy(data.join("targets.npy"), &targets).unwrap();
    for image in 0..images {
        let mut colour = || [(); 3].map(|()| (255.0 * draws.uniform()) as u8);
        let (ground, disc) = (colour(), colour());
        let (x, y, radius) = (16.0 * draws.uniform(), 16.0 * draws.uniform(), 3.0 + 4.0 * draws.uniform());
        let picture = image::RgbImage::from_fn(16, 16, |px, py| {
            let inside = (f64::from(px) - x).hypot(f64::from(py) - y) < radius;
            image::Rgb(if inside { disc } else { ground })
        });
        picture.save(data.join(format!("images/image{image:03}.png"))).unwrap();
    }
    let recipe = include_str!("../../../config/preprocess/demo.toml");
    fs::write(data.join("preprocess.toml"), recipe).unwrap();
    let recipe: mindeye_config::PreprocessConfig = toml::from_str(recipe).unwrap();
    let mut facts = toml::Table::new();
    facts.insert("beta_unit".into(), "percent-signal-change".into());
    facts.insert("estimator".into(), toml::Value::try_from(recipe.estimator()).unwrap());
    fs::write(data.join("dataset.toml"), facts.to_string()).unwrap();
    let affine = [[2.0, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    let grid = mindeye_preprocess::Grid { dim: [5, 5, 2], affine };
    let mask = mindeye_preprocess::Mask::from_voxels(grid.clone(), (3..3 + VOXELS as u32).collect()).unwrap();
    mask.write(&data.join("mask.nii.gz")).unwrap();
    let kind = mindeye_preprocess::VoxelType::Int16;
    mindeye_preprocess::write_volume(&data.join("reference.nii.gz"), &grid, kind, &[1; 100]).unwrap();
}

/// A folder with [`TRAIN`] training images.
pub(crate) fn folder(home: &Path) -> PathBuf {
    folder_of(home, TRAIN)
}

/// The folder `data` with `train` training images.
pub(crate) fn folder_of(home: &Path, train: usize) -> PathBuf {
    participant(home, "data", train, VOXELS, 1)
}

/// Writes the folder `name` and the model file; images 0.. are for training, then validation, then test; two trials each.
/// Every `who` has voxels of their own that see the same images' tokens.
pub(crate) fn participant(home: &Path, name: &str, train: usize, voxel_count: usize, who: u64) -> PathBuf {
    let data = home.join(name);
    fs::create_dir_all(&data).unwrap();
    fs::write(home.join("model.toml"), MODEL).unwrap();
    fs::write(data.join("dataset.toml"), "beta_unit = \"percent-signal-change\"\n").unwrap();
    let images = train + VALIDATION + TEST;
    let mut draws = Draws::new(1, 0, "data");
    let targets = Array3::from_shape_simple_fn((images, TOKENS, DIM), || draws.normal() as f32);
    let mut draws = if who == 1 { draws } else { Draws::new(who, 0, "participant") };
    let weights = Array2::from_shape_simple_fn((TOKENS * DIM, voxel_count), || draws.normal() as f32);
    let flat = targets.to_shape((images, TOKENS * DIM)).unwrap();
    let clean = flat.dot(&weights);
    let mut table = String::from("trial\timage\tsplit\tsession\trun\n");
    let mut voxels = Array2::<f32>::zeros((2 * images, voxel_count));
    for (row, mut to) in voxels.rows_mut().into_iter().enumerate() {
        let image = row / 2;
        to.assign(&clean.row(image));
        to.mapv_inplace(|v| 5.0 + v + 0.5 * draws.normal() as f32);
        let split = if image < train {
            "train"
        } else if image < train + VALIDATION {
            "validation"
        } else {
            "test"
        };
        table.push_str(&format!("{row}\timage{image:03}\t{split}\tses-1\trun-1\n"));
    }
    fs::write(data.join("trials.tsv"), table).unwrap();
    ndarray_npy::write_npy(data.join("voxels.npy"), &voxels).unwrap();
    ndarray_npy::write_npy(data.join("targets.npy"), &targets).unwrap();
    let latents = Array4::from_shape_simple_fn((images, 4, 8, 8), || 0.2 * draws.normal() as f32);
    ndarray_npy::write_npy(data.join("latents.npy"), &latents).unwrap();
    data
}

/// Runs `mindeye-train fit` on the folder of `home` with the checkpoint in `out` and `more` flags.
pub(crate) fn fit(home: &Path, out: &str, more: &[&str]) -> Output {
    fit_command(home, out, more).output().unwrap()
}

pub(crate) fn fit_command(home: &Path, out: &str, more: &[&str]) -> Command {
    let base = ["fit", "--data", "data", "--model", "model.toml", "--out", out];
    let batch = if more.contains(&"--batch") { &[][..] } else { &["--batch", "8"] };
    command(home, &[&base, batch, more].concat())
}

/// `mindeye-train` in `home` with these arguments.
pub(crate) fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mindeye-train"));
    // One thread: tests run beside each other, and threads that wait for a core spin.
    command.current_dir(home).args(arguments).env("OMP_NUM_THREADS", "1");
    command
}

/// Runs `mindeye-train` in `home` to its good end.
pub(crate) fn runs(home: &Path, arguments: &[&str]) {
    assert_done(&command(home, arguments).output().unwrap());
}

/// The program ended well; else its standard error is the failure.
pub(crate) fn assert_done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The program ended with `status` and said all of `parts`, in one line.
pub(crate) fn assert_refused(output: &Output, status: i32, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{said}");
    let line = said.lines().last().unwrap_or_default();
    for part in parts {
        assert!(line.contains(part), "`{part}` not in: {line}");
    }
}

/// The log without its last column, which holds times.
pub(crate) fn curve(home: &Path, out: &str, part: &str) -> Vec<String> {
    let text = fs::read_to_string(home.join(out).join(format!("training/{part}/log.csv"))).unwrap_or_default();
    text.lines().filter_map(|line| Some(line.rsplit_once(',')?.0.to_owned())).collect()
}
