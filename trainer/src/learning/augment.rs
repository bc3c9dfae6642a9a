//! Random views of pictures for the contrastive loss: a crop, and a change of light and colour. Every draw comes from
//! [`Draws`], so that a view follows from (seed, step) alone.

use crate::Draws;
use mindeye_config::EncoderTraining;
use tch::Tensor;

/// Mean of each colour in CLIP's training set, 0..1 (spec: diffusion section 1.4).
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Its standard deviation.
const SD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
/// Numbers of [`View::affine`] and [`View::light`].
const AFFINE: i64 = 6;

/// How one picture is seen.
struct View {
    /// Rows of the map from places of the view to places of the picture, both -1..1 from edge to edge.
    affine: [f32; AFFINE as usize],
    /// Factor of each colour, then contrast around the middle grey.
    light: [f32; 4],
}

impl View {
    fn draw(draws: &mut Draws, config: &EncoderTraining) -> Self {
        let mut within = |most: f64| most * (2.0 * draws.uniform() - 1.0);
        let smallest = config.smallest_view;
        let scale = (1.0 + smallest) / 2.0 + within((1.0 - smallest) / 2.0);
        let (x, y) = (within(1.0 - scale) as f32, within(1.0 - scale) as f32);
        let jitter = config.colour_jitter / 2.0;
        let brightness = 1.0 + within(jitter);
        let colour = |shift: f64| (brightness * (1.0 + shift)) as f32;
        let light =
            [colour(within(jitter)), colour(within(jitter)), colour(within(jitter)), (1.0 + within(jitter)) as f32];
        Self { affine: [scale as f32, 0.0, x, 0.0, scale as f32, y], light }
    }
}

/// A random view of each of `pictures` `[B, 3, S, S]` in 0..1, of the same side, normalised as CLIP's input.
pub(super) fn random_views(pictures: &Tensor, draws: &mut Draws, config: &EncoderTraining) -> Tensor {
    let batch = pictures.size()[0];
    let views: Vec<View> = (0..batch).map(|_| View::draw(draws, config)).collect();
    let tensor = |values: Vec<f32>| Tensor::from_slice(&values).to_device(pictures.device());
    let affine = tensor(views.iter().flat_map(|view| view.affine).collect()).view([batch, 2, 3]);
    let light = tensor(views.iter().flat_map(|view| view.light).collect()).view([batch, 4, 1, 1]);
    let grid = Tensor::affine_grid_generator(&affine, pictures.size(), false);
    let (bilinear, border) = (0, 1);
    let seen = pictures.grid_sampler(&grid, bilinear, border, false) * light.narrow(1, 0, 3);
    let contrasted: Tensor = (seen - 0.5) * light.narrow(1, 3, 1) + 0.5;
    normalised(&contrasted.clamp(0.0, 1.0))
}

/// Pictures in 0..1 as CLIP's input.
pub(super) fn normalised(pictures: &Tensor) -> Tensor {
    let channel = |values: &[f32; 3]| Tensor::from_slice(values).to_device(pictures.device()).view([1, 3, 1, 1]);
    (pictures - channel(&MEAN)) / channel(&SD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn a_view_follows_from_its_draws_and_no_change_is_the_picture_itself() {
        let pictures = Tensor::rand([3, 3, 8, 8], (Kind::Float, Device::Cpu));
        let views = |seed, config: &EncoderTraining| random_views(&pictures, &mut Draws::new(seed, 0, "view"), config);
        let some = EncoderTraining::default();
        let off = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        assert_eq!(off(&views(1, &some), &views(1, &some)), 0.0);
        assert!(off(&views(1, &some), &views(2, &some)) > 0.1);
        let none = EncoderTraining { smallest_view: 1.0, colour_jitter: 0.0, ..some };
        // 1e-5: places are computed in float32.
        assert!(off(&views(1, &none), &normalised(&pictures)) < 1e-5);
    }
}
