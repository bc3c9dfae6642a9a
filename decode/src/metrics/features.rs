//! Features of a picture by any network that takes one, through the engine's seam.

use super::{Antialias, Planes, resize};
use mindeye_config::Precision;
use mindeye_engine::{Engine, EngineError, NetworkFile, Session, TensorSpec};
use std::path::Path;

/// What a network wants pixels in 0..1 to become: (value − mean)/sd per channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelScale {
    /// Mean of red, green, blue.
    pub mean: [f64; 3],
    /// SD of red, green, blue.
    pub sd: [f64; 3],
}

impl ChannelScale {
    /// torchvision's models.
    pub const IMAGENET: Self = Self { mean: [0.485, 0.456, 0.406], sd: [0.229, 0.224, 0.225] };
    /// OpenAI's CLIP.
    pub const CLIP: Self =
        Self { mean: [0.481_454_66, 0.457_827_5, 0.408_210_73], sd: [0.268_629_54, 0.261_302_58, 0.275_777_11] };
    /// To -1..1, as MobileNet's published weights want it.
    pub const SYMMETRIC: Self = Self { mean: [0.5; 3], sd: [0.5; 3] };
}

/// An opened network from one picture f32[1, 3, S, S] to features of any shape.
pub struct FeatureExtractor<'e> {
    engine: &'e dyn Engine,
    session: Box<dyn Session>,
    side: usize,
    scale: ChannelScale,
}

impl<'e> FeatureExtractor<'e> {
    /// Opens the ONNX file at `path`, which has the input `input` f32[1, 3, side, side] and the output `output`.
    ///
    /// # Errors
    /// [`EngineError`] as the engine says.
    pub fn open(
        engine: &'e dyn Engine,
        path: &Path,
        (input, side): (&str, usize),
        output: TensorSpec,
        scale: ChannelScale,
    ) -> Result<Self, EngineError> {
        let inputs = vec![TensorSpec::new(input, [1, 3, side, side])];
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let session = engine.open(&NetworkFile {
            name,
            path: path.to_owned(),
            precision: Precision::Fp32,
            inputs,
            outputs: vec![output],
        })?;
        Ok(Self { engine, session, side, scale })
    }

    /// Features of `picture`, flattened; the picture is resized bilinearly with antialiasing and not cropped.
    ///
    /// # Errors
    /// [`EngineError`] as the engine says.
    pub fn features(&mut self, picture: &Planes) -> Result<Vec<f32>, EngineError> {
        let picture = resize(picture, self.side, self.side, Antialias::Yes);
        let planes = picture.channels().zip(self.scale.mean.iter().zip(self.scale.sd));
        let pixels: Vec<f32> =
            planes.flat_map(|(plane, (mean, sd))| plane.iter().map(move |v| ((v - mean) / sd) as f32)).collect();
        self.features_of(&pixels)
    }

    /// Features of a picture that is prepared already, f32[3, side, side].
    ///
    /// # Errors
    /// [`EngineError`] as the engine says.
    pub fn features_of(&mut self, pixels: &[f32]) -> Result<Vec<f32>, EngineError> {
        let mut input = self.engine.buffer(&self.session.inputs()[0])?;
        let mut output = self.engine.buffer(&self.session.outputs()[0])?;
        self.engine.upload(&mut input, pixels)?;
        self.session.run(&[&input], &mut [&mut output])?;
        let mut features = vec![0.0; output.spec().element_count()];
        self.engine.download(&output, &mut features)?;
        Ok(features)
    }
}
