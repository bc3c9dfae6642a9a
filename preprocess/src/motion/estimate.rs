//! The estimate of one volume: from coarse to fine, from where the head was last, and from nowhere if that fails.

use crate::motion::fit::{Agreement, Fit, Limits, fit};
use crate::motion::points::Points;
use crate::motion::pyramid::{Pyramid, levels, smallest_side_mm};
use crate::motion::reference::{COARSEST_MM, Reference, check_grid};
use crate::motion::{Motion, Rigid};
use crate::resample::{Affine, Lattice, Volume, require_voxels};
use crate::{Grid, PreprocessError, RawVolume};

/// On voxels of this side, mm, a head that moved by 3 mm and 3 degrees since the last volume is found again.
const JUMP_MM: f64 = 6.0;

/// A coarse level is left when a step is smaller than this share of its smallest voxel side: the next one does better.
const GOOD_ENOUGH: f64 = 1.0 / 60.0;

/// Below this correlation or share of weight inside the volume the estimate is not believed, and a search begins.
const LOST_CORRELATION: f64 = 0.8;
const LOST_OVERLAP: f64 = 0.5;

/// Where one volume's head lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MotionEstimate {
    /// From reference RAS+ mm to the volume's.
    pub rigid: Rigid,
    /// The same as six numbers about the reference's centre.
    pub motion: Motion,
    /// The last step on the finest level was below the tolerance, and the head was not lost.
    pub converged: bool,
    /// Readings of the volume, over all levels and starts.
    pub iterations: u32,
    /// Weighted RMS difference between reference and scaled volume in percent of the reference's mean: the registration
    /// residual. Noise, activation and what motion leaves behind.
    pub residual_percent: f64,
    /// Weighted correlation of reference and volume.
    pub correlation: f64,
    /// Share of the reference's weight that lay inside the volume.
    pub overlap: f64,
}

impl MotionEstimate {
    /// Nothing known: what a blank output holds before its first volume.
    pub(crate) const UNKNOWN: Self = Self {
        rigid: Rigid::IDENTITY,
        motion: Motion::STILL,
        converged: false,
        iterations: 0,
        residual_percent: 0.0,
        correlation: 0.0,
        overlap: 0.0,
    };
}

/// Volumes of one grid against one reference; holds one volume at a time.
#[derive(Debug, Clone)]
pub(crate) struct Estimator {
    reference: Reference,
    grid: Grid,
    /// Of the volume, finest first.
    pyramid: Pyramid,
    mm_to_voxel: Vec<Affine>,
    /// Smallest voxel side per level, mm.
    side_mm: Vec<f64>,
    limits: Limits,
}

impl Estimator {
    pub(crate) fn new(reference: Reference, grid: Grid, limits: Limits) -> Result<Self, PreprocessError> {
        check_grid("the run", &grid)?;
        let grids = levels(&grid, COARSEST_MM);
        let shared = grids.len().min(reference.levels.len());
        let inverse = |grid: &Grid| {
            let flat = || PreprocessError::FlatGrid { what: "the run", grid: Box::new(grid.clone()) };
            Affine::of_grid(grid).inverse().ok_or_else(flat)
        };
        Ok(Self {
            mm_to_voxel: grids[..shared].iter().map(inverse).collect::<Result<_, _>>()?,
            side_mm: grids[..shared].iter().map(smallest_side_mm).collect(),
            pyramid: Pyramid::new(&grids),
            reference,
            grid,
            limits,
        })
    }

    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }

    pub(crate) fn volume(&self) -> &Lattice {
        &self.pyramid.raw
    }

    pub(crate) fn mm_to_voxel(&self) -> &Affine {
        &self.mm_to_voxel[0]
    }

    /// Takes the next volume.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] for another size, [`PreprocessError::NonFinite`] for any voxel that is not finite.
    pub(crate) fn load(&mut self, raw: RawVolume<'_>) -> Result<(), PreprocessError> {
        require_voxels(&self.grid, raw.voxel_count())?;
        self.pyramid.fill(raw)
    }

    /// As [`load`](Self::load), for a volume on this estimator's grid.
    pub(crate) fn load_volume(&mut self, volume: &Volume) {
        self.pyramid.fill_values(volume.values());
    }

    /// The pose of the volume, beginning at `start`; searched for all over if it is lost from there.
    ///
    /// # Errors
    /// [`PreprocessError::NoContrast`] if the volume is constant where the head should be.
    pub(crate) fn estimate(&self, start: Rigid) -> Result<MotionEstimate, PreprocessError> {
        let jump_level = self.side_mm.iter().position(|side| *side >= JUMP_MM).unwrap_or(self.side_mm.len() - 1);
        let warm = self.descend(start, jump_level);
        match warm {
            Some(found) if self.believes(&found) => Ok(self.describe(&found)),
            _ => self.search(warm),
        }
    }

    fn search(&self, warm: Option<Fit>) -> Result<MotionEstimate, PreprocessError> {
        let cold = self.descend(Rigid::IDENTITY, self.side_mm.len() - 1);
        let spent: u32 = [&warm, &cold].into_iter().flatten().map(|fit| fit.iterations).sum();
        let best = [warm, cold].into_iter().flatten().max_by(|a, b| score(a).total_cmp(&score(b)));
        let best = best.ok_or(PreprocessError::NoContrast { what: "the volume" })?;
        Ok(self.describe(&Fit { iterations: spent, ..best }))
    }

    /// From `top` down to the finest level.
    pub(crate) fn descend(&self, start: Rigid, top: usize) -> Option<Fit> {
        let mut pose = start;
        let mut spent = 0;
        for level in (1..=top).rev() {
            let tolerance_mm = GOOD_ENOUGH * self.side_mm[level];
            let coarse = self.fit_level(level, pose, Limits { tolerance_mm, ..self.limits })?;
            (pose, spent) = (coarse.rigid, spent + coarse.iterations);
        }
        let fine = self.fit_level(0, pose, self.limits)?;
        Some(Fit { iterations: spent + fine.iterations, ..fine })
    }

    pub(crate) fn fit_level(&self, level: usize, start: Rigid, limits: Limits) -> Option<Fit> {
        let points: &Points = &self.reference.levels[level];
        let moving = &self.pyramid.levels[level];
        fit(points, moving, &self.mm_to_voxel[level], self.reference.centre_mm(), start, limits)
    }

    pub(crate) fn coarsest(&self) -> usize {
        self.side_mm.len() - 1
    }

    fn believes(&self, found: &Fit) -> bool {
        found.converged && found.agreement.correlation >= LOST_CORRELATION && found.agreement.overlap >= LOST_OVERLAP
    }

    pub(crate) fn describe(&self, found: &Fit) -> MotionEstimate {
        let Agreement { correlation, residual_percent, overlap } = found.agreement;
        MotionEstimate {
            rigid: found.rigid,
            motion: found.rigid.motion(self.reference.centre_mm()),
            converged: self.believes(found),
            iterations: found.iterations,
            residual_percent,
            correlation,
            overlap,
        }
    }
}

/// By which of two fits is the better one: correlation, unless too little of the head is in the volume to tell.
pub(crate) fn score(fit: &Fit) -> f64 {
    if fit.agreement.overlap < LOST_OVERLAP { -1.0 } else { fit.agreement.correlation }
}
