//! What these tests share: where the presets lie, and one full value of each file type.

#![allow(dead_code, reason = "each test file uses its own part")]

use mindeye_config::{
    BUNDLE_FORMAT, BetaConfig, BetaKind, BetaUnit, Budget, BundleManifest, Confounds, DaemonConfig, DeadlineConfig,
    Dimensions, Drift, ENGINES_FORMAT, EngineConfig, EngineFileEntry, EnginesManifest, Estimator, FeedbackConfig,
    FileEntry, GalleryEntry, Hrf, HrfHeight, MockFault, MockFaultKind, ModelDimensions, Name, NetworkEntry, NoiseModel,
    Origin, Precision, PreprocessConfig, RendererDimensions, SchedulerConfig, SessionConfig, SourceConfig, Step,
    StepBudget, TensorEntry, TrialConfig, ZscorePolicy, sha256_of_bytes,
};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The folder `config/`.
pub(crate) fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The presets in `config/<kind>/`, sorted; never none.
pub(crate) fn presets(kind: &str) -> Vec<PathBuf> {
    let folder = home().join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no preset", folder.display());
    files
}

/// The dotted keys of `value`, each with its value; the keys of a list's tables are those of its first.
pub(crate) fn keys(value: &impl Serialize) -> Vec<(String, toml::Value)> {
    let mut found = Vec::new();
    collect("", &toml::Value::try_from(value).unwrap(), &mut found);
    found
}

fn collect(place: &str, value: &toml::Value, found: &mut Vec<(String, toml::Value)>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                collect(&if place.is_empty() { key.clone() } else { format!("{place}.{key}") }, value, found);
            }
        }
        toml::Value::Array(list) if list.first().is_some_and(toml::Value::is_table) => collect(place, &list[0], found),
        _ => found.push((place.to_owned(), value.clone())),
    }
}

// Full values are written out field by field: a new field does not compile until it stands here, and so in the README.

/// `daemon.toml` with every optional key.
pub(crate) fn daemon() -> DaemonConfig {
    let DaemonConfig {
        session: _,
        allow_estimator_mismatch,
        volumes,
        source,
        results,
        http,
        journal,
        engine: EngineConfig { kind, threads, cuda_graphs, mock_delay_ms, mock_fault: _ },
        deadline: DeadlineConfig { decode_after_s, deadline_s: _, guard_ms, retrieval_ms, budget: _ },
        trial,
    } = DaemonConfig::default();
    let budget = Some("budget.toml".into());
    let deadline = DeadlineConfig { decode_after_s, deadline_s: Some(1.5), guard_ms, retrieval_ms, budget };
    let trial = TrialConfig { candidates: Some(16), ..trial };
    let source = SourceConfig {
        folder: Some("export".into()),
        tr_s: Some(1.5),
        expected_volumes: Some(300),
        events: Some("events.tsv".into()),
        ..source
    };
    let session = Some(session());
    let fault = MockFault { network: "unet".into(), run: Some(3), kind: MockFaultKind::Slow, ms: 500.0 };
    let engine = EngineConfig { kind, threads, cuda_graphs, mock_delay_ms, mock_fault: vec![fault] };
    DaemonConfig { session, allow_estimator_mismatch, volumes, source, results, http, journal, engine, deadline, trial }
}

/// `session.toml`.
pub(crate) fn session() -> SessionConfig {
    let name = |text| Name::new(text).unwrap();
    let feedback = FeedbackConfig {
        targets: vec![name("scene-001")],
        against: vec![name("scene-002")],
        lag_s: 7.5,
        baseline_trials: 10,
        smoothing_trials: 3,
    };
    SessionConfig {
        session: name("ses-1"),
        participant: name("sub-1"),
        participant_generated: false,
        feedback: Some(feedback),
    }
}

/// `preprocess.toml` with every optional key.
pub(crate) fn preprocess() -> PreprocessConfig {
    PreprocessConfig { tr_s: Some(1.5), ..PreprocessConfig::new(vec![7.5], BetaConfig::default()) }
}

/// `scheduler.toml`.
pub(crate) fn scheduler() -> SchedulerConfig {
    SchedulerConfig::default()
}

/// `renderer.toml`.
pub(crate) fn renderer() -> RendererDimensions {
    mindeye_config::load(&home().join("renderer/demo.toml")).unwrap()
}

/// `model.toml`.
pub(crate) fn model() -> ModelDimensions {
    mindeye_config::load(&home().join("model/demo.toml")).unwrap()
}

/// A budget in which every step takes 1 ms, and at most 2.
pub(crate) fn budget() -> Budget {
    let row = StepBudget { typical_ms: 1.0, ceiling_ms: 2.0 };
    Budget { describes: "a test".into(), step: Step::ALL.into_iter().map(|step| (step, row)).collect() }
}

/// `manifest.toml` with every optional key: one network, one file.
pub(crate) fn manifest() -> BundleManifest {
    let tensor = |name: &str| TensorEntry { name: name.into(), shape: vec![1, 4000] };
    BundleManifest {
        format: BUNDLE_FORMAT.into(),
        name: "demo".into(),
        created_by: "a test".into(),
        origin: Origin::RandomInit,
        seed: Some(7),
        note: "for a test".into(),
        dimensions: Dimensions {
            voxels: 4000,
            grid: [64, 64, 36],
            tokens: 17,
            token_dim: 64,
            latent: [4, 8, 8],
            picture: [64, 64],
            latent_scale: 0.18215,
        },
        estimator: Estimator {
            ridge: Some([1.0, 4.0, 8.0]),
            hrf_height: Some(HrfHeight::Peak),
            drift_cutoff_hz: Some(0.01),
            ..estimator()
        },
        network: vec![NetworkEntry {
            name: "backbone".into(),
            path: "networks/backbone.onnx".into(),
            precision: Precision::Fp32,
            tolerance: 1e-4,
            inputs: vec![tensor("voxels")],
            outputs: vec![tensor("backbone_tokens")],
        }],
        gallery: Some(GalleryEntry { count: 300, vectors_from: "a test".into(), coarse: Some(256) }),
        file: vec![FileEntry { path: "networks/backbone.onnx".into(), sha256: sha256_of_bytes(b""), bytes: 0 }],
    }
}

/// `engines/manifest.toml` with one engine.
pub(crate) fn engines() -> EnginesManifest {
    let engine = EngineFileEntry {
        target: "sm_89".into(),
        network: "unet".into(),
        path: "sm_89/unet.engine".into(),
        precision: Precision::Fp16,
        built_with: "a test".into(),
        sha256: sha256_of_bytes(b""),
        bytes: 0,
    };
    EnginesManifest { format: ENGINES_FORMAT.into(), bundle: sha256_of_bytes(b"bundle"), engine: vec![engine] }
}

/// What [`preprocess`] estimates.
pub(crate) fn estimator() -> Estimator {
    Estimator {
        beta: BetaKind::Window,
        ridge: None,
        hrf: Hrf::None,
        hrf_height: None,
        drift: Drift::None,
        drift_cutoff_hz: None,
        confounds: Confounds::None,
        noise: NoiseModel::Ordinary,
        smoothing_fwhm_mm: 0.0,
        slice_reference: 0.5,
        repeats_averaged: 1,
        unit: BetaUnit::PercentSignalChange,
        zscore: ZscorePolicy::FrozenPerLag,
        revision_lags_s: vec![7.5],
    }
}
