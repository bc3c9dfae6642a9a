//! A decoded picture in 8-bit RGB, and the PNG bytes under which it travels.

use crate::DecodeError;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

/// A picture, u8[height, width, 3], sRGB as the VAE was trained on; at least one pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Picture {
    /// A picture of `rgb`: red, green, blue of each pixel, row by row from the top left.
    ///
    /// # Errors
    /// [`DecodeError::PictureSize`] when there is no pixel or `rgb` is not `3 * width * height` long.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, DecodeError> {
        let expected = u64::from(width).saturating_mul(u64::from(height)).saturating_mul(3);
        if expected == 0 || rgb.len() as u64 != expected {
            return Err(DecodeError::PictureSize { width, height, expected, found: rgb.len() });
        }
        Ok(Self { width, height, rgb })
    }

    /// The picture of a decoder's output `image`, f32[3, height, width] in `range`, clamped, in 256 levels.
    /// Spec: diffusion section 2.
    pub(crate) fn from_planes(
        image: &[f32],
        [height, width]: [usize; 2],
        range: PixelRange,
    ) -> Result<Self, DecodeError> {
        let pixels = height * width;
        let mut rgb = vec![0; image.len()];
        for (channel, plane) in image.chunks(pixels).enumerate() {
            for (pixel, value) in plane.iter().enumerate() {
                rgb[3 * pixel + channel] = level(*value, range);
            }
        }
        Self::new(width as u32, height as u32, rgb)
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Red, green, blue of each pixel, row by row from the top left.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The picture as a PNG file without metadata: equal pictures give equal bytes.
    #[must_use]
    pub fn to_png(&self) -> Vec<u8> {
        let mut png = Vec::new();
        // Fast: a live picture leaves once, over a local socket; half the bytes are not worth milliseconds there.
        PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive)
            .write_image(&self.rgb, self.width, self.height, ExtendedColorType::Rgb8)
            .expect("a picture has a pixel and 3 bytes for each, and a vector takes any number of bytes");
        png
    }
}

/// Where a decoder's pixels lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PixelRange {
    /// [-1, 1], the VAE's.
    Symmetric,
    /// [0, 1], TAESD's.
    Unit,
}

fn level(x: f32, range: PixelRange) -> u8 {
    let unit = match range {
        PixelRange::Symmetric => x / 2.0 + 0.5,
        PixelRange::Unit => x,
    };
    // The cast saturates and the value lies in 0..=255 anyway.
    (255.0 * unit.clamp(0.0, 1.0)).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_of_either_range_become_interleaved_levels() {
        let cases = [(-1.0, 0), (1.0, 255), (0.0, 128), (-7.0, 0), (7.0, 255), (0.5, 191)];
        for (value, expected) in cases {
            assert_eq!(level(value, PixelRange::Symmetric), expected, "{value}");
            assert_eq!(level(value / 2.0 + 0.5, PixelRange::Unit), expected, "{value}");
        }
        let picture = Picture::from_planes(&[-1.0, 1.0, 0.0, 0.0, 1.0, -1.0], [1, 2], PixelRange::Symmetric).unwrap();
        assert_eq!(picture, Picture::new(2, 1, vec![0, 128, 255, 255, 128, 0]).unwrap());
    }

    #[test]
    fn equal_pictures_give_equal_png_bytes_that_read_back() {
        let rgb: Vec<u8> = (0..48 * 32 * 3).map(|i| (i * i % 251) as u8).collect();
        let picture = Picture::new(48, 32, rgb).unwrap();
        let png = picture.to_png();
        assert_eq!(png, picture.clone().to_png());
        let read = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!((read.dimensions(), read.into_raw()), ((48, 32), picture.rgb));
    }

    #[test]
    fn a_picture_of_another_length_than_its_size_is_refused() {
        for (width, height, length) in [(2, 2, 11), (2, 2, 13), (0, 2, 0), (u32::MAX, u32::MAX, 3)] {
            let error = Picture::new(width, height, vec![0; length]).unwrap_err();
            let found = format!("found {length}");
            assert!(error.to_string().starts_with(&format!("a {width}x{height} picture needs")), "{error}");
            assert!(error.to_string().ends_with(&found), "{error}");
        }
    }
}
