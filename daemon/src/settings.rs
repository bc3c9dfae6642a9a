//! From command line and files to a warm decoder: everything that can be wrong is wrong here, before a socket opens.

use crate::pipeline::Recipe;
use crate::publish::{FeedbackPlan, Identity};
use mindeye_config::{Budget, Clock, DaemonConfig, EngineKind, Failure, MotionKind, Origin, load};
use mindeye_decode::{Bundle, BundleError, DecodeError, Decoder, Network, WarmUpReport};
use mindeye_preprocess::motion::SessionReference;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What the command line says; it beats the configuration file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Configuration file.
    pub config: Option<PathBuf>,
    /// Folder of journals.
    pub journal: Option<PathBuf>,
    /// Engine.
    pub engine: Option<EngineKind>,
    /// Volumes address.
    pub bind: Option<String>,
    /// Results address.
    pub publish: Option<String>,
    /// Pages address.
    pub http: Option<String>,
}

/// Reads the configuration and puts the command line over it.
///
/// # Errors
/// Status 64 naming file and key.
pub fn configure(overrides: Overrides) -> Result<DaemonConfig, Failure> {
    let mut config: DaemonConfig = match &overrides.config {
        Some(path) => load(path).map_err(Failure::usage)?,
        None => DaemonConfig::default(),
    };
    put(&mut config.journal.dir, overrides.journal);
    put(&mut config.engine.kind, overrides.engine);
    put(&mut config.volumes.bind, overrides.bind);
    put(&mut config.results.bind, overrides.publish);
    put(&mut config.http.bind, overrides.http);
    Ok(config)
}

fn put<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

/// Two decoders of one bundle, each with networks of its own: no picture can keep a score waiting.
pub struct Decoders {
    /// Retrieval and scores, of every estimate.
    pub scorer: Decoder,
    /// Pictures, of due trials.
    pub painter: Decoder,
}

/// A bundle that is proven on this machine, with the decoder that serves it.
pub struct Prepared {
    /// The bundle.
    pub bundle: Bundle,
    /// The decoders, warm.
    pub decoders: Decoders,
    /// What warm-up found.
    pub report: WarmUpReport,
    /// Who answers.
    pub identity: Identity,
    /// What is fed back, if the session asks for it.
    pub feedback: Option<Arc<FeedbackPlan>>,
    /// Folder of calibrations that the operator may load between runs.
    pub front_ends: Option<PathBuf>,
}

/// Opens the bundle at `dir`, compares estimators, starts the engine and runs every golden case.
///
/// # Errors
/// Status 64 for a bundle that does not exist or a deadline that it cannot serve, 65 for a bundle that is wrong, 69 for an
/// engine that is missing.
pub fn prepare(dir: &Path, config: &DaemonConfig, clock: Arc<dyn Clock>) -> Result<Prepared, Failure> {
    let bundle = open_bundle(dir)?;
    let estimator_mismatch = compare_estimators(&bundle, config)?;
    check_lags(&bundle, config)?;
    let feedback = feedback(&bundle, config)?;
    let start = || mindeye_engine::start(&config.engine).map_err(|error| decode_failure(&DecodeError::from(error)));
    let budget: Option<Budget> = config.deadline.budget.as_deref().map(load).transpose().map_err(Failure::usage)?;
    let (mut painter, report) =
        Decoder::warm_up(&bundle, start()?, clock.clone()).map_err(|error| decode_failure(&error))?;
    if let Some(candidates) = config.trial.candidates {
        painter = painter.with_candidates(candidates);
    }
    if let Some(budget) = &budget {
        painter.expect(budget);
    }
    let scoring = Decoder::warm_up_only(&bundle, start()?, clock, &[Network::Backbone]);
    let (scorer, _) = scoring.map_err(|error| decode_failure(&error))?;
    let scorer = scorer.with_retrieval_limit(Duration::from_secs_f64(config.deadline.retrieval_ms / 1e3));
    let decoders = Decoders { scorer, painter };
    let identity = identity(&bundle, &report, config, estimator_mismatch);
    Ok(Prepared { bundle, decoders, report, identity, feedback, front_ends: None })
}

/// Opens the bundle at `dir` and checks every file.
///
/// # Errors
/// Status 64 when `dir` does not exist, 65 when the bundle is wrong.
pub fn open_bundle(dir: &Path) -> Result<Bundle, Failure> {
    if !dir.is_dir() {
        return Err(Failure::usage(format!("bundle {} does not exist or is not a folder", dir.display())));
    }
    Bundle::open(dir).map_err(|error: BundleError| Failure::data(error))
}

fn compare_estimators(bundle: &Bundle, config: &DaemonConfig) -> Result<Option<String>, Failure> {
    match bundle.check_estimator() {
        Ok(()) => Ok(None),
        Err(mismatch) if config.allow_estimator_mismatch => Ok(Some(mismatch.to_string())),
        Err(mismatch) => Err(Failure::data(format!(
            "{}: {mismatch}; set allow_estimator_mismatch = true to decode all the same, with every result labelled",
            bundle.dir.display()
        ))),
    }
}

/// A trial that is due before its first beta could never be answered.
fn check_lags(bundle: &Bundle, config: &DaemonConfig) -> Result<(), Failure> {
    let first_s = bundle.recipe.revision_lags_s[0];
    let decode_after_s = config.deadline.decode_after_s;
    if first_s <= decode_after_s {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "deadline.decode_after_s = {decode_after_s} s, but the bundle's first beta comes {first_s} s after onset"
    )))
}

/// What the session wants to feed back must be in the gallery and among the estimates.
fn feedback(bundle: &Bundle, config: &DaemonConfig) -> Result<Option<Arc<FeedbackPlan>>, Failure> {
    let Some(wanted) = config.session.as_ref().and_then(|session| session.feedback.as_ref()) else { return Ok(None) };
    let plan = FeedbackPlan::new(wanted, bundle.gallery.as_deref(), &bundle.recipe.revision_lags_s);
    plan.map(|plan| Some(Arc::new(plan))).map_err(Failure::usage)
}

fn decode_failure(error: &DecodeError) -> Failure {
    if error.is_unavailable() { Failure::unavailable(error) } else { Failure::data(error) }
}

fn identity(
    bundle: &Bundle,
    report: &WarmUpReport,
    config: &DaemonConfig,
    estimator_mismatch: Option<String>,
) -> Identity {
    Identity {
        bundle: bundle.label(),
        bundle_hash: bundle.hash.clone(),
        bundle_note: bundle.manifest.note.clone(),
        bundle_origin: match bundle.manifest.origin {
            Origin::Checkpoint => "checkpoint",
            Origin::RandomInit => "random-init",
        },
        engine: config.engine.kind.key().to_owned(),
        engine_details: report.engine.clone(),
        seed: config.trial.seed,
        top_k: config.trial.top_k,
        estimator_mismatch,
        calibration: bundle.calibration.clone(),
    }
}

/// What every run of this bundle is made of.
///
/// # Errors
/// Status 65 naming the bundle's reference volume where it cannot be read.
pub fn recipe(bundle: &Bundle, config: &DaemonConfig) -> Result<Recipe, Failure> {
    Ok(Recipe {
        preprocess: bundle.recipe.clone(),
        mask: bundle.mask.clone(),
        zscore: bundle.zscore.clone(),
        reference: reference(bundle)?,
        hrf_index: bundle.hrf_index.clone(),
        ring_volumes: config.volumes.ring_volumes,
        decode_after_s: config.deadline.decode_after_s,
    })
}

fn reference(bundle: &Bundle) -> Result<Option<Arc<SessionReference>>, Failure> {
    if bundle.recipe.motion.kind == MotionKind::None {
        return Ok(None);
    }
    let reference = SessionReference::read(&bundle.reference_path()).map_err(Failure::data)?;
    Ok(Some(Arc::new(SessionReference { source: bundle.label(), ..reference })))
}
