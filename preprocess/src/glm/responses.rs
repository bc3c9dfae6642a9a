//! Which haemodynamic response a voxel has: the same as all, or its own from the library.

use crate::PreprocessError;
use crate::design::DoubleGamma;
use mindeye_config::{Hrf, PreprocessConfig};

/// The haemodynamic responses of a mask's voxels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Responses {
    /// One for all.
    Same(DoubleGamma),
    /// Members of the library, by place in the mask.
    Library(Vec<u8>),
}

impl Responses {
    /// # Errors
    /// [`PreprocessError::Disagree`] if the recipe wants a library and there is no index of the mask's voxels, or the
    /// other way round; or an index beyond the library.
    pub(crate) fn of(recipe: &PreprocessConfig, index: Option<&[u8]>, voxels: usize) -> Result<Self, PreprocessError> {
        let disagree = |left_value: String, right_value: String| PreprocessError::Disagree {
            left: "recipe",
            right: "HRF index",
            what: "haemodynamic response",
            left_value,
            right_value,
        };
        match (recipe.hrf.kind, index) {
            (Hrf::Spm, None) => Ok(Self::Same(DoubleGamma::SPM)),
            (Hrf::Glover, None) => Ok(Self::Same(DoubleGamma::GLOVER)),
            (Hrf::Library, Some(index)) if index.len() != voxels => {
                Err(disagree(format!("{voxels} voxels"), format!("{} voxels", index.len())))
            }
            (Hrf::Library, Some(index)) => match index.iter().find(|at| usize::from(**at) >= DoubleGamma::LIBRARY_SIZE)
            {
                Some(at) => Err(disagree(format!("a library of {}", DoubleGamma::LIBRARY_SIZE), at.to_string())),
                None => Ok(Self::Library(index.to_vec())),
            },
            (kind, index) => {
                let given = if index.is_some() { "an index per voxel" } else { "no index" };
                Err(disagree(format!("{kind:?}"), given.into()))
            }
        }
    }

    /// Each response with the places of its voxels; `None` for all.
    pub(super) fn groups(&self) -> Vec<(DoubleGamma, Option<Vec<usize>>)> {
        match self {
            Self::Same(shape) => vec![(*shape, None)],
            Self::Library(index) => {
                let members = |member: usize| -> Vec<usize> {
                    (0..index.len()).filter(|place| usize::from(index[*place]) == member).collect()
                };
                let groups = (0..DoubleGamma::LIBRARY_SIZE).map(|member| (member, members(member)));
                let used = groups.filter(|(_, members)| !members.is_empty());
                used.map(|(member, members)| (DoubleGamma::library(member), Some(members))).collect()
            }
        }
    }
}
