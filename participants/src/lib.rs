//! Synthetic participants: pictures, brains that answer them, and a scanner's noise, as hard to decode as real ones.
//!
//! ```text
//!   picture ──► encoding ──► participant ──┬─► betas   trial betas at once: tuning, learning curves   ─► training folder
//!   labels,     form,        attention,    └─► bold    volumes: haemodynamics, drift, motion, noise ─┬─► bids
//!   pixels      colour,      variation in                                                           └─► simulated scanner
//!               meaning      the signal subspace, days
//!                                          observer: what could be decoded at all
//! ```
//!
//! [`Participant`] is the whole of it; [`parameters`] are presets in `config/participants`, frozen by [`parameters::digest`];
//! `docs/participants.md` says what is realistic and what is not. Everything follows from seeds by counters: any part can
//! be made alone, in any order, on any number of threads.
//!
//! Deliberately absent: threads and clocks (the caller's), decoders and their embeddings (but [`stand_in`], with which the
//! mixture was set), sockets (the daemon's simulated scanner plays [`bold::BoldRun`]), heartbeat and breath.

mod anatomy;
pub mod betas;
pub mod bids;
pub mod bold;
pub mod encoding;
mod haemodynamics;
mod noise;
pub mod observer;
pub mod parameters;
mod participant;
pub mod picture;
pub mod program;
mod random;
pub mod schedule;
pub mod stand_in;

pub use anatomy::{Anatomy, Area, Site, TooFewVoxels, Warp};
pub use participant::{DayState, Participant, ParticipantError, REFERENCE_PICTURES, TrialState, reference_stimuli};
