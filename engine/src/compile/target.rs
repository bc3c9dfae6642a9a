//! The GPU that an engine is compiled for.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A compute capability of RTX cards; an engine runs on that capability only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Ampere: RTX 30, A2000 to A6000.
    #[serde(rename = "sm_86")]
    Sm86,
    /// Ada: RTX 40, RTX 2000 to 6000 Ada.
    #[serde(rename = "sm_89")]
    Sm89,
    /// Blackwell: RTX 50, RTX PRO.
    #[serde(rename = "sm_120")]
    Sm120,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sm86, Self::Sm89, Self::Sm120];

    /// Name on the command line and of the folder of its engines.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Sm86 => "sm_86",
            Self::Sm89 => "sm_89",
            Self::Sm120 => "sm_120",
        }
    }

    /// The GPU of this machine.
    ///
    /// # Errors
    /// [`EngineError::NotInThisBuild`](crate::EngineError::NotInThisBuild),
    /// [`EngineError::NoDevice`](crate::EngineError::NoDevice) without a GPU that TensorRT for RTX compiles for.
    #[cfg(feature = "tensorrt")]
    pub fn of_this_machine() -> Result<Self, crate::EngineError> {
        let kind = mindeye_config::EngineKind::TensorrtRtx;
        Self::of_device(&*crate::cuda::Device::open(kind, 0)?)
    }

    /// The GPU of this machine, which a build without the feature cannot ask.
    ///
    /// # Errors
    /// [`EngineError::NotInThisBuild`](crate::EngineError::NotInThisBuild) always.
    #[cfg(not(feature = "tensorrt"))]
    pub fn of_this_machine() -> Result<Self, crate::EngineError> {
        Err(super::not_in_this_build())
    }

    #[cfg(feature = "tensorrt")]
    pub(crate) fn of_device(device: &crate::cuda::Device) -> Result<Self, crate::EngineError> {
        Self::of_capability(device.capability()).ok_or_else(|| crate::EngineError::NoDevice {
            kind: mindeye_config::EngineKind::TensorrtRtx,
            message: format!("{} is none of {}", device.describe(), names()),
        })
    }

    #[cfg(feature = "tensorrt")]
    fn of_capability(capability: (i32, i32)) -> Option<Self> {
        match capability {
            (8, 6) => Some(Self::Sm86),
            (8, 9) => Some(Self::Sm89),
            (12, 0) => Some(Self::Sm120),
            _ => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

impl FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|target| target.key() == text);
        found.ok_or_else(|| format!("target `{text}` is none of {}", names()))
    }
}

fn names() -> String {
    Target::ALL.map(Target::key).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line_and_no_others() {
        for target in Target::ALL {
            assert_eq!(target.key().parse(), Ok(target));
            assert_eq!(serde_json::to_value(target).unwrap(), target.key());
        }
        assert_eq!("sm_90".parse::<Target>(), Err("target `sm_90` is none of sm_86, sm_89, sm_120".into()));
    }

    #[cfg(feature = "tensorrt")]
    #[test]
    fn a_capability_has_its_target_and_a_data_centres_has_none() {
        let found = [(8, 6), (8, 9), (12, 0), (9, 0), (7, 5)].map(Target::of_capability);
        assert_eq!(found, [Some(Target::Sm86), Some(Target::Sm89), Some(Target::Sm120), None, None]);
    }
}
