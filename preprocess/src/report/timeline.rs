//! The run on one time axis: trials, motion, DVARS, global signal and a carpet, so that a jump in one is seen in all.

use crate::program::{Carpet, Facts};
use crate::report::colour::grey;
use crate::report::png::Raster;
use crate::report::trial_types::TrialTypes;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

const WIDTH: u32 = 916;
const EVENTS: u32 = 46;
const PANEL: u32 = 112;
const CARPET: u32 = 210;
/// Height of the time axis with its numbers and name.
const AXIS: u32 = 38;
const LEFT: u32 = 52;
const RIGHT: u32 = 10;

const INK: RGBColor = RGBColor(28, 39, 51);
const QUIET: RGBColor = RGBColor(93, 107, 122);
const LINE: RGBColor = RGBColor(223, 228, 234);
const CURVE: RGBColor = RGBColor(11, 92, 173);
/// x, y and z, told apart also by those who do not see red or green.
const AXES: [RGBColor; 3] = [CURVE, RGBColor(217, 119, 6), RGBColor(110, 110, 110)];
/// Above this a displacement is a movement, mm: the strictest threshold in common use is 0.2, the laxest 0.5.
const LARGE_FD_MM: f64 = 0.5;

/// Drawing into memory has no device that could fail.
const IN_MEMORY: &str = "an SVG in memory takes every element";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Some numbers per volume.
struct Panel<'a> {
    title: &'a str,
    curves: Vec<Curve<'a>>,
    /// A dashed line across.
    bound: Option<f64>,
}

/// One number per volume.
struct Curve<'a> {
    /// Drawn beside the title where there is more than one.
    name: &'a str,
    colour: RGBColor,
    /// A volume without a value breaks the curve.
    values: Vec<Option<f64>>,
}

impl<'a> Panel<'a> {
    fn one(title: &'a str, values: Vec<Option<f64>>, bound: Option<f64>) -> Self {
        Self { title, curves: vec![Curve { name: "", colour: CURVE, values }], bound }
    }
}

/// The figure as SVG.
pub(crate) fn svg(facts: &Facts, types: &TrialTypes) -> String {
    let panels = panels(facts);
    let height = EVENTS + panels.len() as u32 * PANEL + CARPET + AXIS;
    let mut svg = String::new();
    let carpet_place = {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let (events, rest) = root.split_vertically(EVENTS);
        draw_events(&events, facts, types);
        let (curves, carpet) = rest.split_vertically(panels.len() as u32 * PANEL);
        for (area, panel) in curves.split_evenly((panels.len(), 1)).iter().zip(&panels) {
            draw_panel(area, panel, facts);
        }
        let place = draw_carpet_frame(&carpet, facts);
        root.present().expect(IN_MEMORY);
        place
    };
    let image = carpet_raster(&facts.quality.carpet).svg_image(carpet_place);
    svg.replace("</svg>", &format!("{image}</svg>"))
}

fn panels(facts: &Facts) -> Vec<Panel<'static>> {
    let quality = &facts.quality;
    let mean = quality.global_signal.iter().sum::<f64>() / quality.global_signal.len() as f64;
    let percent = quality.global_signal.iter().map(|v| Some(100.0 * (v - mean) / mean.abs()).filter(|v| v.is_finite()));
    let bound = quality.dvars_outliers().map(|(_, bound)| bound);
    let mut panels = motion_panels(facts);
    panels.push(Panel::one("DVARS, % of the mean signal", quality.dvars.clone(), bound));
    panels.push(Panel::one("Global signal, % of its mean", percent.collect(), None));
    panels
}

/// Shifts, turns and displacement; none where motion was not estimated.
fn motion_panels(facts: &Facts) -> Vec<Panel<'static>> {
    if !facts.inputs.corrects_motion() {
        return Vec::new();
    }
    let volumes = &facts.quality.volumes;
    let curve = |parameter: usize, unit: f64| Curve {
        name: ["x", "y", "z"][parameter % 3],
        colour: AXES[parameter % 3],
        values: volumes.iter().map(|volume| volume.motion.map(|motion| unit * motion.0[parameter])).collect(),
    };
    let displacement = volumes.iter().map(|volume| volume.framewise_displacement_mm).collect();
    vec![
        Panel { title: "Head shift, mm", curves: (0..3).map(|p| curve(p, 1.0)).collect(), bound: None },
        Panel { title: "Head turn, degrees", curves: (3..6).map(|p| curve(p, DEGREES)).collect(), bound: None },
        Panel::one("Framewise displacement, mm", displacement, Some(LARGE_FD_MM)),
    ]
}

/// Of a radian.
const DEGREES: f64 = 180.0 / std::f64::consts::PI;

/// A chart over the whole run, with its title in the upper left corner.
fn chart<'a, 'b>(area: &'a Area<'b>, facts: &Facts, y: std::ops::Range<f64>, title: &str, axis: u32) -> Chart<'a, 'b> {
    let title_style = ("sans-serif", 12).into_font().color(&INK);
    area.draw_text(title, &title_style, (LEFT as i32, 4)).expect(IN_MEMORY);
    ChartBuilder::on(area)
        .margin_top(22)
        .margin_bottom(4)
        .margin_right(RIGHT)
        .y_label_area_size(LEFT)
        .x_label_area_size(axis)
        .build_cartesian_2d(0.0..facts.inputs.end_s(), y)
        .expect("the run has volumes, so its time axis and this picture have an extent")
}

fn draw_events(area: &Area<'_>, facts: &Facts, types: &TrialTypes) {
    let mut chart = chart(area, facts, 0.0..1.0, "Trials", 0);
    let end_s = facts.inputs.end_s();
    let bars = facts.inputs.trials.iter().filter(|trial| (0.0..end_s).contains(&trial.event.onset_s)).map(|trial| {
        let (from, [r, g, b]) = (trial.event.onset_s, types.colour_of(trial.event.trial));
        // A brief event is a line that can still be seen.
        let until = (from + trial.event.duration_s.max(end_s / 600.0)).min(end_s);
        Rectangle::new([(from, 0.0), (until, 1.0)], RGBColor(r, g, b).mix(0.85).filled())
    });
    chart.draw_series(bars.collect::<Vec<_>>()).expect(IN_MEMORY);
    let edges = facts.inputs.trials.iter().filter(|trial| (0.0..end_s).contains(&trial.event.onset_s));
    let edge = |onset_s: f64| PathElement::new(vec![(onset_s, 0.0), (onset_s, 1.0)], WHITE.stroke_width(1));
    chart.draw_series(edges.map(|trial| edge(trial.event.onset_s)).collect::<Vec<_>>()).expect(IN_MEMORY);
}

fn draw_panel(area: &Area<'_>, panel: &Panel<'_>, facts: &Facts) {
    let (tr_s, y) = (facts.inputs.tr.tr_s, extent(panel));
    let mut chart = chart(area, facts, y, panel.title, 0);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .y_labels(4)
        .y_label_formatter(&|v| crate::report::words::number(*v))
        .light_line_style(TRANSPARENT)
        .bold_line_style(LINE)
        .axis_style(LINE)
        .label_style(("sans-serif", 11).into_font().color(&QUIET))
        .draw()
        .expect(IN_MEMORY);
    for curve in &panel.curves {
        // A volume stands for its whole TR: its point lies in the middle.
        let points: Vec<Option<(f64, f64)>> =
            (0u32..).zip(&curve.values).map(|(i, v)| v.map(|v| ((f64::from(i) + 0.5) * tr_s, v))).collect();
        for piece in points.split(Option::is_none) {
            let piece = piece.iter().flatten().copied();
            chart.draw_series(LineSeries::new(piece, curve.colour.stroke_width(2))).expect(IN_MEMORY);
        }
    }
    name_curves(area, panel);
    if let Some(bound) = panel.bound {
        let across = [(0.0, bound), (facts.inputs.end_s(), bound)];
        chart.draw_series(DashedLineSeries::new(across, 5, 4, QUIET.stroke_width(1))).expect(IN_MEMORY);
    }
}

/// In the upper right corner, each in its colour.
fn name_curves(area: &Area<'_>, panel: &Panel<'_>) {
    let first = WIDTH as i32 - 22 * panel.curves.len() as i32;
    for (left, curve) in (first..).step_by(22).zip(&panel.curves) {
        let style = ("sans-serif", 12).into_font().style(FontStyle::Bold).color(&curve.colour);
        area.draw_text(curve.name, &style, (left, 4)).expect(IN_MEMORY);
    }
}

/// From the least to the greatest value with a tenth of room; never empty.
fn extent(panel: &Panel<'_>) -> std::ops::Range<f64> {
    let values = panel.curves.iter().flat_map(|curve| curve.values.iter().flatten().copied()).chain(panel.bound);
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let room = 0.1 * (high - low).max(1e-6 * high.abs().max(1e-6));
    low - room..high + room
}

/// Axis and frame of the carpet; where its picture goes: left, top, width, height in pixels.
fn draw_carpet_frame(area: &Area<'_>, facts: &Facts) -> [f64; 4] {
    let mut chart = chart(area, facts, 0.0..1.0, "Carpet, voxels by time", AXIS);
    chart
        .configure_mesh()
        .disable_mesh()
        .disable_y_axis()
        .x_labels(12)
        .x_label_formatter(&|v| crate::report::words::number(*v))
        .x_desc("seconds since the start of the first volume")
        .axis_style(LINE)
        .label_style(("sans-serif", 11).into_font().color(&QUIET))
        .axis_desc_style(("sans-serif", 12).into_font().color(&QUIET))
        .draw()
        .expect(IN_MEMORY);
    let (x, y) = chart.plotting_area().get_pixel_range();
    [x.start, y.start, x.end - x.start, y.end - y.start].map(f64::from)
}

/// −2 SD black to +2 SD white, the first voxel at the bottom.
fn carpet_raster(carpet: &Carpet) -> Raster {
    let (rows, columns) = (carpet.courses.len(), carpet.courses.first().map_or(0, Vec::len));
    let mut raster = Raster::new(columns, rows, [0; 3]);
    for (row, course) in carpet.courses.iter().rev().enumerate() {
        for (column, value) in course.iter().enumerate() {
            raster.set(column, row, grey((f64::from(*value) + 2.0) / 4.0));
        }
    }
    raster
}
