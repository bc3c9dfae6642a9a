//! Quality: what tells a person, while the run goes on, whether its data are any good.

mod displacement;
mod volume;

pub use displacement::{JENKINSON_RADIUS_MM, POWER_RADIUS_MM, jenkinson_rms_mm, power_displacement_mm};
pub use volume::VolumeQuality;
pub(crate) use volume::{QualityMeter, Seen};
