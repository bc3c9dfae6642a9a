//! The networks that a preset of model dimensions describes.

use crate::networks::{Backbone, KlDecoder, LowLevel, Network, VaeDecoder};
use mindeye_config::{Complaint, ModelDimensions};

/// Channels of Stable Diffusion's latents.
const LATENT_CHANNELS: usize = 4;
/// Channels of a picture.
const COLOURS: usize = 3;
/// Residual blocks in each stage of the low-level network's upsampler (spec: MindEye section 4.1).
const UPSAMPLER_RESNETS: usize = 2;
/// Stages of the upsampler: two of them double, which makes the latent 4S x 4S.
const UPSAMPLER_STAGES: usize = 3;

/// The networks of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Voxels to tokens.
    pub backbone: Backbone,
    /// Voxels to latent.
    pub low_level: LowLevel,
    /// Latent to picture.
    pub vae_decoder: VaeDecoder,
}

impl Sizes {
    /// The networks of `model` with as many inputs as the mask has `voxels`.
    ///
    /// # Errors
    /// A [`Complaint`] about channels and stages that the networks cannot have.
    pub fn of(model: &ModelDimensions, voxels: usize) -> Result<Self, Complaint> {
        check(model)?;
        let decoder = |prefix: &str, input, channels: &[usize], resnets, output| KlDecoder {
            prefix: prefix.to_owned(),
            input,
            middle: channels.last().copied().unwrap_or(0),
            stages: channels.iter().rev().copied().collect(),
            resnets,
            output,
            norm_groups: model.norm_groups,
        };
        let map_channels = model.low_level_map_channels;
        let upsampler =
            decoder("upsampler.", map_channels, &model.upsampler_channels, UPSAMPLER_RESNETS, LATENT_CHANNELS);
        let vae = decoder("decoder.", LATENT_CHANNELS, &model.vae_channels, model.vae_layers_per_block + 1, COLOURS);
        Ok(Self {
            backbone: Backbone {
                voxels,
                hidden: model.hidden,
                blocks: model.blocks,
                tokens: model.tokens,
                token_dim: model.token_dim,
                projector_hidden: model.projector_hidden,
            },
            low_level: LowLevel {
                voxels,
                hidden: model.low_level_hidden,
                blocks: model.blocks,
                map_channels,
                map_side: model.low_level_map_side,
                upsampler,
            },
            vae_decoder: VaeDecoder {
                latent_channels: LATENT_CHANNELS,
                latent_side: model.latent_side(),
                decoder: vae,
            },
        })
    }

    /// All networks, in the order in which a trial passes them.
    #[must_use]
    pub fn networks(&self) -> [&dyn Network; 3] {
        [&self.backbone, &self.low_level, &self.vae_decoder]
    }
}

fn check(model: &ModelDimensions) -> Result<(), Complaint> {
    let stages = model.upsampler_channels.len();
    if stages != UPSAMPLER_STAGES {
        let message = format!("must list {UPSAMPLER_STAGES} stages, found {stages}");
        return Err(Complaint::new("upsampler_channels", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn preset(name: &str) -> ModelDimensions {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/model");
        mindeye_config::load(&folder.join(format!("{name}.toml"))).unwrap()
    }

    #[test]
    fn every_preset_describes_networks() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/model");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 4, "{files:?}");
        for file in files {
            let model: ModelDimensions = mindeye_config::load(&file).unwrap();
            let sizes = Sizes::of(&model, model.voxels).unwrap();
            let latent = sizes.low_level.outputs(1);
            assert_eq!(latent[0].shape, sizes.vae_decoder.inputs(1)[0].shape, "{}", file.display());
            assert_eq!(sizes.vae_decoder.outputs(1)[0].shape[2], model.picture_side(), "{}", file.display());
        }
    }

    #[test]
    fn published_sizes_have_the_published_parameter_counts() {
        // Spec: MindEye sections 1.2 and 4.1, diffusion section 2.1 (decoder 49,490,179 + post_quant_conv 20).
        let model = preset("mindeye1-subj01");
        let sizes = Sizes::of(&model, model.voxels).unwrap();
        let counts = sizes.networks().map(|network| (network.name(), network.layout().parameters()));
        assert_eq!(counts, [("backbone", 947_579_904), ("low-level", 205_505_988), ("vae-decoder", 49_490_199)]);
    }

    #[test]
    fn layouts_are_those_of_the_published_key_lists() {
        let model = preset("mindeye1-subj01");
        let sizes = Sizes::of(&model, model.voxels).unwrap();
        let cases = [
            (sizes.low_level.layout(), "upsampler4x", "upsampler."),
            (sizes.vae_decoder.layout(), "vae_kl_decoder", ""),
        ];
        for (layout, list, prefix) in cases {
            let list = format!("{}/tests/fixtures/keys_{list}.tsv", env!("CARGO_MANIFEST_DIR"));
            let listed = std::fs::read_to_string(list).unwrap();
            let mut published: Vec<&str> = listed.lines().filter(|line| !line.starts_with('#')).collect();
            let ours = layout.tensors.iter().filter(|(key, _)| key.starts_with(prefix));
            let mut ours: Vec<_> = ours.map(|(key, shape)| format!("{key}\t{}", joined(shape))).collect();
            published.sort_unstable();
            ours.sort_unstable();
            assert_eq!(ours, published);
        }
    }

    fn joined(shape: &[usize]) -> String {
        shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
    }

    #[test]
    fn an_upsampler_of_other_depth_is_refused() {
        let model = ModelDimensions { upsampler_channels: vec![32, 64], ..preset("demo") };
        let complaint = Sizes::of(&model, 10).unwrap_err().to_string();
        assert_eq!(complaint, "key `upsampler_channels`: must list 3 stages, found 2");
    }
}
