//! The Natural Scenes Dataset from its own files (Allen et al. 2022), for one subject.
//!
//! ```text
//!   nsddata/ppdata/subj01/behav/responses.tsv                        SESSION RUN TRIAL 73KID 10KID
//!   nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz           above 0: in the mask
//!   nsddata_betas/ppdata/subj01/func1pt8mm/<betas>/betas_session01.hdf5   `betas` int16[trials, z, y, x], 300 x percent
//!   nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5                     `imgBrick` u8[73000, 425, 425, 3]
//! ```
//!
//! The pictures that all subjects saw (10KID 1 to 1,000) are for testing, as in the papers. The mask was drawn on the
//! contrast of all trials; NSD says so of `nsdgeneral`, and the provenance here calls it unknown rather than clean.

use super::hdf5::Hdf5Array;
use super::nsd_behaviour::{Response, read_responses};
use super::recorded::name;
use super::{Arguments, ImportError, Recorded, RecordedTrial};
use crate::dataset_write::PictureSource;
use crate::training_folder::{Provenance, Split, TrialsUsed};
use mindeye_decode::Picture;
use mindeye_preprocess::{Mask, RawVolume, read_bold};
use ndarray::{Array2, ArrayD, s};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// NSD stores int16 of 300 times percent signal change.
const STORED_PER_PERCENT: f32 = 300.0;
/// Trials read at once: 700,000 voxels x 2 bytes x 25 = 35 MB.
const BLOCK_TRIALS: usize = 25;

pub(super) fn read(source: &[PathBuf], arguments: &Arguments) -> Result<Recorded, ImportError> {
    let [root] = source else {
        return Err(ImportError::format(&source[1], "nsd takes one --source, its root folder"));
    };
    let subject = format!("subj{:02}", arguments.subject);
    let data = root.join("nsddata/ppdata").join(&subject);
    let responses = read_responses(&data.join("behav/responses.tsv"))?;
    let mask_path = data.join("func1pt8mm/roi/nsdgeneral.nii.gz");
    let mask = general_mask(&mask_path)?;
    let folder = root.join("nsddata_betas/ppdata").join(&subject).join("func1pt8mm").join(&arguments.betas);

    let sessions: BTreeSet<u32> = responses.iter().map(|r| r.session).collect();
    let (mut trials, mut rows, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    for session in sessions {
        let path = folder.join(format!("betas_session{session:02}.hdf5"));
        if !path.is_file() {
            absent.push(session);
            continue;
        }
        let of_session: Vec<Response> = responses.iter().copied().filter(|r| r.session == session).collect();
        rows.extend(session_betas(&path, &mask, of_session.len())?);
        trials.extend(of_session);
    }
    if trials.is_empty() {
        let path = folder.join("betas_session01.hdf5");
        return Err(ImportError::Missing { path, needed: "no session of this subject has betas here" });
    }
    let voxels =
        Array2::from_shape_vec((trials.len(), mask.len()), rows).expect("each session has trials x voxels numbers");
    let pictures = if arguments.stimuli { stimuli(root, &trials)? } else { Vec::new() };
    let notes = (!absent.is_empty()).then(|| format!("sessions without betas, left out: {absent:?}"));
    Ok(Recorded {
        trials: trials.iter().map(recorded).collect::<Result<_, _>>()?,
        voxels,
        beta_unit: "percent-signal-change".into(),
        estimator: None,
        pictures,
        files: Vec::new(),
        provenance: Provenance {
            split: "shared1000".into(),
            mask_chosen_with: TrialsUsed::Unknown,
            normalised_with: TrialsUsed::None,
            notes: notes.into_iter().collect(),
            ..Provenance::default()
        },
    })
}

/// Linear indices, x fastest, of the voxels above 0 (the file has -1 outside of the brain), with the grid's sizes.
struct GeneralMask {
    dim: [usize; 3],
    voxels: Vec<usize>,
}

impl GeneralMask {
    fn len(&self) -> usize {
        self.voxels.len()
    }
}

fn general_mask(path: &Path) -> Result<GeneralMask, ImportError> {
    ImportError::require(path, "it tells which voxels to keep")?;
    let bold = read_bold(path)?;
    let dim = bold.grid.dim;
    let all: Vec<u32> = (0..bold.grid.voxel_count() as u32).collect();
    let everything = Mask::from_voxels(bold.grid.clone(), all)?;
    let mut values = mindeye_preprocess::Pattern::default();
    everything.gather(RawVolume::new(bold.dtype, bold.grid.voxel_count(), &bold.volumes[0])?, &mut values)?;
    let voxels: Vec<usize> = (0..values.len()).filter(|voxel| values.0[*voxel] > 0.0).collect();
    if voxels.is_empty() {
        return Err(ImportError::format(path, "no voxel is above 0"));
    }
    Ok(GeneralMask { dim, voxels })
}

/// Betas f32[trials, voxels] of one session, flattened, in percent.
fn session_betas(path: &Path, mask: &GeneralMask, trials: usize) -> Result<Vec<f32>, ImportError> {
    let betas = Hdf5Array::open(path, "betas", 4)?;
    let [x, y, z] = mask.dim;
    if betas.shape() != [trials, z, y, x] {
        let problem = format!(
            "`betas` must be [trials, z, y, x] = {:?} by responses.tsv and the mask, found {:?}",
            [trials, z, y, x],
            betas.shape()
        );
        return Err(ImportError::format(path, problem));
    }
    let mut rows = Vec::with_capacity(trials * mask.len());
    for first in (0..trials).step_by(BLOCK_TRIALS) {
        let block: ArrayD<i16> = betas.read(first, (first + BLOCK_TRIALS).min(trials))?;
        let volumes = block.as_standard_layout();
        let stored = volumes.as_slice().expect("standard layout was just made");
        for volume in stored.chunks(x * y * z) {
            rows.extend(mask.voxels.iter().map(|voxel| f32::from(volume[*voxel]) / STORED_PER_PERCENT));
        }
    }
    Ok(rows)
}

fn recorded(response: &Response) -> Result<RecordedTrial, ImportError> {
    Ok(RecordedTrial {
        trial: response.trial - 1,
        image: name("image", &image_name(response.picture))?,
        split: Some(if response.shared() { Split::Test } else { Split::Train }),
        session: name("session", &format!("ses-nsd{:02}", response.session))?,
        run: name("run", &format!("run-{:02}", response.run))?,
    })
}

/// `nsd-00001` for the first of the 73,000.
fn image_name(picture: u32) -> String {
    format!("nsd-{picture:05}")
}

fn stimuli(root: &Path, trials: &[Response]) -> Result<Vec<(String, PictureSource)>, ImportError> {
    let path = root.join("nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5");
    ImportError::require(&path, "--stimuli wants its pictures")?;
    let brick = Hdf5Array::open(&path, "imgBrick", 4)?;
    let shown: BTreeSet<u32> = trials.iter().map(|trial| trial.picture).collect();
    let picture = |number: &u32| {
        let at = *number as usize - 1;
        if at >= brick.shape()[0] {
            return Err(ImportError::format(&path, format!("has {} pictures, trial shows {number}", brick.shape()[0])));
        }
        let pixels: ArrayD<u8> = brick.read(at, at + 1)?;
        let (height, width) = (brick.shape()[1], brick.shape()[2]);
        let rgb = pixels.slice(s![0, .., .., ..]).iter().copied().collect();
        let picture = Picture::new(width as u32, height as u32, rgb).map_err(|e| ImportError::format(&path, e))?;
        Ok((image_name(*number), PictureSource::Bytes { bytes: picture.to_png(), extension: "png" }))
    };
    shown.iter().map(picture).collect()
}
