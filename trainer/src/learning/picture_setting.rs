//! What every part of a renderer is made from: pictures as tensors, and the renderer's folder.

use crate::{PictureSplit, Pictures, Sheet};
use mindeye_config::{ModelDimensions, RendererDimensions, TrainingConfig};
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Pictures that are validated or encoded at once.
pub(super) const CHUNK: usize = 64;

pub(super) struct PictureSetting<'a> {
    pub(super) model: &'a ModelDimensions,
    pub(super) renderer: &'a RendererDimensions,
    pub(super) training: &'a TrainingConfig,
    /// At the side of the VAE's pictures.
    pub(super) pictures: &'a Pictures,
    pub(super) split: &'a PictureSplit,
    pub(super) device: Device,
    /// The renderer's folder, where parts that are trained already lie.
    pub(super) out: &'a Path,
}

impl PictureSetting<'_> {
    /// The pictures that training calls `items`.
    pub(super) fn training_rows(&self, items: &[usize]) -> Vec<usize> {
        items.iter().map(|item| self.split.train[*item]).collect()
    }

    /// `rows` of `pictures` as `[B, 3, S, S]` in 0..1.
    pub(super) fn tensor(&self, pictures: &Pictures, rows: &[usize]) -> Tensor {
        let side = pictures.side() as i64;
        let bytes: Vec<u8> = rows.iter().flat_map(|row| pictures.picture(*row)).copied().collect();
        let pixels = Tensor::from_slice(&bytes).view([-1, side, side, 3]).to_device(self.device);
        pixels.permute([0, 3, 1, 2]).to_kind(Kind::Float).contiguous() / 255.0
    }

    /// The same in -1..1, as the VAE takes them.
    pub(super) fn signed(&self, rows: &[usize]) -> Tensor {
        self.tensor(self.pictures, rows) * 2.0 - 1.0
    }
}

/// Appends `pictures` `[B, 3, S, S]` in -1..1 to a sheet; what lies outside is cut.
pub(super) fn push_signed(sheet: &mut Sheet, pictures: &Tensor) {
    let bytes = ((pictures.to_device(Device::Cpu) + 1.0) * 127.5).round().clamp(0.0, 255.0);
    let bytes = bytes.to_kind(Kind::Uint8).permute([0, 2, 3, 1]).contiguous();
    for i in 0..bytes.size()[0] {
        let one = bytes.get(i).view([-1]);
        let mut rgb = vec![0_u8; one.numel()];
        one.copy_data(&mut rgb, one.numel());
        sheet.push(&rgb);
    }
}
