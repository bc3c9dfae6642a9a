//! Everything that goes in, read and held against each other before a single volume is processed.

use crate::program::ProgramError;
use crate::program::accuracy::Truth;
use crate::program::command::{ModeArgument, RunArguments};
use mindeye_config::{
    BetaConfig, DeadlineConfig, Hrf, MotionKind, MotionReference, PreprocessConfig, Sha256, VolumeConfig, load,
    sha256_of_file,
};
use mindeye_preprocess::bids::{RepetitionTime, Table, event_rows, repetition_time, sidecar_path, slice_timing};
use mindeye_preprocess::motion::SessionReference;
use mindeye_preprocess::offline::{Mode, UsableVoxels, usable_voxels};
use mindeye_preprocess::{AffineSource, Bold, Event, Grid, Mask, read_bold, read_hrf_index};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A trial and, for the report alone, what the table says was shown.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trial {
    pub(crate) event: Event,
    pub(crate) trial_type: Option<String>,
}

/// A file that went in.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct InputFile {
    pub(crate) role: &'static str,
    pub(crate) name: String,
    pub(crate) sha256: Sha256,
}

/// What one run is made of.
pub(crate) struct Inputs {
    pub(crate) bold_path: PathBuf,
    pub(crate) bold: Bold,
    pub(crate) tr: RepetitionTime,
    /// The whole mask, and where its file says that it lies.
    pub(crate) mask: Mask,
    pub(crate) mask_affine: AffineSource,
    pub(crate) usable: UsableVoxels,
    /// By onset.
    pub(crate) trials: Vec<Trial>,
    pub(crate) recipe: PreprocessConfig,
    pub(crate) mode: Mode,
    /// Acquisition time of each slice, where the sidecar has it, seconds.
    pub(crate) slice_timing_s: Option<Vec<f64>>,
    /// Member of the HRF library, by usable voxel.
    pub(crate) hrf_index: Option<Arc<Vec<u8>>>,
    /// What the run is registered to; without motion correction it is checked and not used.
    pub(crate) reference: Option<Arc<SessionReference>>,
    /// True amplitudes, where the run is simulated.
    pub(crate) truth: Option<Truth>,
    pub(crate) write_bold: bool,
    pub(crate) files: Vec<InputFile>,
}

/// Least volumes of a run: an SD, and so tSNR and DVARS, says little of fewer (spec: rtfmri section 3.3).
const LEAST_VOLUMES: usize = 8;

impl Inputs {
    pub(crate) fn read(arguments: &RunArguments) -> Result<Self, ProgramError> {
        let named = named_files(arguments);
        require_files(&named)?;
        let (recipe, mode) = (recipe(arguments)?, mode(arguments)?);
        require_a_lag(&recipe, mode)?;
        let trials = read_trials(&arguments.events)?;
        let bold = read_run(&arguments.bold)?;
        let tr = repetition_time(recipe.tr_s, &arguments.bold, &bold)?;
        let (mask, mask_affine) = read_mask(&arguments.mask)?;
        let reference = read_reference(arguments, &mask, mask_affine)?;
        require_session_reference(&recipe, arguments)?;
        require_hrf_index(&recipe, arguments)?;
        let moved = recipe.motion.kind == MotionKind::Rigid;
        if !(moved && reference.is_some()) {
            let bold_place = (&*arguments.bold, &bold.grid, bold.affine_source);
            require_one_grid((&arguments.mask, mask.grid(), mask_affine), bold_place)?;
        }
        let usable = if moved { UsableVoxels::all(&mask) } else { usable_voxels(&bold, &mask)? };
        let hrf_index = arguments.hrf_index.as_ref().map(|path| read_hrf_index(path, &usable.mask)).transpose()?;
        let hrf_index = hrf_index.map(Arc::new);
        let truth = arguments.truth.as_ref().map(|path| Truth::read(path, &trials, &mask)).transpose()?;
        let files = hash_files(&named, &arguments.bold)?;
        Ok(Self {
            bold_path: arguments.bold.clone(),
            bold,
            tr,
            mask,
            mask_affine,
            usable,
            trials,
            recipe,
            mode,
            slice_timing_s: slice_timing(&arguments.bold)?,
            hrf_index,
            reference,
            truth,
            write_bold: arguments.write_bold,
            files,
        })
    }

    /// Whether volumes are read where the head is.
    pub(crate) fn corrects_motion(&self) -> bool {
        self.recipe.motion.kind == MotionKind::Rigid
    }

    /// Whether what estimates see is not what was read.
    pub(crate) fn changes_volumes(&self) -> bool {
        let (recipe, plain) = (&self.recipe, PreprocessConfig::new(vec![1.0], BetaConfig::default()));
        let filters = recipe.despike != plain.despike
            || recipe.slice_timing != plain.slice_timing
            || recipe.smoothing != plain.smoothing
            || recipe.averaging != plain.averaging;
        self.corrects_motion() || filters
    }

    /// Length of the run, seconds.
    pub(crate) fn end_s(&self) -> f64 {
        self.bold.volumes.len() as f64 * self.tr.tr_s
    }

    /// Name of the run's file.
    pub(crate) fn name(&self) -> String {
        file_name(&self.bold_path)
    }
}

fn named_files(arguments: &RunArguments) -> Vec<(&'static str, &'static str, PathBuf)> {
    let mut files = vec![
        ("bold", "--bold", arguments.bold.clone()),
        ("events", "--events", arguments.events.clone()),
        ("mask", "--mask", arguments.mask.clone()),
    ];
    files.extend(arguments.reference.iter().map(|path| ("reference", "--reference", path.clone())));
    files.extend(arguments.hrf_index.iter().map(|path| ("hrf-index", "--hrf-index", path.clone())));
    files.extend(arguments.truth.iter().map(|path| ("truth", "--truth", path.clone())));
    files.extend(arguments.config.iter().map(|path| ("config", "--config", path.clone())));
    files
}

fn require_files(named: &[(&'static str, &'static str, PathBuf)]) -> Result<(), ProgramError> {
    match named.iter().find(|(_, _, path)| !path.is_file()) {
        Some((_, flag, path)) => Err(ProgramError::NoSuchFile { flag, path: path.clone() }),
        None => Ok(()),
    }
}

fn hash_files(named: &[(&'static str, &'static str, PathBuf)], bold: &Path) -> Result<Vec<InputFile>, ProgramError> {
    let sidecar = sidecar_path(bold);
    let sidecar = sidecar.is_file().then_some(("sidecar", sidecar));
    let files = named.iter().map(|(role, _, path)| (*role, path.clone())).chain(sidecar);
    let hash = |(role, path): (&'static str, PathBuf)| {
        let sha256 = sha256_of_file(&path).map_err(|source| ProgramError::Unreadable { path: path.clone(), source })?;
        Ok(InputFile { role, name: file_name(&path), sha256 })
    };
    files.map(hash).collect()
}

/// The flag beats the file beats the default.
fn recipe(arguments: &RunArguments) -> Result<PreprocessConfig, ProgramError> {
    let mut recipe = match &arguments.config {
        Some(path) => load(path)?,
        None => PreprocessConfig::new(vec![DeadlineConfig::default().decode_after_s], BetaConfig::default()),
    };
    if let Some(tr_s) = arguments.tr_s {
        recipe.tr_s = Some(positive("--tr-s", tr_s)?);
    }
    Ok(recipe)
}

/// The library belongs to a recipe, its index to a mask.
fn require_hrf_index(recipe: &PreprocessConfig, arguments: &RunArguments) -> Result<(), ProgramError> {
    let (library, given) = (recipe.hrf.kind == Hrf::Library, arguments.hrf_index.is_some());
    let message = match (library, given) {
        (true, false) => "the recipe's hrf.kind = \"library\" needs one, and none was given",
        (false, true) => "is for hrf.kind = \"library\"; the recipe has one response for all voxels",
        _ => return Ok(()),
    };
    Err(ProgramError::Flag { flag: "--hrf-index", message: message.into() })
}

/// A bundle always has one; here it is a flag.
fn require_session_reference(recipe: &PreprocessConfig, arguments: &RunArguments) -> Result<(), ProgramError> {
    let motion = &recipe.motion;
    let compared = motion.kind == MotionKind::Rigid && motion.against == MotionReference::Session;
    if !compared || arguments.reference.is_some() {
        return Ok(());
    }
    let message = "the recipe's motion.against = \"session\" compares volumes with one, and none was given".into();
    Err(ProgramError::Flag { flag: "--reference", message })
}

/// As the daemon does with a bundle's recipe.
fn require_a_lag(recipe: &PreprocessConfig, mode: Mode) -> Result<(), ProgramError> {
    let (Mode::Online { decode_after_s }, first_s) = (mode, recipe.revision_lags_s[0]) else { return Ok(()) };
    if first_s <= decode_after_s {
        return Ok(());
    }
    let message = format!("{decode_after_s} s, but the recipe's first beta comes {first_s} s after onset");
    Err(ProgramError::Flag { flag: "--decode-after-s", message })
}

fn mode(arguments: &RunArguments) -> Result<Mode, ProgramError> {
    match (arguments.mode, arguments.decode_after_s) {
        (ModeArgument::Online, chosen) => {
            let decode_after_s = chosen.unwrap_or(DeadlineConfig::default().decode_after_s);
            Ok(Mode::Online { decode_after_s: positive("--decode-after-s", decode_after_s)? })
        }
        (ModeArgument::Offline, None) => Ok(Mode::Offline),
        (ModeArgument::Offline, Some(seconds)) => {
            let message = format!("{seconds} s is for --mode online; offline every trial has the whole run");
            Err(ProgramError::Flag { flag: "--decode-after-s", message })
        }
    }
}

fn positive(flag: &'static str, seconds: f64) -> Result<f64, ProgramError> {
    if seconds.is_finite() && seconds > 0.0 {
        return Ok(seconds);
    }
    Err(ProgramError::Flag { flag, message: format!("must be seconds above 0, found {seconds}") })
}

fn read_trials(path: &Path) -> Result<Vec<Trial>, ProgramError> {
    let table = Table::read(path)?;
    let trial = |row: &mindeye_preprocess::bids::EventRow<'_>| Trial {
        event: row.event,
        trial_type: row.row.cell("trial_type").map(str::to_owned),
    };
    Ok(event_rows(&table)?.iter().map(trial).collect())
}

fn read_run(path: &Path) -> Result<Bold, ProgramError> {
    let bold = read_bold(path)?;
    let found = bold.volumes.len();
    if found < LEAST_VOLUMES {
        return Err(ProgramError::TooFewVolumes { bold: path.to_owned(), found, least: LEAST_VOLUMES });
    }
    Ok(bold)
}

fn read_mask(path: &Path) -> Result<(Mask, AffineSource), ProgramError> {
    Ok((Mask::read(path)?, read_bold(path)?.affine_source))
}

fn read_reference(
    arguments: &RunArguments,
    mask: &Mask,
    mask_affine: AffineSource,
) -> Result<Option<Arc<SessionReference>>, ProgramError> {
    let Some(path) = &arguments.reference else { return Ok(None) };
    let source = read_bold(path)?.affine_source;
    let reference = SessionReference::read(path)?;
    require_one_grid((path, reference.volume.grid(), source), (&arguments.mask, mask.grid(), mask_affine))?;
    Ok(Some(Arc::new(reference)))
}

type Placed<'a> = (&'a Path, &'a Grid, AffineSource);

/// Where a file does not say where its voxels lie, only their numbers can be compared ([`notes`] says so).
///
/// [`notes`]: crate::program::notes
fn require_one_grid(left: Placed<'_>, right: Placed<'_>) -> Result<(), ProgramError> {
    let differ = |difference: String| {
        Err(ProgramError::Grids { left: left.0.to_owned(), right: right.0.to_owned(), difference })
    };
    if left.1.dim != right.1.dim {
        return differ(format!("{:?} against {:?} voxels", left.1.dim, right.1.dim));
    }
    let unplaced = [left.2, right.2].contains(&AffineSource::Pixdim);
    let (apart_mm, most_mm) = (left.1.corner_distance_mm(right.1), VolumeConfig::default().grid_tolerance_mm);
    if !unplaced && apart_mm > most_mm {
        return differ(format!("a corner lies {apart_mm:.2} mm apart, {most_mm} mm are allowed"));
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
