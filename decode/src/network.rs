//! The networks that this version runs, and the tensors that each must have in a bundle of given dimensions.

use mindeye_config::{Dimensions, NetworkEntry, Step, TensorEntry};

/// A network of a bundle (names and tensors: contract of `mindeye-export graph`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// Voxels to CLIP tokens, for the prior and for retrieval (Scotti et al. 2023, MindEye's high-level path).
    Backbone,
    /// Noised image tokens and brain tokens to clean image tokens: one evaluation of the diffusion prior.
    Prior,
    /// The update between two evaluations of the prior, for loops that stay on a device.
    PriorStep,
    /// Voxels to the VAE latent of a blurry picture (MindEye's low-level path).
    LowLevel,
    /// Noise in a latent, guided by image tokens: one evaluation of the latent diffusion.
    Unet,
    /// Guidance and the solver's update between two evaluations of the UNet, for loops that stay on a device.
    Step,
    /// A latent twice, for both branches of a guided evaluation: what such a loop hands back to the UNet.
    Branches,
    /// Latent to picture.
    VaeDecoder,
    /// Picture to latent: MindEye's round trip from the blurry picture.
    VaeEncoder,
    /// Scaled latent to picture, eighteen times cheaper than the VAE.
    TaesdDecoder,
    /// Picture to scaled latent.
    TaesdEncoder,
    /// Picture to CLIP tokens, to choose among several reconstructions.
    ClipImage,
}

/// Sizes that the manifest's dimensions leave open; read from the network's own entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    /// Examples in one evaluation of a UNet: 1, or 2 for unconditional and conditional branch together.
    batch: usize,
    /// Side of the picture that CLIP takes.
    clip_side: usize,
}

impl Network {
    /// All of them, in the order in which they are warmed up.
    pub const ALL: [Self; 12] = [
        Self::Backbone,
        Self::Prior,
        Self::PriorStep,
        Self::LowLevel,
        Self::Unet,
        Self::Step,
        Self::Branches,
        Self::VaeDecoder,
        Self::VaeEncoder,
        Self::TaesdDecoder,
        Self::TaesdEncoder,
        Self::ClipImage,
    ];

    /// Name in the manifest, the golden file and the folder `networks/`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Backbone => "backbone",
            Self::Prior => "prior",
            Self::PriorStep => "prior-step",
            Self::LowLevel => "low-level",
            Self::Unet => "unet",
            Self::Step => "step",
            Self::Branches => "branches",
            Self::VaeDecoder => "vae-decoder",
            Self::VaeEncoder => "vae-encoder",
            Self::TaesdDecoder => "taesd-decoder",
            Self::TaesdEncoder => "taesd-encoder",
            Self::ClipImage => "clip-image",
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
            Self::Prior | Self::PriorStep => Step::Prior,
            Self::LowLevel => Step::LowLevel,
            Self::Unet | Self::Step | Self::Branches => Step::Unet,
            Self::VaeDecoder | Self::VaeEncoder | Self::TaesdDecoder | Self::TaesdEncoder => Step::Vae,
            Self::ClipImage => Step::Retrieval,
        }
    }

    /// Its inputs in order, in a bundle of `dimensions`; what they leave open (batch of the UNet, side of CLIP's picture)
    /// is as in `entry`.
    #[must_use]
    pub fn inputs(self, dimensions: &Dimensions, entry: &NetworkEntry) -> Vec<TensorEntry> {
        let Open { batch, clip_side } = Open::of(entry);
        let Dimensions { voxels, tokens, token_dim, latent, picture: [height, width], .. } = dimensions;
        let tokens = [*tokens, *token_dim];
        match self {
            Self::Backbone | Self::LowLevel => vec![tensor("voxels", 1, &[*voxels])],
            Self::Prior => vec![
                tensor("noised_tokens", 1, &tokens),
                tensor("timestep", 1, &[]),
                tensor("brain_tokens", 1, &tokens),
            ],
            Self::Unet => vec![
                tensor("sample", batch, latent),
                tensor("timestep", batch, &[]),
                tensor("encoder_hidden_states", batch, &tokens),
            ],
            Self::PriorStep => {
                let mut inputs: Vec<_> =
                    ["sample", "predicted_tokens", "noise"].map(|name| tensor(name, 1, &tokens)).into();
                inputs.push(tensor("coefficients", 1, &[3]));
                inputs
            }
            Self::Step => step_inputs(latent),
            Self::Branches => vec![tensor("sample", 1, latent)],
            Self::VaeDecoder | Self::TaesdDecoder => vec![tensor("latent", 1, latent)],
            Self::VaeEncoder | Self::TaesdEncoder => vec![tensor("image", 1, &[3, *height, *width])],
            Self::ClipImage => vec![tensor("pixel_values", 1, &[3, clip_side, clip_side])],
        }
    }

    /// Its outputs in order. `low-level` and TAESD have scaled latents, the VAE unscaled ones.
    #[must_use]
    pub fn outputs(self, dimensions: &Dimensions, entry: &NetworkEntry) -> Vec<TensorEntry> {
        let Dimensions { tokens, token_dim, latent, picture: [height, width], .. } = dimensions;
        let tokens = [*tokens, *token_dim];
        match self {
            Self::Backbone => vec![tensor("backbone_tokens", 1, &tokens), tensor("retrieval_tokens", 1, &tokens)],
            Self::Prior => vec![tensor("predicted_tokens", 1, &tokens)],
            Self::PriorStep => vec![tensor("next_sample", 1, &tokens)],
            Self::LowLevel | Self::TaesdEncoder => vec![tensor("latent", 1, latent)],
            Self::Unet => vec![tensor("noise_prediction", Open::of(entry).batch, latent)],
            Self::Step => ["next_sample", "corrected", "prediction"].map(|name| tensor(name, 1, latent)).into(),
            Self::Branches => vec![tensor("samples", 2, latent)],
            Self::VaeDecoder | Self::TaesdDecoder => vec![tensor("image", 1, &[3, *height, *width])],
            Self::VaeEncoder => vec![tensor("moments", 1, &[2 * latent[0], latent[1], latent[2]])],
            Self::ClipImage => vec![tensor("image_tokens", 1, &tokens)],
        }
    }
}

impl Open {
    /// An entry without such sizes gives those that its network would be refused with.
    fn of(entry: &NetworkEntry) -> Self {
        let size = |dimension: usize| entry.inputs.first().and_then(|input| input.shape.get(dimension)).copied();
        Self { batch: size(0).filter(|batch| (1..=2).contains(batch)).unwrap_or(1), clip_side: size(2).unwrap_or(1) }
    }
}

/// The exporter's `step` graph works on one guided evaluation: both branches of the noise.
fn step_inputs(latent: &[usize; 3]) -> Vec<TensorEntry> {
    let latents = ["last_corrected", "last_prediction", "older_prediction"].map(|name| tensor(name, 1, latent));
    let mut inputs = vec![tensor("sample", 1, latent), tensor("noise_prediction", 2, latent)];
    inputs.extend(latents);
    inputs.push(tensor("guidance", 1, &[]));
    inputs.push(tensor("coefficients", 3, &[5]));
    inputs
}

fn tensor(name: &str, first: usize, rest: &[usize]) -> TensorEntry {
    TensorEntry { name: name.into(), shape: [&[first], rest].concat() }
}
