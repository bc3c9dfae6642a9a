//! The picture encoder as one training: two random views of each picture must find each other in the batch (Chen et al.
//! 2020; the loss is the symmetric InfoNCE of CLIP, on flattened tokens as MindEye compares them).

use super::augment::{normalised, random_views};
use super::clip_image::clip_image;
use super::contrast::{bi_mix_co, retrieval};
use super::golden;
use super::parameters::Parameters;
use super::part::{Batch, Losses, Part, PartName, Validation};
use super::picture_setting::{CHUNK, PictureSetting, push_signed};
use super::renderer_files::{self, ENCODER};
use crate::checkpoint::Commit;
use crate::networks::ClipImage;
use crate::{Draws, Phase, Pictures, Sheet, TrainError};
use std::path::Path;
use tch::{Kind, Tensor};

/// Queries on the sheet, and neighbours of each.
const SHOWN: [usize; 2] = [6, 5];

pub(super) struct EncoderPart<'a> {
    setting: PictureSetting<'a>,
    sizes: ClipImage,
    /// The pictures at the encoder's side.
    pictures: Pictures,
    parameters: Parameters,
}

impl<'a> EncoderPart<'a> {
    /// The part with random weights, or with those of the file `from`.
    ///
    /// # Errors
    /// Tokens that are not those of a square of patches, weights that do not fit.
    pub(super) fn new(setting: PictureSetting<'a>, from: Option<&Path>) -> Result<Self, TrainError> {
        let sizes = sizes(&setting)?;
        let parameters = Parameters::begin(from, sizes.layout(), setting.training.seed, setting.device)?;
        let pictures = setting.pictures.resized(sizes.side());
        Ok(Self { setting, sizes, pictures, parameters })
    }

    /// Tokens of one random view of each picture.
    fn view(&self, rows: &[usize], draws: &mut Draws) -> Tensor {
        let pictures = self.setting.tensor(&self.pictures, rows);
        clip_image(&self.sizes, &self.parameters, &random_views(&pictures, draws, &self.setting.training.encoder))
    }

    /// InfoNCE between two views `[B, T, D]`.
    fn contrast(&self, one: &Tensor, other: &Tensor) -> Tensor {
        let same = Tensor::eye(one.size()[0], (Kind::Float, one.device()));
        bi_mix_co(one, other, &same, self.setting.training.encoder.temperature)
    }

    /// Flattened tokens of `rows`, each of length 1.
    fn directions(&self, rows: &[usize]) -> Tensor {
        let tokens = encoded(&self.setting, &self.sizes, &self.parameters, &self.pictures, rows).flatten(1, -1);
        &tokens / tokens.norm_scalaropt_dim(2, [-1], true)
    }
}

/// The tower of these sizes.
///
/// # Errors
/// Tokens that are not those of a square of patches and one more.
pub(super) fn sizes(setting: &PictureSetting<'_>) -> Result<ClipImage, TrainError> {
    ClipImage::of(setting.model, setting.renderer).ok_or_else(|| {
        let message =
            format!("the encoder needs one token more than a square of patches has, found {}", setting.model.tokens);
        TrainError::Flag { flag: "--model", message }
    })
}

/// Tokens `[n, T, D]` of `rows` of `pictures`, as they are.
pub(super) fn encoded(
    setting: &PictureSetting<'_>,
    sizes: &ClipImage,
    parameters: &Parameters,
    pictures: &Pictures,
    rows: &[usize],
) -> Tensor {
    let tokens = |chunk| clip_image(sizes, parameters, &normalised(&setting.tensor(pictures, chunk)));
    tch::no_grad(|| Tensor::cat(&rows.chunks(CHUNK).map(tokens).collect::<Vec<_>>(), 0))
}

impl Part for EncoderPart<'_> {
    fn name(&self) -> PartName {
        PartName::Encoder
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    fn loss_names(&self) -> &'static [&'static str] {
        &["loss"]
    }

    fn validation_names(&self) -> &'static [&'static str] {
        &["val_loss", "val_view_retrieval"]
    }

    fn losses(&self, batch: &Batch<'_>) -> Result<Losses, TrainError> {
        let mut draws = Draws::new(self.setting.training.seed, batch.number, "views");
        let rows = self.setting.training_rows(batch.items);
        let (one, other) = (self.view(&rows, &mut draws), self.view(&rows, &mut draws));
        Ok(Losses(vec![self.contrast(&one, &other)]))
    }

    fn validate(&self, _phase: Phase) -> Result<Validation, TrainError> {
        let mut draws = Draws::new(self.setting.training.seed, 0, "validation views");
        let (one, other): (Vec<Tensor>, Vec<Tensor>) = tch::no_grad(|| {
            let chunks = self.setting.split.validation.chunks(CHUNK);
            chunks.map(|rows| (self.view(rows, &mut draws), self.view(rows, &mut draws))).unzip()
        });
        let (one, other) = (Tensor::cat(&one, 0), Tensor::cat(&other, 0));
        let loss = self.contrast(&one, &other).double_value(&[]);
        let (there, back) = retrieval(&one, &other);
        let found = (there + back) / 2.0;
        Ok(Validation { values: vec![loss, found], score: [found, -loss] })
    }

    fn write(&self, commit: &Commit, previous: &Path) -> Result<(), TrainError> {
        renderer_files::write(commit, ENCODER, &self.parameters, &renderer_files::encoder_config(&self.sizes))?;
        let cases = tch::no_grad(|| golden::clip_image_case(&self.sizes, &self.parameters));
        golden::write_cases(&commit.place("golden.safetensors")?, &["clip-image/"], cases, previous)
    }

    fn samples(&self) -> Option<Sheet> {
        let [queries, neighbours] = SHOWN;
        let (train, validation) = (&self.setting.split.train, &self.setting.split.validation);
        let asked = &validation[..validation.len().min(queries)];
        let nearest = self.directions(asked).matmul(&self.directions(train).transpose(0, 1));
        let count = neighbours.min(train.len());
        let (_, nearest) = nearest.topk(count as i64, 1, true, true);
        let caption =
            "Left: validation pictures. To the right of each: the training pictures whose tokens lie nearest.";
        let mut sheet = Sheet::new(self.setting.pictures.side(), count + 1, caption);
        for (i, row) in asked.iter().enumerate() {
            let found = Vec::<i64>::try_from(nearest.get(i as i64)).unwrap_or_default();
            let rows: Vec<usize> = found.iter().map(|at| train[*at as usize]).collect();
            push_signed(&mut sheet, &self.setting.signed(&[&[*row][..], &rows].concat()));
        }
        Some(sheet)
    }
}
