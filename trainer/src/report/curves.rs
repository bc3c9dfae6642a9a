//! Curves over epochs, drawn into an SVG that needs nothing else.

use plotters::prelude::*;

const SIZE: (u32, u32) = (916, 220);
const INK: RGBColor = RGBColor(28, 39, 51);
const QUIET: RGBColor = RGBColor(93, 107, 122);
const LINE: RGBColor = RGBColor(223, 228, 234);
const COLOURS: [RGBColor; 4] =
    [RGBColor(11, 92, 173), RGBColor(200, 80, 30), RGBColor(30, 130, 90), RGBColor(130, 60, 150)];
/// Drawing into memory has no device that could fail.
const IN_MEMORY: &str = "an SVG in memory takes every element";

/// One figure: curves that share an axis, each with its name.
pub(super) fn svg(title: &str, curves: &[(&str, Vec<f64>)]) -> String {
    let epochs = curves.iter().map(|(_, values)| values.len()).max().unwrap_or(0).max(1) as f64;
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 13).into_font().color(&INK))
            .margin(6)
            .x_label_area_size(26)
            .y_label_area_size(60)
            .build_cartesian_2d(0.5..epochs + 0.5, extent(curves))
            .expect("both ranges are finite and not empty");
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(LINE)
            .axis_style(LINE)
            .x_labels(8)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_labels(5)
            .label_style(("sans-serif", 11).into_font().color(&QUIET))
            .draw()
            .expect(IN_MEMORY);
        for (i, (_, values)) in curves.iter().enumerate() {
            let points = values.iter().enumerate().filter(|(_, v)| v.is_finite()).map(|(x, y)| (x as f64 + 1.0, *y));
            chart.draw_series(LineSeries::new(points, COLOURS[i % COLOURS.len()].stroke_width(2))).expect(IN_MEMORY);
        }
        area.present().expect(IN_MEMORY);
    }
    text
}

/// The colour of curve number `i`, as CSS.
pub(super) fn colour(i: usize) -> String {
    let RGBColor(r, g, b) = COLOURS[i % COLOURS.len()];
    format!("rgb({r},{g},{b})")
}

/// Least to largest finite value, with some room.
fn extent(curves: &[(&str, Vec<f64>)]) -> std::ops::Range<f64> {
    let finite = || curves.iter().flat_map(|(_, values)| values.iter().copied()).filter(|v| v.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return 0.0..1.0;
    }
    let room = ((high - low) * 0.05).max(high.abs() * 1e-6).max(1e-12);
    low - room..high + room
}
