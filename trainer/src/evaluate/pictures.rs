//! The reconstruction part of a report: pixels, structure, and features of any network that it is given.

use super::{Arguments, EvaluateError};
use crate::training_folder::TrainingFolder;
use mindeye_decode::metrics::{
    ChannelScale, FeatureExtractor, Interval, MetricError, Planes, bootstrap_over_images, correlation_distance,
    pixcorr, ssim, two_way_identification,
};
use mindeye_engine::{Engine, OnnxRuntime, TensorSpec};
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Metrics of pictures, means over test images with intervals by bootstrap over them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReconstructionReport {
    /// Pictures compared.
    pub images: usize,
    /// Pearson's r over 3 x 425² values.
    pub pixcorr: Interval,
    /// Structural similarity at 425².
    pub ssim: Interval,
    /// By feature extractor.
    pub features: BTreeMap<String, FeatureReport>,
}

/// Two-way identification and correlation distance on one extractor's features.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FeatureReport {
    /// Chance 0.5, higher is better.
    pub two_way: Interval,
    /// 0 to 2, lower is better.
    pub correlation_distance: f64,
}

/// A feature extractor's file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtractorFile {
    /// ONNX file, relative to this one.
    pub(crate) onnx: PathBuf,
    /// Name of the input f32[1, 3, side, side].
    pub(crate) input: String,
    /// Its side in pixels.
    pub(crate) side: usize,
    /// Name of the output.
    pub(crate) output: String,
    /// Shape of the output, batch first.
    pub(crate) shape: Vec<usize>,
    /// Taken off each channel of pixels in 0..1.
    pub(crate) mean: [f64; 3],
    /// Then divided by.
    pub(crate) sd: [f64; 3],
}

impl ExtractorFile {
    /// Reads the description at `path`, or what is wrong with it.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        toml::from_str(&text).map_err(|error| error.message().into())
    }
}

pub(super) fn measure(
    folder: &TrainingFolder,
    images: &[String],
    reconstructions: &Path,
    arguments: &Arguments,
) -> Result<ReconstructionReport, EvaluateError> {
    let mut pairs = Vec::with_capacity(images.len());
    for image in images {
        let missing = |path: PathBuf| EvaluateError::Picture { path, problem: "no such picture".into() };
        let real = folder.picture(image).ok_or_else(|| missing(folder.path().join(format!("images/{image}.png"))))?;
        let predicted = reconstructions.join(format!("{image}.png"));
        pairs.push((read(&real)?, read(&predicted)?));
    }
    let mean = |values: Vec<f64>| {
        let weighted: Vec<(f64, f64)> = values.into_iter().map(|value| (value, 1.0)).collect();
        bootstrap_over_images(&weighted, arguments.seed)
    };
    let correlation = |(index, (real, predicted)): (usize, &(Planes, Planes))| {
        pixcorr(real, predicted).ok_or(MetricError::Constant { what: "picture", index })
    };
    let pixels = pairs.iter().enumerate().map(correlation).collect::<Result<Vec<_>, _>>()?;
    let structure = pairs.iter().map(|(real, predicted)| ssim(real, predicted)).collect();
    let mut features = BTreeMap::new();
    if !arguments.features.is_empty() {
        let engine = OnnxRuntime::on_cpu(0)?;
        for path in &arguments.features {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let (real, predicted) = features_of(&engine, path, &pairs)?;
            let two_way = mean(two_way_identification(real.view(), predicted.view())?)?;
            let correlation_distance = correlation_distance(real.view(), predicted.view())?;
            features.insert(name, FeatureReport { two_way, correlation_distance });
        }
    }
    Ok(ReconstructionReport { images: pairs.len(), pixcorr: mean(pixels)?, ssim: mean(structure)?, features })
}

fn read(path: &Path) -> Result<Planes, EvaluateError> {
    let wrong = |problem: String| EvaluateError::Picture { path: path.to_owned(), problem };
    let picture = image::open(path).map_err(|e| wrong(e.to_string()))?.to_rgb8();
    let (width, height) = picture.dimensions();
    let picture = mindeye_decode::Picture::new(width, height, picture.into_raw()).map_err(|e| wrong(e.to_string()))?;
    Ok(Planes::from(&picture))
}

fn features_of(
    engine: &dyn Engine,
    path: &Path,
    pairs: &[(Planes, Planes)],
) -> Result<(Array2<f32>, Array2<f32>), EvaluateError> {
    let wrong = |problem: String| EvaluateError::Picture { path: path.to_owned(), problem };
    let file = ExtractorFile::read(path).map_err(wrong)?;
    let onnx = path.parent().unwrap_or(Path::new("")).join(&file.onnx);
    let output = TensorSpec::new(file.output, file.shape);
    let scale = ChannelScale { mean: file.mean, sd: file.sd };
    let mut extractor = FeatureExtractor::open(engine, &onnx, (&file.input, file.side), output, scale)?;
    let mut all = |side: fn(&(Planes, Planes)) -> &Planes| -> Result<Array2<f32>, EvaluateError> {
        let rows = pairs.iter().map(|pair| extractor.features(side(pair))).collect::<Result<Vec<_>, _>>()?;
        let width = rows.first().map_or(0, Vec::len);
        Ok(Array2::from_shape_vec((rows.len(), width), rows.concat()).expect("every picture has as many features"))
    };
    Ok((all(|pair| &pair.0)?, all(|pair| &pair.1)?))
}
