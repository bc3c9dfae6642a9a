//! A sheet of sample pictures: cells of one size in rows, as one PNG beside the report.

use image::{ExtendedColorType, ImageEncoder, RgbImage, codecs::png::PngEncoder};

/// White between cells, pixels.
const GAP: u32 = 2;

/// Pictures in rows of `columns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    side: u32,
    columns: usize,
    cells: Vec<Vec<u8>>,
    caption: String,
}

impl Sheet {
    /// An empty sheet for pictures of `side` pixels, with what its rows and columns are.
    #[must_use]
    pub fn new(side: usize, columns: usize, caption: &str) -> Self {
        Self { side: side as u32, columns, cells: Vec::new(), caption: caption.to_owned() }
    }

    /// What the sheet shows.
    #[must_use]
    pub fn caption(&self) -> &str {
        &self.caption
    }

    /// Appends a picture `u8[side][side][3]`.
    ///
    /// # Panics
    /// If it has another size, which is a mistake of the caller.
    pub fn push(&mut self, rgb: &[u8]) {
        assert_eq!(rgb.len(), 3 * (self.side * self.side) as usize, "a cell has the side of its sheet");
        self.cells.push(rgb.to_vec());
    }

    /// The sheet as a PNG file.
    #[must_use]
    pub fn png(&self) -> Vec<u8> {
        let rows = self.cells.len().div_ceil(self.columns.max(1)).max(1) as u32;
        let pitch = self.side + GAP;
        let (width, height) = (self.columns.max(1) as u32 * pitch + GAP, rows * pitch + GAP);
        let mut whole = RgbImage::from_pixel(width, height, image::Rgb([255; 3]));
        for (i, cell) in self.cells.iter().enumerate() {
            let (left, top) = ((i % self.columns) as u32 * pitch + GAP, (i / self.columns) as u32 * pitch + GAP);
            let cell = RgbImage::from_raw(self.side, self.side, cell.clone()).expect("checked when it was pushed");
            image::imageops::replace(&mut whole, &cell, i64::from(left), i64::from(top));
        }
        let mut bytes = Vec::new();
        PngEncoder::new(&mut bytes)
            .write_image(&whole, width, height, ExtendedColorType::Rgb8)
            .expect("three bytes per pixel, and memory takes what is written");
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_in_rows_with_white_between() {
        let mut sheet = Sheet::new(1, 2, "two a row");
        [10, 20, 30].iter().for_each(|red| sheet.push(&[*red, 0, 0]));
        let read = image::load_from_memory(&sheet.png()).unwrap().to_rgb8();
        assert_eq!(read.dimensions(), (8, 8));
        let reds = [(2, 2), (5, 2), (2, 5), (5, 5)].map(|(x, y)| read.get_pixel(x, y).0);
        assert_eq!(reds, [[10, 0, 0], [20, 0, 0], [30, 0, 0], [255, 255, 255]]);
    }
}
