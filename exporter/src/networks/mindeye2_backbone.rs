//! MindEye2's backbone for one subject, as the affine map that it is, with its projector.
//!
//! ```text
//!   voxels [B, V] ─ ridge.linears.I ─ + c ─ backbone_linear ─ backbone_tokens [B, T, D] ─ clip_proj ─ retrieval_tokens
//! ```
//! MindEye2 puts mixer blocks between ridge and output. With one token in the sequence (`seq_len` 1, as released and as
//! in real time) they add one learned number c to all channels and nothing else: block B normalises over an axis of
//! length 1, which leaves the norm's bias whatever comes in, and adds its answer to the *previous* B, not to A's. So all
//! A blocks are dead, and their weights (134 million at width 4096) stay out of the graph.
//! Spec: MindEye section 7b. `reference` evaluates every block; the parity tests hold the collapsed graph to it.

use super::recipes::Drawing;
use super::{Network, beside, tensor_entry};
use crate::ExportError;
use crate::onnx::{GraphError, Wire};
use crate::reference::{Array, mindeye2_backbone};
use crate::weights::{Layout, SetAside, StateDict, Weights};
use mindeye_config::TensorEntry;

/// Sizes of MindEye2's backbone, told by its tensors but for the subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MindEye2Backbone {
    /// Which of `ridge.linears`.
    pub subject: usize,
    /// The subject's voxels, V.
    pub voxels: usize,
    /// Width of the shared space.
    pub hidden: usize,
    /// Mixer blocks.
    pub blocks: usize,
    /// Tokens, T.
    pub tokens: usize,
    /// Width of a token, D.
    pub token_dim: usize,
    /// All subjects of the file.
    pub subjects: Vec<usize>,
}

impl MindEye2Backbone {
    /// Reads the sizes for `subject` out of the shapes in `weights`; a file with one subject needs none named.
    ///
    /// # Errors
    /// No such subject, or several of which none is named; a sequence longer than 1, which does not collapse.
    pub fn of(weights: &Weights, subject: Option<usize>) -> Result<Self, ExportError> {
        let subjects = weights.numbers("ridge.linears.");
        let subject = chosen(&subjects, subject)?;
        let ridge = format!("ridge.linears.{subject}.weight");
        let mixer = "backbone.mixer_blocks2.0";
        let sequence = weights.first_size(&[(&format!("{mixer}.0.weight"), 0), (&format!("{mixer}.0.bias"), 0)]);
        if sequence > 1 {
            let what = format!("{}: a MindEye2 that mixes a sequence of {sequence} is", weights.path().display());
            return Err(ExportError::NotYet { what, instead: "it reads those of 1, whose blocks collapse".into() });
        }
        let norm = ["weight", "bias"].map(|parameter| format!("backbone.clip_proj.0.{parameter}"));
        let token_dim = weights.first_size(&[(&norm[0], 0), (&norm[1], 0)]);
        let wide = weights.first_size(&[("backbone.backbone_linear.weight", 0), ("backbone.backbone_linear.bias", 0)]);
        Ok(Self {
            subject,
            voxels: weights.size(&ridge, 1),
            hidden: weights.first_size(&[(&ridge, 0), ("backbone.backbone_linear.weight", 1)]),
            blocks: weights.count("backbone.mixer_blocks2.").max(weights.count("backbone.mixer_blocks1.")),
            tokens: wide.checked_div(token_dim).unwrap_or(0),
            token_dim,
            subjects,
        })
    }

    fn ridge(&self) -> String {
        format!("ridge.linears.{}", self.subject)
    }

    fn token_shape(&self, batch: usize) -> [usize; 3] {
        [batch, self.tokens, self.token_dim]
    }

    /// The number c that all blocks together add to every channel, [1, 1]; runtimes work it out once, when they load.
    fn constant(&self, net: &mut Drawing<'_, '_>) -> Result<Option<Wire>, GraphError> {
        let mut sum = None;
        for i in 0..self.blocks {
            let block = format!("backbone.mixer_blocks2.{i}");
            // Layer normalisation of a single number is its bias.
            let normed = net.weight(&block, &format!("{block}.0.bias"))?;
            let normed = net.graph.reshape(&format!("{block}.0"), &normed, &[1, 1])?;
            let inner = net.linear(&format!("{block}.1.0"), &normed)?;
            let inner = net.graph.gelu(&format!("{block}.1.1"), &inner)?;
            let answer = net.linear(&format!("{block}.1.3"), &inner)?;
            sum = Some(match sum {
                None => answer,
                Some(before) => net.graph.add(&block, &before, &answer)?,
            });
        }
        Ok(sum)
    }
}

/// The subject that was named, or the only one.
pub(super) fn chosen(subjects: &[usize], named: Option<usize>) -> Result<usize, ExportError> {
    let refuse = |message| Err(ExportError::Flag { flag: "--subject", message });
    match (named, subjects) {
        (Some(named), _) if subjects.contains(&named) => Ok(named),
        (Some(named), _) => refuse(format!("no front-end {named}; the file has {subjects:?}")),
        (None, [only]) => Ok(*only),
        (None, _) => refuse(format!("name one of the file's front-ends {subjects:?}")),
    }
}

impl Network for MindEye2Backbone {
    fn name(&self) -> &'static str {
        "backbone"
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        layout.linear(&self.ridge(), self.hidden, self.voxels);
        for i in 0..self.blocks {
            for (mixer, width) in [("mixer_blocks1", self.hidden), ("mixer_blocks2", 1)] {
                let block = format!("backbone.{mixer}.{i}");
                layout.norm(&format!("{block}.0"), width);
                layout.linear(&format!("{block}.1.0"), width, width);
                layout.linear(&format!("{block}.1.3"), width, width);
            }
        }
        layout.linear("backbone.backbone_linear", self.tokens * self.token_dim, self.hidden);
        for i in 0..3 {
            layout.norm(&format!("backbone.clip_proj.{}", 3 * i), self.token_dim);
            layout.linear(&format!("backbone.clip_proj.{}", 3 * i + 2), self.token_dim, self.token_dim);
        }
        layout
    }

    fn set_aside(&self) -> Vec<SetAside> {
        let others = self.subjects.iter().filter(|subject| **subject != self.subject);
        let others = others.map(|i| beside(&format!("ridge.linears.{i}.*"), "another subject's front-end"));
        let blurry = ["backbone.blin1.*", "backbone.bnorm.*", "backbone.bupsampler.*", "backbone.b_maps_projector.*"];
        let blurry = blurry.map(|pattern| beside(pattern, "the blurry head's"));
        others.chain(blurry).chain([beside("diffusion_prior.*", "the diffusion prior's")]).collect()
    }

    fn folded(&self) -> Vec<SetAside> {
        let gains = (0..self.blocks).map(|i| format!("backbone.mixer_blocks2.{i}.0.weight"));
        let gains = gains.map(|key| beside(&key, "times the 0 that normalising one number leaves"));
        gains.chain([beside("backbone.mixer_blocks1.*", "dead with one token in the sequence")]).collect()
    }

    fn inputs(&self, batch: usize) -> Vec<TensorEntry> {
        vec![tensor_entry("voxels", &[batch, self.voxels])]
    }

    fn outputs(&self, batch: usize) -> Vec<TensorEntry> {
        let shape = self.token_shape(batch);
        vec![tensor_entry("backbone_tokens", &shape), tensor_entry("retrieval_tokens", &shape)]
    }

    fn draw(&self, net: &mut Drawing<'_, '_>, batch: usize) -> Result<(), GraphError> {
        let voxels = net.input("voxels", &[batch, self.voxels])?;
        let mut shared = net.linear(&self.ridge(), &voxels)?;
        if let Some(c) = self.constant(net)? {
            shared = net.graph.add("shared", &shared, &c)?;
        }
        let wide = net.linear("backbone.backbone_linear", &shared)?;
        let tokens = net.graph.reshape("tokens", &wide, &self.token_shape(batch))?;
        let projected = net.projector("backbone.clip_proj", &tokens)?;
        net.graph.output("backbone_tokens", &tokens)?;
        net.graph.output("retrieval_tokens", &projected)
    }

    fn reference(&self, state: &StateDict<'_>, inputs: &[Array]) -> Vec<Array> {
        mindeye2_backbone(self, state, &inputs[0])
    }
}
