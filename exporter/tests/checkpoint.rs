//! A checkpoint, with a renderer and without, becomes a bundle whose every graph was held to a golden case.

mod common;

use common::{
    Raw, array, miniature, miniature_mindeye2, miniature_sizes, miniature_unet, onnx_runtime, read_tensors,
    write_tensors,
};
use mindeye_config::{BundleManifest, Exit, ManualClock, Origin, Precision, SchedulerConfig, TokenScale};
use mindeye_decode::{Bundle, Decoder};
use mindeye_exporter::ExportError;
use mindeye_exporter::bundle::{FromCheckpoint, checkpoint_bundle, golden_case};
use mindeye_exporter::gallery::{Item, write_coarse, write_gallery};
use mindeye_exporter::inspect::inspect;
use mindeye_exporter::networks::{Dialect, Half, KlEncoder, Network, Prior, Taesd, Unet, VaeEncoder};
use mindeye_exporter::random_init::random_weights;
use mindeye_exporter::weights::{Layout, StateDict};
use mindeye_preprocess::{Grid, Mask, VoxelType, ZscoreTable, write_volume};
use std::path::{Path, PathBuf};

/// Voxels of the miniature model.
const VOXELS: u32 = 23;
const SEED: u64 = 3;

fn grid() -> Grid {
    let affine = [[2.0, 0.0, 0.0, -5.0], [0.0, 2.0, 0.0, -5.0], [0.0, 0.0, 2.0, -5.0], [0.0, 0.0, 0.0, 1.0]];
    Grid { dim: [5, 5, 5], affine }
}

/// A home with `checkpoint/`, `renderer/` and `gallery/`.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        home.write_checkpoint();
        home.write_renderer();
        home.write_gallery();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_checkpoint(&self) {
        let folder = self.path("checkpoint");
        std::fs::create_dir(&folder).unwrap();
        let sizes = miniature_sizes();
        let mut model = sizes.backbone.layout();
        model.tensors.extend(sizes.prior.layout().tensors);
        write_weights(&folder.join("model.safetensors"), &model);
        write_weights(&folder.join("low_level.safetensors"), &sizes.low_level.layout());
        std::fs::write(folder.join("model.toml"), toml::to_string(&miniature()).unwrap()).unwrap();
        let recipe = include_str!("../../config/preprocess/demo.toml");
        std::fs::write(folder.join("preprocess.toml"), recipe).unwrap();

        let mask = Mask::from_voxels(grid(), (10..10 + VOXELS).collect()).unwrap();
        mask.write(&folder.join("mask.nii.gz")).unwrap();
        write_volume(&folder.join("reference.nii.gz"), &grid(), VoxelType::Int16, &[1; 250]).unwrap();
        let n = VOXELS as usize;
        let table = ZscoreTable::new(vec![7.5], n, vec![0.5; n], vec![2.0; n]).unwrap();
        table.write(&folder.join("zscore.safetensors")).unwrap();
        self.write_golden(0.0);
    }

    /// The trainer's answers for the backbone, all of them off by `error`.
    fn write_golden(&self, error: f32) {
        let backbone = miniature_sizes().backbone;
        let case = golden_case(&backbone, &StateDict::random(&backbone.layout(), SEED), 1, 77);
        let off = |name: &str| if name.ends_with("voxels") { 0.0 } else { error };
        let tensors: Vec<Raw> = case
            .tensors
            .into_iter()
            .map(|(name, shape, values)| {
                let bytes = values.iter().flat_map(|v| (v + off(&name)).to_le_bytes()).collect();
                Raw { dtype: safetensors::Dtype::F32, name, shape, bytes }
            })
            .collect();
        write_tensors(&self.path("checkpoint/golden.safetensors"), &tensors);
    }

    fn write_renderer(&self) {
        let sizes = miniature_sizes();
        let unet = Unet { latent_side: 12, tokens: 3, token_dim: 10, ..miniature_unet() };
        let encoder = KlEncoder {
            prefix: "encoder.".into(),
            input: 3,
            stages: vec![4, 8, 12],
            resnets: 1,
            output: 8,
            norm_groups: 2,
        };
        let encoder = VaeEncoder { moments: 8, latent_side: 12, encoder };
        let mut vae = sizes.vae_decoder.layout();
        vae.tensors.extend(encoder.layout().tensors);
        let taesd = |half, stages| Taesd { channels: 5, stages, ..Taesd::published(half) };
        let mut tiny = taesd(Half::Decoder, vec![1, 1, 1]).layout();
        tiny.tensors.extend(taesd(Half::Encoder, vec![1, 1, 1]).layout().tensors);
        let unet_config = r#"{"_class_name": "UNet2DConditionModel", "norm_num_groups": 2, "sample_size": 12,
                              "attention_head_dim": 2}"#;
        // The VAE was made for another side than the UNet's latent: the UNet decides.
        let vae_config = r#"{"_class_name": "AutoencoderKL", "norm_num_groups": 2, "sample_size": 64,
                             "scaling_factor": 0.2}"#;
        let parts = [("unet", unet.layout(), unet_config), ("vae", vae, vae_config), ("taesd", tiny, "{}")];
        for (name, layout, config) in parts {
            let folder = self.path("renderer").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            write_weights(&folder.join("diffusion_pytorch_model.safetensors"), &layout);
            std::fs::write(folder.join("config.json"), config).unwrap();
        }
    }

    fn write_gallery(&self) {
        let folder = self.path("gallery");
        std::fs::create_dir(&folder).unwrap();
        let item = |id: &str| Item {
            id: id.into(),
            file: format!("{id}.png"),
            source: "test".into(),
            thumb: image::RgbImage::new(4, 4),
        };
        let vectors: Vec<f32> = (0..60_u8).map(|i| f32::from(i % 7) - 3.0).collect();
        write_gallery(&folder, &[item("one"), item("two")], &vectors).unwrap();
        let manifest = "format = \"mindeye-gallery/1\"\nencoder = \"clip.onnx\"\nencoder_sha256 = \"abc\"\n";
        std::fs::write(folder.join("manifest.toml"), manifest).unwrap();
    }

    fn bundle(&self, renderer: bool, gallery: bool) -> Result<BundleManifest, ExportError> {
        let (checkpoint, drawn, pictures) = (self.path("checkpoint"), self.path("renderer"), self.path("gallery"));
        let from = FromCheckpoint {
            checkpoint: &checkpoint,
            renderer: renderer.then_some(drawn.as_path()),
            gallery: gallery.then_some(pictures.as_path()),
            precision: Precision::Fp32,
            dialect: Dialect::Portable,
            subject: None,
        };
        checkpoint_bundle(&from, &self.path("bundle"), &mut |_| {})
    }

    /// The message of a bundle that must not come about, with nothing left behind.
    fn refusal(&self) -> String {
        let error = self.bundle(true, true).unwrap_err();
        assert_eq!(error.exit(), Exit::Data, "{error}");
        assert_eq!(std::fs::read_dir(self.folder.path()).unwrap().count(), 3, "{error}");
        error.to_string()
    }
}

fn write_weights(path: &Path, layout: &Layout) {
    std::fs::write(path, random_weights(layout, SEED)).unwrap();
}

#[test]
fn without_a_renderer_a_bundle_serves_retrieval_and_the_daemon_can_check_it() {
    let Some(engine) = onnx_runtime() else { return };
    let home = Home::new();
    let manifest = home.bundle(false, true).unwrap();
    assert_eq!(manifest.origin, Origin::Checkpoint);
    assert_eq!(manifest.network.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["backbone"]);
    assert!(manifest.note.contains("retrieval and scores only"), "{}", manifest.note);
    assert!(manifest.note.contains("backbone the trainer's"), "{}", manifest.note);
    assert_eq!(manifest.gallery.as_ref().unwrap().vectors_from, "clip.onnx (sha256 abc)");

    let bundle = Bundle::open(&home.path("bundle")).unwrap();
    bundle.check_estimator().unwrap();
    let (decoder, report) = Decoder::warm_up(&bundle, engine, ManualClock::new()).unwrap();
    assert!(report.parity_checked(), "{report}");
    assert!(decoder.products().retrieval && !decoder.products().blurry);
}

#[test]
fn the_prior_s_tokens_have_the_scale_in_which_their_model_was_trained() {
    if onnx_runtime().is_none() {
        return;
    }
    let home = Home::new();
    let scale = || -> TokenScale {
        let _ = std::fs::remove_dir_all(home.path("bundle"));
        home.bundle(false, false).unwrap();
        let scheduler: SchedulerConfig = mindeye_config::load(&home.path("bundle/scheduler.toml")).unwrap();
        scheduler.prior.token_scale
    };
    assert_eq!(scale(), TokenScale::SqrtWidth);
    let mut mindeye2 = miniature_mindeye2().layout();
    let prior = Prior { prefix: "diffusion_prior.net.", rotary: 3, ..Prior::with(4, 10, 1, 2, 8) };
    mindeye2.tensors.extend(prior.layout().tensors);
    write_weights(&home.path("checkpoint/model.safetensors"), &mindeye2);
    std::fs::remove_file(home.path("checkpoint/golden.safetensors")).unwrap();
    assert_eq!(scale(), TokenScale::One);
}

#[test]
fn with_a_renderer_every_network_is_there_and_its_golden_case_too() {
    if onnx_runtime().is_none() {
        return;
    }
    let home = Home::new();
    std::fs::write(home.path("checkpoint/calibration.toml"), "carried = true\n").unwrap();
    // Two pictures span one direction around their mean, whatever is asked for.
    assert_eq!(write_coarse(&home.path("gallery"), 2).unwrap(), 1);
    let manifest = home.bundle(true, true).unwrap();
    assert_eq!(manifest.gallery.as_ref().unwrap().coarse, Some(1));
    assert!(home.path("bundle/gallery/coarse.safetensors").exists());
    assert!(home.path("bundle/calibration.toml").exists());
    std::fs::remove_file(home.path("bundle/calibration.toml")).unwrap();
    assert!(inspect(&home.path("bundle"), None).unwrap_err().to_string().ends_with("holds no `calibration.toml`"));
    std::fs::copy(home.path("checkpoint/calibration.toml"), home.path("bundle/calibration.toml")).unwrap();
    let names: Vec<&str> = manifest.network.iter().map(|network| network.name.as_str()).collect();
    let expected = ["backbone", "prior", "low-level", "unet", "step", "vae-decoder", "vae-encoder", "taesd-decoder"];
    assert_eq!(names[..8], expected);
    assert_eq!(names[8..], ["taesd-encoder", "prior-step", "branches"]);
    assert_eq!(manifest.dimensions.latent, [4, 12, 12]);
    assert_eq!(manifest.dimensions.picture, [48, 48]);
    assert_eq!(manifest.dimensions.latent_scale, 0.2);
    assert_eq!(manifest.network("unet").unwrap().inputs[0].shape, [2, 4, 12, 12]);
    assert!(manifest.note.contains("the plain f64 reference's"), "{}", manifest.note);
    // The trainer's golden case was carried, not made anew.
    let golden = read_tensors(&home.path("bundle/golden.safetensors"));
    let carried = read_tensors(&home.path("checkpoint/golden.safetensors"));
    for tensor in &carried {
        let found = golden.iter().find(|t| t.name == tensor.name).unwrap();
        assert_eq!(array(found), array(tensor));
    }
    inspect(&home.path("bundle"), None).unwrap();
    if mindeye_decode::Network::named("unet").is_some() {
        std::fs::remove_dir_all(home.path("bundle")).unwrap();
        std::fs::remove_file(home.path("checkpoint/calibration.toml")).unwrap();
        home.bundle(true, true).unwrap();
        Bundle::open(&home.path("bundle")).unwrap();
    } else {
        eprintln!("skipped: this decoder refuses bundles that hold a UNet");
    }
}

#[test]
fn parts_that_do_not_belong_together_are_refused_by_name_with_both_sides() {
    if onnx_runtime().is_none() {
        return;
    }
    type Spoil = fn(&Home);
    let cases: [(Spoil, &[&str]); 10] = [
        (|home| home.write_golden(0.01), &["golden case", "`backbone/backbone_tokens` has", "allowed 1.0e-4"]),
        (
            |home| {
                let mask = Mask::from_voxels(grid(), vec![1, 2, 3]).unwrap();
                mask.write(&home.path("checkpoint/mask.nii.gz")).unwrap();
            },
            &["zscore.safetensors: number of voxels is 23", "mask.nii.gz says 3"],
        ),
        (
            |home| {
                std::fs::remove_file(home.path("checkpoint/zscore.safetensors")).unwrap();
                let mask = Mask::from_voxels(grid(), vec![1, 2, 3]).unwrap();
                mask.write(&home.path("checkpoint/mask.nii.gz")).unwrap();
            },
            &["model.safetensors: number of voxels is 23", "mask.nii.gz says 3"],
        ),
        (
            |home| {
                let shifted = Grid { dim: [5, 5, 5], affine: [[9.0; 4]; 4] };
                let affine = [[3.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
                let shifted = Grid { affine, ..shifted };
                let path = home.path("checkpoint/reference.nii.gz");
                write_volume(&path, &shifted, VoxelType::Int16, &[1; 250]).unwrap();
            },
            &["reference.nii.gz: affine is", "mask.nii.gz says"],
        ),
        (
            |home| std::fs::remove_file(home.path("checkpoint/preprocess.toml")).unwrap(),
            &["checkpoint: holds no `preprocess.toml`"],
        ),
        (
            |home| {
                let path = home.path("renderer/unet/config.json");
                let text = std::fs::read_to_string(&path).unwrap().replace("12", "8");
                std::fs::write(path, text).unwrap();
            },
            &["`sample` of unet is [4, 8, 8]", "`latent` of low-level says [4, 12, 12]"],
        ),
        (
            |home| {
                let (old, new) = (home.path("renderer/vae/diffusion_pytorch_model.safetensors"), "model.bin");
                std::fs::rename(&old, old.with_file_name(new)).unwrap();
            },
            &["model.bin: a pickle runs code"],
        ),
        (
            |home| std::fs::remove_file(home.path("gallery/thumbs/two.png")).unwrap(),
            &["gallery/thumbs: holds no `two.png`"],
        ),
        (
            |home| {
                let path = home.path("gallery/index.tsv");
                let text = std::fs::read_to_string(&path).unwrap();
                std::fs::write(path, text.lines().take(2).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
            },
            &["shape of `vectors` is [2, 30]", "index.tsv and the backbone says [1, 30]"],
        ),
        (
            |home| {
                let path = home.path("checkpoint/golden.safetensors");
                let mut tensors = read_tensors(&path);
                tensors[0].name = "nonsense/voxels".into();
                write_tensors(&path, &tensors);
            },
            &["golden.safetensors: golden case:"],
        ),
    ];
    for (spoil, parts) in cases {
        let home = Home::new();
        spoil(&home);
        let message = home.refusal();
        for part in parts {
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn a_checkpoint_without_zscores_says_so_in_its_bundle() {
    if onnx_runtime().is_none() {
        return;
    }
    let home = Home::new();
    std::fs::remove_file(home.path("checkpoint/zscore.safetensors")).unwrap();
    let manifest = home.bundle(false, false).unwrap();
    assert!(manifest.note.contains("betas are decoded as they are"), "{}", manifest.note);
    let table = ZscoreTable::read(&home.path("bundle/zscore.safetensors")).unwrap();
    assert_eq!(table.lags_s(), [7.5]);
}
