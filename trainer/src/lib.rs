//! The trainer's place in the workspace: weights will be made here, with `tch`, from single-trial betas.
//!
//! This version has no training code yet, and says so at every verb. Until then bundles carry random weights
//! (`mindeye-export bundle --random-init`). Deliberately absent for good: sessions of compiled networks, sockets.

pub mod ridge;
