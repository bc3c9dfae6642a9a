//! Rasters as PNG inside the page: a picture that travels with its report.

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

/// `u8[height][width][3]`, top row first.
pub(crate) struct Raster {
    pub(crate) width: usize,
    pub(crate) height: usize,
    rgb: Vec<u8>,
}

impl Raster {
    /// All of one colour.
    pub(crate) fn new(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self { width, height, rgb: colour.repeat(width * height) }
    }

    /// Colours the pixel in column `x` of row `y`.
    pub(crate) fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        let at = 3 * (y * self.width + x);
        self.rgb[at..at + 3].copy_from_slice(&colour);
    }

    /// An SVG `<image>` of it that fills the rectangle, pixels sharp.
    pub(crate) fn svg_image(&self, [x, y, width, height]: [f64; 4]) -> String {
        format!(
            "<image x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" preserveAspectRatio=\"none\" \
             style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>",
            base64(&self.png())
        )
    }

    fn png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes)
            .write_image(&self.rgb, self.width as u32, self.height as u32, ExtendedColorType::Rgb8)
            .expect("the raster has three bytes per pixel, and memory takes what is written");
        bytes
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let index = word >> (18 - 6 * digit) & 63;
            text.push(if digit <= chunk.len() { DIGITS[index as usize].into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, expected) in cases {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn a_raster_comes_back_from_its_png() {
        let mut raster = Raster::new(3, 2, [1, 2, 3]);
        raster.set(2, 1, [200, 100, 50]);
        let back = image::load_from_memory(&raster.png()).unwrap().to_rgb8();
        assert_eq!(
            (back.dimensions(), back.get_pixel(2, 1).0, back.get_pixel(0, 1).0),
            ((3, 2), [200, 100, 50], [1, 2, 3])
        );
    }
}
