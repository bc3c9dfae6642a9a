//! The course of a UNet: which residual blocks, transformers and changes of side come after one another, down and up.

use super::unet::Unet;
use crate::weights::Weights;

/// One resolution of a UNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Channels.
    pub channels: usize,
    /// Whether a transformer follows each residual block on the way down.
    pub attends_down: bool,
    /// Whether one does on the way up.
    pub attends_up: bool,
    /// Heads of its transformers.
    pub heads: usize,
}

/// What follows the residual blocks of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Halve,
    Double,
    Nothing,
}

/// One block of `down_blocks` or `up_blocks`.
pub(super) struct Stage {
    /// Start of its keys.
    pub(super) key: String,
    /// Channels into and out of each residual block.
    pub(super) resnets: Vec<(usize, usize)>,
    /// Heads of the transformer after each, if there is one.
    pub(super) heads: Option<usize>,
    /// What follows them.
    pub(super) then: Then,
}

/// Level `i` of `count`, out of the shapes in `weights`.
pub(super) fn level(weights: &Weights, heads: &[usize], i: usize, count: usize) -> Level {
    let resnet = format!("down_blocks.{i}.resnets.0");
    let places = ["conv1.weight", "conv1.bias", "norm2.weight", "conv2.weight"].map(|key| format!("{resnet}.{key}"));
    Level {
        channels: weights.first_size(&places.each_ref().map(|key| (key.as_str(), 0))),
        attends_down: weights.count(&format!("down_blocks.{i}.attentions.")) > 0,
        attends_up: weights.count(&format!("up_blocks.{}.attentions.", count - 1 - i)) > 0,
        heads: heads.get(i).or(heads.last()).copied().unwrap_or(1),
    }
}

impl Unet {
    /// Channels of a level.
    pub(super) fn channels(&self, level: usize) -> usize {
        self.levels.get(level).map_or(0, |level| level.channels)
    }

    /// The innermost level.
    pub(super) fn deepest(&self) -> Level {
        let none = Level { channels: 0, attends_down: false, attends_up: false, heads: 1 };
        self.levels.last().copied().unwrap_or(none)
    }

    /// The way down, from the outside in.
    pub(super) fn down(&self) -> Vec<Stage> {
        let stage = |(i, level): (usize, &Level)| {
            let mut inner = self.channels(i.saturating_sub(1));
            let resnets = (0..self.resnets).map(|_| (std::mem::replace(&mut inner, level.channels), level.channels));
            Stage {
                key: format!("down_blocks.{i}"),
                resnets: resnets.collect(),
                heads: level.attends_down.then_some(level.heads),
                then: if i + 1 < self.levels.len() { Then::Halve } else { Then::Nothing },
            }
        };
        self.levels.iter().enumerate().map(stage).collect()
    }

    /// The way up, from the inside out: every residual block takes a skip as well.
    pub(super) fn up(&self) -> Vec<Stage> {
        let mut skips = self.skip_channels();
        let mut channels = self.deepest().channels;
        let stage = |(i, level): (usize, &Level)| {
            let mut resnets = Vec::new();
            for _ in 0..=self.resnets {
                resnets.push((channels + skips.pop().unwrap_or(0), level.channels));
                channels = level.channels;
            }
            let heads = level.attends_up.then_some(level.heads);
            let then = if i + 1 < self.levels.len() { Then::Double } else { Then::Nothing };
            Stage { key: format!("up_blocks.{i}"), resnets, heads, then }
        };
        self.levels.iter().rev().enumerate().map(stage).collect()
    }

    /// Channels of every skip in the order in which the way down makes them.
    fn skip_channels(&self) -> Vec<usize> {
        let mut skips = vec![self.channels(0)];
        for stage in self.down() {
            skips.extend(stage.resnets.iter().map(|(_, out)| *out));
            skips.extend((stage.then == Then::Halve).then(|| stage.resnets.last().map_or(0, |(_, out)| *out)));
        }
        skips
    }
}
