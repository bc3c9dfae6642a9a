//! Every way in beside native ZeroMQ: a source turns what one kind of scanner sends into runs and volumes, nothing else.
//!
//! ```text
//!   DICOM folder ─┐
//!   NIfTI folder ─┤ VolumeSource ─► feeder ─native protocol, inside the process─► router (intake, journal, limits)
//!   Pyneal       ─┤
//!   AFNI         ─┘
//! ```
//!
//! A source is a sender in the house: its volumes meet the same judge and the same journal as those of any other sender.
//! Nothing of a header but what [`dicom`] lists gets past this door.

pub mod dicom;
