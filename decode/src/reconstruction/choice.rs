//! Which of several reconstructions is shown: the one whose CLIP tokens lie nearest to the decoded retrieval tokens.
//!
//! MindEye's second-order selection (spec: MindEye section 5, step 8): cosine of the flattened tokens.

use super::round_trip::{CLIP_MEAN, CLIP_SD};
use crate::decoder::Networks;
use crate::{DecodeError, Network, Picture};
use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Rgb};
use mindeye_config::Timings;

const PRODUCT: &str = "choice";

/// Cosine of the CLIP tokens of `picture` with `retrieval_tokens`, −1 to 1.
pub(super) fn similarity(
    networks: &mut Networks,
    picture: &Picture,
    retrieval_tokens: &[f32],
    timings: &mut Timings,
) -> Result<f64, DecodeError> {
    let side = networks.get(PRODUCT, Network::ClipImage)?.input_shape(0)[2];
    let pixels = pixel_values(picture, side);
    let tokens = &networks.run(PRODUCT, Network::ClipImage, &[&pixels], timings)?[0];
    Ok(cosine(tokens, retrieval_tokens))
}

/// CLIP's input, f32[3, side, side]: the picture's larger side cut to a centred square, resized with a bicubic filter
/// (Catmull-Rom, a = −½, as Pillow's), normalised with CLIP's mean and SD.
#[must_use]
pub fn pixel_values(picture: &Picture, side: usize) -> Vec<f32> {
    let (width, height) = (picture.width(), picture.height());
    let square = width.min(height);
    let whole: ImageBuffer<Rgb<u8>, Vec<u8>> =
        ImageBuffer::from_raw(width, height, picture.rgb().to_vec()).expect("a picture has 3 bytes for each pixel");
    let (left, top) = ((width - square) / 2, (height - square) / 2);
    let middle = image::imageops::crop_imm(&whole, left, top, square, square).to_image();
    let small = resize(&middle, side as u32, side as u32, FilterType::CatmullRom);
    let value =
        |channel: usize, pixel: &Rgb<u8>| (f64::from(pixel[channel]) / 255.0 - CLIP_MEAN[channel]) / CLIP_SD[channel];
    (0..3).flat_map(|channel| small.pixels().map(move |pixel| value(channel, pixel) as f32)).collect()
}

/// 0 where one of them is zero.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grey_picture_is_grey_in_every_size_and_its_middle_is_what_counts() {
        let wide: Vec<u8> = (0..4).flat_map(|_| [9, 100, 100, 9]).flat_map(|level| [level; 3]).collect();
        let picture = Picture::new(4, 4, wide.clone()).unwrap();
        assert_eq!(pixel_values(&picture, 3).len(), 27);
        let tall = Picture::new(4, 2, wide[..24].to_vec()).unwrap();
        for (i, value) in pixel_values(&tall, 2).iter().enumerate() {
            let expected = (100.0 / 255.0 - CLIP_MEAN[i / 4]) / CLIP_SD[i / 4];
            // 1e-6: rounded to f32.
            assert!((f64::from(*value) - expected).abs() < 1e-6, "{i}: {value}, expected {expected}");
        }
    }

    #[test]
    fn nearness_is_the_cosine() {
        let cases = [([1.0, 0.0], [5.0, 0.0], 1.0), ([1.0, 0.0], [0.0, 2.0], 0.0), ([1.0, 0.0], [-3.0, 0.0], -1.0)];
        for (a, b, expected) in cases {
            assert_eq!(cosine(&a, &b), expected);
        }
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 1.0]), 0.0);
    }
}
