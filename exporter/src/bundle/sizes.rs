//! The networks of a bundle without weights: those that a preset of model dimensions describes, and around them a
//! renderer of published or of demo size.

use crate::ExportError;
use crate::networks::{
    Backbone, Choices, ClipImage, Half, KlDecoder, KlEncoder, Level, LowLevel, Network, Prior, SamplerStep, Taesd,
    Unet, VaeDecoder, VaeEncoder,
};
use mindeye_config::{Complaint, ModelDimensions, Precision};

/// Channels of Stable Diffusion's latents.
const LATENT_CHANNELS: usize = 4;
/// Channels of a picture.
const COLOURS: usize = 3;
/// Residual blocks in each stage of the low-level network's upsampler (spec: MindEye section 4.1).
const UPSAMPLER_RESNETS: usize = 2;
/// Stages of the upsampler: two of them double, which makes the latent 4S x 4S.
const UPSAMPLER_STAGES: usize = 3;
/// Examples that a bundle's UNet takes at once: the unconditional and the conditional branch of guidance.
pub(crate) const UNET_BATCH: usize = 2;

/// How large a bundle without weights is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Everything some ten times narrower, pictures of 64 px.
    Demo,
    /// As published: MindEye1 for NSD subject 1, Versatile Diffusion, TAESD, CLIP ViT-L/14.
    Full,
}

impl Size {
    /// The preset of the model, compiled in so that the program needs no file of the repository.
    #[must_use]
    pub fn model(self) -> ModelDimensions {
        let text = match self {
            Self::Demo => include_str!("../../../config/model/demo.toml"),
            Self::Full => include_str!("../../../config/model/mindeye1-subj01.toml"),
        };
        toml::from_str(text).expect("a preset of this repository is valid; `every_preset_describes_networks` reads it")
    }

    /// Arithmetic of its graphs where nobody asks for another: half precision where the disk would notice.
    #[must_use]
    pub fn precision(self) -> Precision {
        match self {
            Self::Demo => Precision::Fp32,
            Self::Full => Precision::Fp16,
        }
    }
}

/// The networks of a bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct Sizes {
    /// Voxels to tokens.
    pub backbone: Backbone,
    /// Noised tokens to clean ones.
    pub prior: Prior,
    /// Voxels to latent.
    pub low_level: LowLevel,
    /// Noise in a latent.
    pub unet: Unet,
    /// Guidance and the sampler's update.
    pub step: SamplerStep,
    /// Latent to picture.
    pub vae_decoder: VaeDecoder,
    /// Picture to latent.
    pub vae_encoder: VaeEncoder,
    /// Latent to picture, cheaply.
    pub taesd_decoder: Taesd,
    /// Picture to latent, cheaply.
    pub taesd_encoder: Taesd,
    /// Picture to tokens; none where the tokens are not those of a square of patches and a CLS token.
    pub clip_image: Option<ClipImage>,
}

impl Sizes {
    /// The networks of `model` with as many inputs as the mask has `voxels`, and a renderer of `size` that fits them.
    ///
    /// # Errors
    /// A [`Complaint`] about channels and stages that the networks cannot have.
    pub fn of(model: &ModelDimensions, voxels: usize, size: Size) -> Result<Self, Complaint> {
        check(model)?;
        let unet = unet(model, size);
        Ok(Self {
            backbone: backbone(model, voxels),
            prior: Prior::with(
                model.tokens,
                model.token_dim,
                model.prior_depth,
                model.prior_heads,
                model.prior_head_dim,
            ),
            low_level: low_level(model, voxels),
            step: SamplerStep::of(&unet),
            unet,
            vae_decoder: vae_decoder(model),
            vae_encoder: vae_encoder(model),
            taesd_decoder: taesd(model, size, Half::Decoder),
            taesd_encoder: taesd(model, size, Half::Encoder),
            clip_image: clip_image(model, size),
        })
    }

    /// The same networks with a user's `choices` of the latent's side and the UNet's tokens.
    ///
    /// # Errors
    /// A side that the UNet's levels cannot halve.
    pub(crate) fn with(mut self, choices: &Choices) -> Result<Self, ExportError> {
        self.unet.tokens = choices.tokens.unwrap_or(self.unet.tokens);
        if let Some(side) = choices.latent_side {
            self.unet.latent_side = side;
            self.unet.check_side().map_err(|message| ExportError::Flag { flag: "--latent-size", message })?;
            self.step.latent_side = side;
            (self.vae_decoder.latent_side, self.vae_encoder.latent_side) = (side, side);
            (self.taesd_decoder.latent_side, self.taesd_encoder.latent_side) = (side, side);
        }
        Ok(self)
    }

    /// The network called `name`, if there is one.
    pub(crate) fn into_network(self, name: &str) -> Option<Box<dyn Network>> {
        Some(match name {
            "backbone" => Box::new(self.backbone),
            "prior" => Box::new(self.prior),
            "low-level" => Box::new(self.low_level),
            "unet" => Box::new(self.unet),
            "step" => Box::new(self.step),
            "vae-decoder" => Box::new(self.vae_decoder),
            "vae-encoder" => Box::new(self.vae_encoder),
            "taesd-decoder" => Box::new(self.taesd_decoder),
            "taesd-encoder" => Box::new(self.taesd_encoder),
            "clip-image" => Box::new(self.clip_image?),
            _ => return None,
        })
    }

    /// All networks, in the order in which a trial passes them.
    #[must_use]
    pub fn networks(&self) -> Vec<&dyn Network> {
        let mut networks: Vec<&dyn Network> = vec![
            &self.backbone,
            &self.prior,
            &self.low_level,
            &self.unet,
            &self.step,
            &self.vae_decoder,
            &self.vae_encoder,
            &self.taesd_decoder,
            &self.taesd_encoder,
        ];
        networks.extend(self.clip_image.as_ref().map(|clip| clip as &dyn Network));
        networks
    }
}

fn backbone(model: &ModelDimensions, voxels: usize) -> Backbone {
    Backbone {
        voxels,
        hidden: model.hidden,
        blocks: model.blocks,
        tokens: model.tokens,
        token_dim: model.token_dim,
        projector_hidden: model.projector_hidden,
    }
}

fn low_level(model: &ModelDimensions, voxels: usize) -> LowLevel {
    let map_channels = model.low_level_map_channels;
    LowLevel {
        voxels,
        hidden: model.low_level_hidden,
        blocks: model.blocks,
        map_channels,
        map_side: model.low_level_map_side,
        upsampler: KlDecoder {
            resnets: UPSAMPLER_RESNETS,
            ..decoder("upsampler.", model, map_channels, &model.upsampler_channels, LATENT_CHANNELS)
        },
    }
}

/// A decoder whose stages have `channels` from the picture side inwards.
fn decoder(prefix: &str, model: &ModelDimensions, input: usize, channels: &[usize], output: usize) -> KlDecoder {
    KlDecoder {
        prefix: prefix.to_owned(),
        input,
        middle: channels.last().copied().unwrap_or(0),
        stages: channels.iter().rev().copied().collect(),
        resnets: model.vae_layers_per_block + 1,
        output,
        norm_groups: model.norm_groups,
    }
}

fn vae_decoder(model: &ModelDimensions) -> VaeDecoder {
    VaeDecoder {
        latent_channels: LATENT_CHANNELS,
        latent_side: model.latent_side(),
        decoder: decoder("decoder.", model, LATENT_CHANNELS, &model.vae_channels, COLOURS),
    }
}

fn vae_encoder(model: &ModelDimensions) -> VaeEncoder {
    let moments = 2 * LATENT_CHANNELS;
    let encoder = KlEncoder {
        prefix: "encoder.".into(),
        input: COLOURS,
        stages: model.vae_channels.clone(),
        resnets: model.vae_layers_per_block,
        output: moments,
        norm_groups: model.norm_groups,
    };
    VaeEncoder { moments, latent_side: model.latent_side(), encoder }
}

fn unet(model: &ModelDimensions, size: Size) -> Unet {
    let published = Unet {
        latent_side: model.latent_side(),
        tokens: model.tokens,
        token_dim: model.token_dim,
        ..Unet::published()
    };
    if size == Size::Full {
        return published;
    }
    let level = |channels, attends| Level { channels, attends_down: attends, attends_up: attends, heads: 2 };
    Unet {
        time_width: 128,
        levels: vec![level(32, true), level(64, true), level(64, false)],
        resnets: 1,
        norm_groups: model.norm_groups,
        ..published
    }
}

fn taesd(model: &ModelDimensions, size: Size, half: Half) -> Taesd {
    let published = Taesd { latent_side: model.latent_side(), ..Taesd::published(half) };
    match size {
        Size::Full => published,
        Size::Demo => Taesd { channels: 16, stages: vec![1; model.vae_channels.len()], ..published },
    }
}

fn clip_image(model: &ModelDimensions, size: Size) -> Option<ClipImage> {
    let grid = (model.tokens - 1).isqrt();
    if grid == 0 || grid * grid + 1 != model.tokens {
        return None;
    }
    let published = ClipImage { tokens: model.tokens, token_dim: model.token_dim, ..ClipImage::published() };
    Some(match size {
        Size::Full => published,
        Size::Demo => ClipImage { patch: 8, width: 64, mlp: 128, layers: 2, heads: 2, ..published },
    })
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

    #[test]
    fn every_preset_describes_networks_that_fit_together() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/model");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 4, "{files:?}");
        for file in files {
            let model: ModelDimensions = mindeye_config::load(&file).unwrap();
            for size in [Size::Demo, Size::Full] {
                let sizes = Sizes::of(&model, model.voxels, size).unwrap();
                let file = file.display();
                let latent = &sizes.low_level.outputs(1)[0].shape;
                for fits in [&sizes.vae_decoder.inputs(1), &sizes.taesd_decoder.inputs(1), &sizes.unet.outputs(1)] {
                    assert_eq!(&fits[0].shape, latent, "{file}");
                }
                let tokens = &sizes.backbone.outputs(1)[0].shape;
                assert_eq!(&sizes.unet.inputs(1)[2].shape, tokens, "{file}");
                assert_eq!(&sizes.prior.outputs(1)[0].shape, tokens, "{file}");
                if let Some(clip) = sizes.clip_image {
                    assert_eq!(&clip.outputs(1)[0].shape, tokens, "{file}");
                }
                let picture = sizes.vae_decoder.outputs(1)[0].shape[2];
                assert_eq!((picture, picture), (model.picture_side(), sizes.taesd_decoder.outputs(1)[0].shape[2]));
            }
        }
    }

    #[test]
    fn published_sizes_have_the_published_parameter_counts() {
        // Spec: MindEye sections 1.2, 2.4 (rotary frequencies once in each of 6 layers) and 4.1, diffusion sections 1
        // and 2 (encoder 34,163,592 + quant_conv 72, decoder 49,490,179 + post_quant_conv 20).
        let model = Size::Full.model();
        let sizes = Sizes::of(&model, model.voxels, Size::Full).unwrap();
        let counts: Vec<_> = sizes.networks().iter().map(|n| (n.name(), n.layout().parameters())).collect();
        let published = [
            ("backbone", 947_579_904),
            ("prior", 56_055_184 + 5 * 16),
            ("low-level", 205_505_988),
            ("unet", 859_520_964),
            ("step", 0),
            ("vae-decoder", 49_490_199),
            ("vae-encoder", 34_163_664),
            ("taesd-decoder", 1_222_531),
            ("taesd-encoder", 1_222_532),
            ("clip-image", 303_966_208),
        ];
        assert_eq!(counts, published);
        assert_eq!(sizes.unet.layout().tensors.len(), 686);
    }

    #[test]
    fn layouts_are_those_of_the_published_key_lists() {
        let model = Size::Full.model();
        let sizes = Sizes::of(&model, model.voxels, Size::Full).unwrap();
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
        let model = ModelDimensions { upsampler_channels: vec![32, 64], ..Size::Demo.model() };
        let complaint = Sizes::of(&model, 10, Size::Demo).unwrap_err().to_string();
        assert_eq!(complaint, "key `upsampler_channels`: must list 3 stages, found 2");
    }
}
