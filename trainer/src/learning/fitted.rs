//! The backbone of a checkpoint as it answers: voxels in, tokens out, nothing learned any more.

use super::backbone::backbone;
use super::parameters::Parameters;
use crate::TrainError;
use crate::checkpoint::read_safetensors;
use crate::networks::{Backbone, FrontEnd};
use mindeye_config::ModelDimensions;
use ndarray::{Array2, ArrayView2};
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// A trained backbone with its projector, for one participant.
pub struct FittedBackbone {
    sizes: Backbone,
    parameters: Parameters,
    participant: usize,
    device: Device,
}

impl FittedBackbone {
    /// Reads the tensors `voxel2clip.*` of the file `weights`, whose sizes are those of `model`, for participant number
    /// `participant`.
    ///
    /// # Errors
    /// A missing, extra or mis-shaped tensor (all are listed), an unreadable file, no such participant.
    pub fn open(
        weights: &Path,
        model: &ModelDimensions,
        participant: usize,
        device: Device,
    ) -> Result<Self, TrainError> {
        let mut shapes = BTreeMap::new();
        read_safetensors(weights, |key, view| {
            shapes.insert(key, view.shape().to_vec());
            Ok(())
        })?;
        let sizes = Backbone::stored(model, &shapes);
        let count = match &sizes.front_end {
            FrontEnd::None => 1,
            FrontEnd::Ridge { participants, .. } => participants.len(),
        };
        if participant >= count {
            let problem = format!("has {count} participants, from 0 on; there is no number {participant}");
            return Err(TrainError::malformed(weights, problem));
        }
        let is_beside = |key: &str| key.starts_with("net.") || key.starts_with("noise_scheduler.");
        let parameters = Parameters::read(weights, sizes.layout(), is_beside, device)?;
        Ok(Self { sizes, parameters, participant, device })
    }

    /// Its sizes.
    #[must_use]
    pub fn sizes(&self) -> &Backbone {
        &self.sizes
    }

    /// Backbone tokens and retrieval tokens, f32[rows, T D] each, of z-scored voxels f32[rows, V].
    ///
    /// # Errors
    /// [`TrainError::Malformed`] when the voxels are not as many as the participant's, which names `weights`' sizes.
    pub fn tokens(&self, voxels: ArrayView2<'_, f32>) -> Result<[Array2<f32>; 2], TrainError> {
        let (found, wanted) = (voxels.ncols(), self.sizes.voxels(self.participant));
        if found != wanted {
            let problem = format!("takes {wanted} voxels of participant {}, found {found}", self.participant);
            return Err(TrainError::malformed(Path::new("the backbone"), problem));
        }
        let rows = voxels.nrows();
        let values: Vec<f32> = voxels.iter().copied().collect();
        let voxels = Tensor::from_slice(&values).view([rows as i64, found as i64]).to_device(self.device);
        let answer = tch::no_grad(|| backbone(&self.sizes, &self.parameters, &voxels, self.participant, None));
        Ok([answer.tokens, answer.projected].map(|tokens| matrix(&tokens, rows)))
    }
}

/// A tensor [rows, ...] as a matrix on the host.
fn matrix(tensor: &Tensor, rows: usize) -> Array2<f32> {
    let flat = tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous().view([-1]);
    let mut values = vec![0.0_f32; flat.numel()];
    flat.copy_data(&mut values, flat.numel());
    let columns = values.len() / rows.max(1);
    Array2::from_shape_vec((rows, columns), values).expect("a tensor has as many numbers as its shape says")
}
