//! Slices side by side: the mean volume in grey, a map in colour, marks where the text points to.

use crate::report::colour::{Rgb, blend, grey};
use crate::report::png::Raster;
use crate::report::view::View;
use std::fmt::Write as _;

/// What the colours mean.
pub(crate) struct Scale<'a> {
    pub(crate) label: &'a str,
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Colour of 0 (`from`) to 1 (`to`).
    pub(crate) colour: &'a dyn Fn(f64) -> Rgb,
    /// Small values let the head show through, as their cube up to half the scale, instead of being hidden below a
    /// threshold (Taylor et al. 2023, NeuroImage 274:120138).
    pub(crate) transparent: bool,
}

/// A numbered ring around a voxel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mark {
    pub(crate) ijk: [usize; 3],
    pub(crate) number: usize,
}

/// One map in slices.
pub(crate) struct Montage<'a> {
    pub(crate) view: &'a View,
    pub(crate) slices: Vec<usize>,
    /// Value of each voxel of the grid; `None` outside the mask.
    pub(crate) map: &'a [Option<f32>],
    pub(crate) scale: Scale<'a>,
    pub(crate) marks: &'a [Mark],
}

const WIDTH: f64 = 916.0;
const COLUMNS: usize = 7;
/// Height of the strip with the colour bar, pixels.
const BAR: f64 = 42.0;

impl Montage<'_> {
    pub(crate) fn svg(&self) -> String {
        let [tile_width, tile_height] = self.tile();
        let (columns, rows) = self.layout();
        let [width, height] = [columns as f64 * tile_width, rows as f64 * tile_height];
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.1}\" font-family=\"sans-serif\">",
            height + BAR
        );
        svg.push_str(&self.raster().svg_image([0.0, 0.0, width, height]));
        for at in 0..self.slices.len() {
            self.label(&mut svg, at);
        }
        self.marks.iter().for_each(|mark| self.ring(&mut svg, mark));
        self.bar(&mut svg, height);
        svg + "</svg>"
    }

    fn layout(&self) -> (usize, usize) {
        (COLUMNS, self.slices.len().div_ceil(COLUMNS))
    }

    /// Width and height of a slice, pixels: as in the head.
    fn tile(&self) -> [f64; 2] {
        let [across, up] = self.view.slice_mm();
        let width = WIDTH / COLUMNS as f64;
        [width, width * up / across]
    }

    /// Upper left corner of the tile of the `at`-th slice, pixels.
    fn corner(&self, at: usize) -> [f64; 2] {
        let [width, height] = self.tile();
        [(at % COLUMNS) as f64 * width, (at / COLUMNS) as f64 * height]
    }

    fn raster(&self) -> Raster {
        let [across, up, _] = self.view.shape();
        let (columns, rows) = self.layout();
        let mut raster = Raster::new(columns * across, rows * up, [0; 3]);
        for (at, slice) in self.slices.iter().enumerate() {
            let (left, top) = (at % COLUMNS * across, at / COLUMNS * up);
            for y in 0..up {
                for x in 0..across {
                    let voxel = self.view.voxel([x, up - 1 - y, *slice]);
                    raster.set(left + x, top + y, self.colour(voxel));
                }
            }
        }
        raster
    }

    fn colour(&self, voxel: usize) -> Rgb {
        let under = grey(self.view.background(voxel));
        let Some(value) = self.map[voxel] else { return under };
        let Scale { from, to, colour, transparent, .. } = &self.scale;
        let at = (f64::from(value) - from) / (to - from);
        let strength = f64::from(value).abs() / (0.5 * from.abs().max(to.abs()));
        blend(under, colour(at), if *transparent { strength.powi(3) } else { 1.0 })
    }

    fn label(&self, svg: &mut String, at: usize) {
        let [x, y] = self.corner(at);
        let (axis, index) = (self.view.slice_axis(), self.view.slice_index(self.slices[at]));
        let (x, y) = (x + 5.0, y + 14.0);
        write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"11\" fill=\"#d6dde4\">{axis} {index}</text>").ok();
        if at == 0 && self.view.placed {
            let [width, height] = self.tile();
            let middle = y - 14.0 + height / 2.0;
            write!(svg, "<text x=\"4\" y=\"{middle:.1}\" font-size=\"11\" fill=\"#d6dde4\">L</text>").ok();
            let right = width - 12.0;
            write!(svg, "<text x=\"{right:.1}\" y=\"{middle:.1}\" font-size=\"11\" fill=\"#d6dde4\">R</text>").ok();
        }
    }

    /// Only where its slice is shown.
    fn ring(&self, svg: &mut String, mark: &Mark) {
        let [across, up, slice] = self.view.place(mark.ijk);
        let Some(at) = self.slices.iter().position(|shown| *shown as f64 == slice) else { return };
        let ([left, top], [width, height], [columns, rows, _]) = (self.corner(at), self.tile(), self.view.shape());
        let x = left + (across + 0.5) / columns as f64 * width;
        let y = top + (1.0 - (up + 0.5) / rows as f64) * height;
        let (text_x, text_y, number) = (x + 9.0, y - 7.0, mark.number);
        write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"8\" fill=\"none\" stroke=\"#fff\" stroke-width=\"1.4\"/>\
             <text x=\"{text_x:.1}\" y=\"{text_y:.1}\" font-size=\"12\" font-weight=\"bold\" fill=\"#fff\" \
             stroke=\"#000\" stroke-width=\"2.5\" paint-order=\"stroke\">{number}</text>"
        )
        .ok();
    }

    fn bar(&self, svg: &mut String, top: f64) {
        const STEPS: usize = 100;
        let (left, width, y) = (WIDTH - 320.0, 200.0, top + 10.0);
        let mut colours = Raster::new(STEPS, 1, [0; 3]);
        for step in 0..STEPS {
            colours.set(step, 0, (self.scale.colour)((step as f64 + 0.5) / STEPS as f64));
        }
        svg.push_str(&colours.svg_image([left, y, width, 10.0]));
        let Scale { from, to, label, .. } = &self.scale;
        let middle = (from + to) / 2.0;
        for (value, at) in [(*from, 0.0), (middle, 0.5), (*to, 1.0)] {
            let x = left + width * at;
            let number = crate::report::words::number(value);
            let y = y + 23.0;
            write!(
                svg,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"11\" fill=\"#5d6b7a\" text-anchor=\"middle\">{number}</text>"
            )
            .ok();
        }
        let (x, y) = (left - 14.0, y + 9.0);
        let label = crate::report::page::escape(label);
        write!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"12\" fill=\"#1c2733\" text-anchor=\"end\">{label}</text>"
        )
        .ok();
    }
}
