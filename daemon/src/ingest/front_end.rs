//! The desk on which a calibration waits for the next run: loaded while no run is open, in force from the next one on.
//!
//! ```text
//!   POST load_front_end ─► Desk::load (reads, holds against the bundle) ─► offered ─► router, between runs ─► current ─► RunInfo
//! ```
//! A run keeps the front end with which it opened, whatever is loaded later: betas, scores and pictures of one run, those
//! painted after its end too, come from one calibration.

use mindeye_config::Name;
use mindeye_decode::{FrontEnd, FrontEndError, FrontEndFit};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// See the module.
#[derive(Debug)]
pub struct FrontEndDesk {
    /// Folder of calibrations; none may be loaded where it is not configured.
    folder: Option<PathBuf>,
    fit: FrontEndFit,
    run_is_open: AtomicBool,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    offered: Option<Arc<FrontEnd>>,
    current: Option<Arc<FrontEnd>>,
}

/// Why nothing was loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No folder of calibrations.
    #[error("no folder of calibrations is configured; start the daemon with --front-ends DIR")]
    NoFolder,
    /// Not while a run is under way.
    #[error("front end `{name}`: a run is open; a front end is loaded between runs")]
    RunIsOpen {
        /// What was asked for.
        name: Name,
    },
    /// It is no calibration, or not one for this bundle.
    #[error("front end `{name}`: {source}")]
    Unfit {
        /// What was asked for.
        name: Name,
        /// File and both sides.
        source: FrontEndError,
    },
}

impl FrontEndDesk {
    /// A desk with nothing on it.
    #[must_use]
    pub fn new(folder: Option<PathBuf>, fit: FrontEndFit) -> Self {
        Self { folder, fit, run_is_open: AtomicBool::new(false), slots: Mutex::default() }
    }

    /// Reads the calibration called `name` and lays it out for the router; its label comes back. Takes seconds where it is
    /// large.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(&self, name: &Name) -> Result<String, LoadError> {
        let folder = self.folder.as_ref().ok_or(LoadError::NoFolder)?;
        self.refuse_during_run(name)?;
        let opened = FrontEnd::open(&folder.join(name.as_str()), &self.fit);
        let front_end = opened.map_err(|source| LoadError::Unfit { name: name.clone(), source })?;
        self.refuse_during_run(name)?;
        let label = front_end.label.clone();
        self.slots().offered = Some(Arc::new(front_end));
        Ok(label)
    }

    fn refuse_during_run(&self, name: &Name) -> Result<(), LoadError> {
        match self.run_is_open.load(Ordering::SeqCst) {
            true => Err(LoadError::RunIsOpen { name: name.clone() }),
            false => Ok(()),
        }
    }

    /// Puts what was offered in force, if no run is open: the router's own decision. The label, or `None` where nothing
    /// changed.
    pub fn take_up(&self) -> Option<String> {
        let mut slots = self.slots();
        let offered = slots.offered.take()?;
        if self.run_is_open.load(Ordering::SeqCst) {
            return None;
        }
        let label = offered.label.clone();
        slots.current = Some(offered);
        Some(label)
    }

    /// The front end of runs that open now; `None` for the bundle's own backbone.
    #[must_use]
    pub fn current(&self) -> Option<Arc<FrontEnd>> {
        self.slots().current.clone()
    }

    /// Told by the router whenever a run opens or closes.
    pub fn set_run_is_open(&self, is_open: bool) {
        self.run_is_open.store(is_open, Ordering::SeqCst);
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
