//! A tiny bundle written by hand: every part real but the networks, whose golden cases are the mock's own numbers.

#![expect(dead_code, reason = "each test file takes what it needs")]

use mindeye_config::{
    BetaConfig, BundleManifest, Dimensions, FileEntry, GalleryEntry, Name, NetworkEntry, Origin, Precision,
    PreprocessConfig, SchedulerConfig, TensorEntry, sha256_of_bytes, sha256_of_file,
};
use mindeye_decode::{Bundle, BundleError, Network, TrialNoise};
use mindeye_engine::{Engine, MockEngine, MockPlan, NetworkFile, TensorSpec};
use mindeye_preprocess::{Grid, Mask, VoxelType, ZscoreTable, write_volume};
use safetensors::tensor::{Dtype, TensorView};
use std::fs;
use std::path::{Path, PathBuf};

/// Voxels of the mask, as linear indices of the grid.
pub(crate) const VOXELS: [u32; 6] = [1, 3, 4, 7, 10, 11];
/// Items of the gallery.
pub(crate) const IDS: [&str; 5] = ["cat", "dog", "owl", "bee", "elk"];
/// Tokens times token width.
pub(crate) const WIDTH: usize = 8;

/// A bundle in a folder that goes away with it.
pub(crate) struct TestBundle {
    folder: tempfile::TempDir,
    /// What `manifest.toml` says after [`TestBundle::relist`].
    pub(crate) manifest: BundleManifest,
}

impl TestBundle {
    /// A bundle with all networks and a gallery.
    pub(crate) fn write() -> Self {
        let bundle = Self { folder: tempfile::tempdir().unwrap(), manifest: manifest() };
        bundle.write_head();
        bundle.write_recipe(&recipe());
        bundle.write_toml("scheduler.toml", &SchedulerConfig::default());
        bundle.write_networks();
        bundle.write_gallery();
        bundle.relisted()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn open(&self) -> Result<Bundle, BundleError> {
        Bundle::open(self.path())
    }

    /// The message with which opening fails.
    pub(crate) fn refusal(&self) -> String {
        self.open().err().expect("the bundle should be refused").to_string()
    }

    /// Paths of all files but the manifest.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.manifest.file.iter().map(|file| file.path.clone()).collect()
    }

    /// Writes the manifest as it stands, without looking at the files.
    pub(crate) fn write_manifest(&self) {
        self.write_toml("manifest.toml", &self.manifest);
    }

    /// The same bundle with a manifest that lists what is in the folder now.
    pub(crate) fn relisted(mut self) -> Self {
        self.manifest.file = list(self.path(), "");
        self.write_manifest();
        self
    }

    /// The same bundle without these files, and without the networks and gallery that would need them.
    pub(crate) fn without(mut self, networks: &[Network], gallery: bool) -> Self {
        for network in networks {
            fs::remove_file(self.file(&format!("networks/{}.onnx", network.key()))).unwrap();
            self.manifest.network.retain(|entry| entry.name != network.key());
        }
        if gallery {
            fs::remove_dir_all(self.file("gallery")).unwrap();
            self.manifest.gallery = None;
        }
        self.write_golden();
        self.relisted()
    }

    pub(crate) fn write_recipe(&self, recipe: &PreprocessConfig) {
        self.write_toml("preprocess.toml", recipe);
    }

    pub(crate) fn write_toml(&self, path: &str, value: &impl serde::Serialize) {
        fs::write(self.file(path), toml::to_string(value).unwrap()).unwrap();
    }

    pub(crate) fn write_tensors(&self, path: &str, tensors: &[(String, Vec<usize>, Vec<f32>)]) {
        let bytes: Vec<(String, Vec<usize>, Vec<u8>)> =
            tensors.iter().map(|(name, shape, values)| (name.clone(), shape.clone(), bytes_of(values))).collect();
        let view = |shape: &Vec<usize>, bytes| TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        let views = bytes.iter().map(|(name, shape, bytes)| (name.clone(), view(shape, bytes)));
        fs::write(self.file(path), safetensors::serialize(views, None).unwrap()).unwrap();
    }

    fn write_head(&self) {
        let voxels = grid().voxel_count();
        Mask::from_voxels(grid(), VOXELS.to_vec()).unwrap().write(&self.file("mask.nii.gz")).unwrap();
        write_volume(&self.file("reference.nii.gz"), &grid(), VoxelType::Int16, &vec![7; 2 * voxels]).unwrap();
        let table = ZscoreTable::new(vec![7.5], VOXELS.len(), vec![0.0; 6], vec![1.0; 6]).unwrap();
        table.write(&self.file("zscore.safetensors")).unwrap();
    }

    fn write_networks(&self) {
        fs::create_dir(self.file("networks")).unwrap();
        for network in Network::ALL {
            fs::write(self.file(&format!("networks/{}.onnx", network.key())), network.key()).unwrap();
        }
        self.write_golden();
    }

    pub(crate) fn write_golden(&self) {
        let cases: Vec<_> = self.manifest.network.iter().flat_map(golden_case).collect();
        self.write_tensors("golden.safetensors", &cases);
    }

    fn write_gallery(&self) {
        fs::create_dir_all(self.file("gallery/thumbs")).unwrap();
        let vectors = (0..IDS.len() * WIDTH).map(|i| ((i * i % 17) as f32).sin()).collect();
        self.write_tensors("gallery/vectors.safetensors", &[("vectors".into(), vec![IDS.len(), WIDTH], vectors)]);
        let rows: String = IDS.iter().map(|id| format!("{id}\t{id}.jpg\tdrawn\n")).collect();
        fs::write(self.file("gallery/index.tsv"), format!("id\tfile\tsource\n{rows}")).unwrap();
        for id in IDS {
            fs::write(self.file(&format!("gallery/thumbs/{id}.png")), id).unwrap();
        }
    }
}

/// Noise of some trial.
pub(crate) fn trial_noise() -> TrialNoise {
    let name = |text| Name::new(text).unwrap();
    TrialNoise { bundle: sha256_of_bytes(b"tiny"), seed: 5, session: name("ses-1"), run: name("run-1"), trial: 4 }
}

pub(crate) fn grid() -> Grid {
    let affine = [[3.0, 0.0, 0.0, -4.0], [0.0, 3.0, 0.0, -5.0], [0.0, 0.0, 3.0, 6.0], [0.0, 0.0, 0.0, 1.0]];
    Grid { dim: [3, 2, 2], affine }
}

pub(crate) fn recipe() -> PreprocessConfig {
    PreprocessConfig::new(vec![7.5], BetaConfig::default())
}

pub(crate) fn dimensions() -> Dimensions {
    let latent_scale = SchedulerConfig::default().latent_scale;
    let (grid, latent, picture) = (grid().dim, [4, 2, 2], [4, 6]);
    Dimensions { voxels: VOXELS.len(), grid, tokens: 2, token_dim: WIDTH / 2, latent, picture, latent_scale }
}

fn manifest() -> BundleManifest {
    BundleManifest {
        format: mindeye_config::BUNDLE_FORMAT.into(),
        name: "tiny".into(),
        created_by: "a test".into(),
        origin: Origin::RandomInit,
        seed: Some(1),
        note: "written by hand".into(),
        dimensions: dimensions(),
        estimator: recipe().estimator(),
        network: Network::ALL.map(network_entry).into(),
        gallery: Some(GalleryEntry { count: IDS.len(), vectors_from: "sines".into(), coarse: None }),
        file: Vec::new(),
    }
}

/// Side of the picture that the test's CLIP takes.
pub(crate) const CLIP_SIDE: usize = 3;

/// The entry of `network`: a UNet of both branches at once, a CLIP of its own side.
pub(crate) fn network_entry(network: Network) -> NetworkEntry {
    let first = match network {
        Network::Unet => vec![2],
        Network::ClipImage => vec![1, 3, CLIP_SIDE, CLIP_SIDE],
        _ => vec![1],
    };
    let mut entry = NetworkEntry {
        name: network.key().into(),
        path: format!("networks/{}.onnx", network.key()),
        precision: Precision::Fp32,
        tolerance: 1e-4,
        inputs: vec![TensorEntry { name: "open".into(), shape: first }],
        outputs: Vec::new(),
    };
    entry.outputs = network.outputs(&dimensions(), &entry);
    entry.inputs = network.inputs(&dimensions(), &entry);
    entry
}

/// Fixed inputs and what the mock makes of them, as tensors of the golden file.
fn golden_case(entry: &NetworkEntry) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let wave = |tensor: &TensorEntry| -> Vec<f32> {
        (0..tensor.shape.iter().product::<usize>()).map(|i| (i as f32 * 0.7).cos()).collect()
    };
    let inputs: Vec<Vec<f32>> = entry.inputs.iter().map(wave).collect();
    let outputs = mock_outputs(entry, &inputs.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let tensors = entry.inputs.iter().chain(&entry.outputs).zip(inputs.into_iter().chain(outputs));
    tensors.map(|(t, values)| (format!("{}/{}", entry.name, t.name), t.shape.clone(), values)).collect()
}

/// What the mock computes for a network.
pub(crate) fn mock_outputs(entry: &NetworkEntry, values: &[&[f32]]) -> Vec<Vec<f32>> {
    let specs = |entries: &[TensorEntry]| -> Vec<TensorSpec> {
        entries.iter().map(|tensor| TensorSpec::new(&tensor.name, tensor.shape.clone())).collect()
    };
    let (inputs, outputs) = (specs(&entry.inputs), specs(&entry.outputs));
    let network = NetworkFile {
        name: entry.name.clone(),
        path: entry.path.clone().into(),
        precision: entry.precision,
        inputs,
        outputs,
    };
    let engine = MockEngine::new(MockPlan::default());
    let mut from: Vec<_> = network.inputs.iter().map(|spec| engine.buffer(spec).unwrap()).collect();
    for (buffer, values) in from.iter_mut().zip(values) {
        engine.upload(buffer, values).unwrap();
    }
    let mut to: Vec<_> = network.outputs.iter().map(|spec| engine.buffer(spec).unwrap()).collect();
    engine
        .open(&network)
        .unwrap()
        .run(&from.iter().collect::<Vec<_>>(), &mut to.iter_mut().collect::<Vec<_>>())
        .unwrap();
    let mut values: Vec<_> = network.outputs.iter().map(|spec| vec![0.0; spec.element_count()]).collect();
    for (buffer, values) in to.iter().zip(&mut values) {
        engine.download(buffer, values).unwrap();
    }
    values
}

/// Every file below `dir` but the manifest, sorted.
fn list(dir: &Path, prefix: &str) -> Vec<FileEntry> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            files.extend(list(&entry.path(), &format!("{path}/")));
        } else if path != "manifest.toml" {
            let bytes = entry.metadata().unwrap().len();
            files.push(FileEntry { sha256: sha256_of_file(&entry.path()).unwrap(), bytes, path });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
