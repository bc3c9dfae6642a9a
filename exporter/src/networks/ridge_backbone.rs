//! The trainer's ridge variant: a participant's ridge into a shared space, a linear path to the tokens, and a gated MLP.
//!
//! ```text
//!   voxels [B, V] ─ ridge.<i> ─ s [B, H] ─┬─ linear ───────────────── + ─ backbone_tokens ─ projector ─ retrieval_tokens
//!                                         └─ MindEye1's MLP ─ x gate ─┘
//! ```
//! tokens = W s + b + g MLP(s), s = R_i x + r_i. With g = 0, which validation may choose, the tokens are affine in the
//! voxels: the graph holds two matrices and no MLP. Their product W R is not taken: it has T D V numbers and the two have
//! H (T D + V), fewer for every shared space narrower than the mask.

use super::mindeye2_backbone::chosen;
use super::recipes::Drawing;
use super::{Backbone, Network, beside, tensor_entry};
use crate::ExportError;
use crate::onnx::{GraphError, Wire};
use crate::reference::{Array, ridge_backbone};
use crate::weights::{Layout, SetAside, StateDict, Weights};
use mindeye_config::TensorEntry;

/// Start of every key.
const PREFIX: &str = "voxel2clip.";
const GATE: &str = "voxel2clip.gate";
const LINEAR: &str = "voxel2clip.linear";

/// Sizes of the variant, told by its tensors but for the participant, and its gate.
#[derive(Debug, Clone, PartialEq)]
pub struct RidgeBackbone {
    /// Which of `voxel2clip.ridge`.
    pub participant: usize,
    /// The participant's voxels, V.
    pub voxels: usize,
    /// All participants of the file.
    pub participants: Vec<usize>,
    /// g, what the MLP's answer is multiplied by.
    pub gate: f32,
    /// MLP and projector; its voxels are the dimensions of the shared space.
    pub behind: Backbone,
}

impl RidgeBackbone {
    /// Whether `weights` are of this variant.
    pub(super) fn is_in(weights: &Weights) -> bool {
        weights.count(&format!("{PREFIX}ridge.")) > 0
    }

    /// Reads sizes and gate for `participant` out of `weights`; a file with one participant needs none named.
    ///
    /// # Errors
    /// No such participant, or several of which none is named.
    pub fn of(weights: &Weights, participant: Option<usize>) -> Result<Self, ExportError> {
        let participants = weights.numbers(&format!("{PREFIX}ridge."));
        let participant = chosen(&participants, participant)?;
        // A missing gate is told with all other missing tensors.
        let gate = weights.float_tensor(GATE).and_then(|gate| gate.values().next()).unwrap_or(1.0);
        let voxels = weights.size(&format!("{PREFIX}ridge.{participant}.weight"), 1);
        Ok(Self { participant, voxels, participants, gate, behind: Backbone::of(weights) })
    }

    fn ridge(&self) -> String {
        format!("{PREFIX}ridge.{}", self.participant)
    }

    /// W s + b + g MLP(s), without what a gate of 0 or 1 makes idle.
    fn tokens(&self, net: &mut Drawing<'_, '_>, shared: &Wire) -> Result<Wire, GraphError> {
        let linear = net.linear(LINEAR, shared)?;
        if self.gate == 0.0 {
            return Ok(linear);
        }
        let mut learned = self.behind.mlp(net, shared)?;
        if self.gate != 1.0 {
            let gate = net.weight(GATE, GATE)?;
            learned = net.graph.mul("gated", &learned, &gate)?;
        }
        net.graph.add("tokens/sum", &linear, &learned)
    }
}

impl Network for RidgeBackbone {
    fn name(&self) -> &'static str {
        "backbone"
    }

    fn layout(&self) -> Layout {
        let shared = self.behind.voxels;
        let mut layout = Layout::default();
        layout.linear(&self.ridge(), shared, self.voxels);
        layout.linear(LINEAR, self.behind.tokens * self.behind.token_dim, shared);
        layout.tensor(GATE, &[1]);
        layout.tensors.extend(self.behind.layout().tensors);
        layout
    }

    fn set_aside(&self) -> Vec<SetAside> {
        let others = self.participants.iter().filter(|other| **other != self.participant);
        let others = others.map(|i| beside(&format!("{PREFIX}ridge.{i}.*"), "another participant's front-end"));
        others.chain(self.behind.set_aside()).collect()
    }

    fn folded(&self) -> Vec<SetAside> {
        if self.gate != 0.0 {
            return Vec::new();
        }
        let idle = ["lin0.*", "mlp.*", "lin1.*"].map(|part| beside(&format!("{PREFIX}{part}"), "behind a gate of 0"));
        idle.into_iter().chain([beside(GATE, "0: the tokens are affine in the voxels")]).collect()
    }

    fn inputs(&self, batch: usize) -> Vec<TensorEntry> {
        vec![tensor_entry("voxels", &[batch, self.voxels])]
    }

    fn outputs(&self, batch: usize) -> Vec<TensorEntry> {
        self.behind.outputs(batch)
    }

    fn draw(&self, net: &mut Drawing<'_, '_>, batch: usize) -> Result<(), GraphError> {
        let voxels = net.input("voxels", &[batch, self.voxels])?;
        let shared = net.linear(&self.ridge(), &voxels)?;
        let wide = self.tokens(net, &shared)?;
        self.behind.finish(net, &wide, batch)
    }

    /// The MLP is evaluated whatever the gate.
    fn reference(&self, state: &StateDict<'_>, inputs: &[Array]) -> Vec<Array> {
        ridge_backbone(self, state, &inputs[0])
    }
}
