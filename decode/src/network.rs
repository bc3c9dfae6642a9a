//! The networks that this version runs, and the tensors that each must have in a bundle of given dimensions.

use mindeye_config::{Dimensions, Step, TensorEntry};

/// A network of a bundle (names and tensors: contract of `mindeye-export graph`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Voxels to CLIP tokens, for the prior and for retrieval (Scotti et al. 2023, MindEye's high-level path).
    Backbone,
    /// Voxels to the VAE latent of a blurry picture (MindEye's low-level path).
    LowLevel,
    /// Latent to picture.
    VaeDecoder,
}

impl Network {
    /// All of them, in the order in which they are warmed up.
    pub const ALL: [Self; 3] = [Self::Backbone, Self::LowLevel, Self::VaeDecoder];

    /// Name in the manifest, the golden file and the folder `networks/`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Backbone => "backbone",
            Self::LowLevel => "low-level",
            Self::VaeDecoder => "vae-decoder",
        }
    }

    /// The network called `key`.
    #[must_use]
    pub fn named(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|network| network.key() == key)
    }

    /// The step under which its time is booked.
    #[must_use]
    pub fn step(self) -> Step {
        match self {
            Self::Backbone => Step::Backbone,
            Self::LowLevel => Step::LowLevel,
            Self::VaeDecoder => Step::Vae,
        }
    }

    /// Its inputs at batch 1, in order.
    #[must_use]
    pub fn inputs(self, dimensions: &Dimensions) -> Vec<TensorEntry> {
        match self {
            Self::Backbone | Self::LowLevel => vec![tensor("voxels", &[dimensions.voxels])],
            Self::VaeDecoder => vec![tensor("latent", &dimensions.latent)],
        }
    }

    /// Its outputs at batch 1, in order. `low-level` gives a scaled latent, `vae-decoder` takes an unscaled one.
    #[must_use]
    pub fn outputs(self, dimensions: &Dimensions) -> Vec<TensorEntry> {
        let tokens = [dimensions.tokens, dimensions.token_dim];
        let [height, width] = dimensions.picture;
        match self {
            Self::Backbone => vec![tensor("backbone_tokens", &tokens), tensor("retrieval_tokens", &tokens)],
            Self::LowLevel => vec![tensor("latent", &dimensions.latent)],
            Self::VaeDecoder => vec![tensor("image", &[3, height, width])],
        }
    }
}

fn tensor(name: &str, shape: &[usize]) -> TensorEntry {
    TensorEntry { name: name.into(), shape: [&[1], shape].concat() }
}
