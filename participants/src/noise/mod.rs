//! Noise that no averaging over voxels removes: smooth in space, correlated in time, with parts that the whole brain shares.

mod lasting;
mod modes;
mod smooth;

pub(crate) use lasting::{Lasting, LastingNoise, Scales};
pub(crate) use modes::{MODES, Modes};
pub(crate) use smooth::SmoothNoise;
