//! A checkpoint of `fit` under measurement: answered by libtorch, or by its exported graph in ONNX Runtime.

use super::arguments::TokenChoice;
use super::predictor::{PredictError, Predictor, Rows};
use crate::TrainError;
use crate::checkpoint::{TrainingRecord, participant_folder};
use crate::training_folder::TokenShape;
use mindeye_config::{ModelDimensions, Precision, load};
use mindeye_engine::{Buffer, Engine, EngineError, NetworkFile, OnnxRuntime, Session, TensorSpec};
use mindeye_preprocess::ZscoreTable;
use ndarray::{Array2, ArrayView2};
use std::path::Path;

/// A trained backbone with the statistics and the record of one participant.
pub struct FittedCheckpoint {
    name: String,
    model: ModelDimensions,
    zscore: ZscoreTable,
    record: Option<TrainingRecord>,
    choice: TokenChoice,
    backbone: AnyBackbone,
}

/// Who computes.
enum AnyBackbone {
    #[cfg(feature = "libtorch")]
    Libtorch(crate::learning::FittedBackbone),
    Graph(Box<GraphBackbone>),
}

/// Which checkpoint is measured, and how.
#[derive(Debug, Clone, Copy)]
pub struct FittedRequest<'a> {
    /// Checkpoint folder of `fit`.
    pub checkpoint: &'a Path,
    /// Whose front-end, from 0.
    pub participant: usize,
    /// Which tokens are compared.
    pub tokens: TokenChoice,
    /// The backbone as `mindeye-export graph` wrote it, to be used in libtorch's stead.
    pub graph: Option<&'a Path>,
    /// `cpu`, `cuda` or `cuda:N`, for libtorch.
    pub device: &'a str,
}

impl FittedCheckpoint {
    /// Opens the checkpoint of `request`.
    ///
    /// # Errors
    /// [`TrainError`] naming the file that is missing, malformed or of another shape; [`TrainError::Unavailable`] in a
    /// build without libtorch where no graph is named.
    pub fn open(request: FittedRequest<'_>) -> Result<Self, TrainError> {
        let FittedRequest { checkpoint, participant, tokens: choice, .. } = request;
        let own = participant_folder(checkpoint, participant);
        if !own.is_dir() {
            return Err(TrainError::NoSuchFile { path: own });
        }
        let zscore = ZscoreTable::read(&own.join("zscore.safetensors"))?;
        let model: ModelDimensions = load(&checkpoint.join("model.toml"))?;
        let model = ModelDimensions { voxels: zscore.voxels(), ..model };
        let backbone = match request.graph {
            Some(graph) => AnyBackbone::Graph(Box::new(GraphBackbone::open(graph, &model)?)),
            None => libtorch(request, &model)?,
        };
        let name = checkpoint.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, model, zscore, record: TrainingRecord::read(&own)?, choice, backbone })
    }

    /// Backbone tokens and retrieval tokens, f32[rows, T D] each, of z-scored betas f32[rows, voxels].
    ///
    /// # Errors
    /// [`PredictError::Model`] naming the checkpoint.
    pub fn tokens(&mut self, patterns: ArrayView2<'_, f32>) -> Result<[Array2<f32>; 2], PredictError> {
        let name = self.name.clone();
        let wrong = |problem: String| PredictError::Model { model: name, problem };
        match &mut self.backbone {
            #[cfg(feature = "libtorch")]
            AnyBackbone::Libtorch(backbone) => backbone.tokens(patterns).map_err(|e| wrong(e.to_string())),
            AnyBackbone::Graph(backbone) => backbone.tokens(patterns).map_err(|e| wrong(e.to_string())),
        }
    }
}

#[cfg(feature = "libtorch")]
fn libtorch(request: FittedRequest<'_>, model: &ModelDimensions) -> Result<AnyBackbone, TrainError> {
    use crate::learning::{FittedBackbone, device};
    let weights = request.checkpoint.join("model.safetensors");
    let device = device(request.device)?;
    Ok(AnyBackbone::Libtorch(FittedBackbone::open(&weights, model, request.participant, device)?))
}

#[cfg(not(feature = "libtorch"))]
fn libtorch(request: FittedRequest<'_>, _: &ModelDimensions) -> Result<AnyBackbone, TrainError> {
    Err(TrainError::Unavailable {
        what: format!("{}: this build has no libtorch to compute it with", request.checkpoint.display()),
        remedy: "name its exported backbone with --graph, or build with `--features libtorch`".into(),
    })
}

impl Predictor for FittedCheckpoint {
    fn describe(&self) -> String {
        let trials = self.record.as_ref().map_or("of unknown".to_owned(), |record| record.trials.to_string());
        let who = match &self.backbone {
            #[cfg(feature = "libtorch")]
            AnyBackbone::Libtorch(_) => "libtorch",
            AnyBackbone::Graph(_) => "onnx runtime",
        };
        let ModelDimensions { voxels, hidden, blocks, .. } = self.model;
        let tokens = self.choice.name();
        format!(
            "{}: network of {blocks} blocks of {hidden}, {trials} training trials, {voxels} voxels, {tokens} tokens, {who}",
            self.name
        )
    }

    fn token_shape(&self) -> TokenShape {
        TokenShape { tokens: self.model.tokens, token_dim: self.model.token_dim }
    }

    fn zscore(&self) -> Option<&ZscoreTable> {
        Some(&self.zscore)
    }

    fn training(&self) -> Option<(&TrainingRecord, &ZscoreTable)> {
        self.record.as_ref().map(|record| (record, &self.zscore))
    }

    fn retrieval_tokens(&mut self, rows: Rows<'_>) -> Result<Array2<f32>, PredictError> {
        let [backbone, projected] = self.tokens(rows.patterns)?;
        Ok(match self.choice {
            TokenChoice::Projector => projected,
            TokenChoice::Backbone => backbone,
        })
    }
}

/// The graph `backbone` of a checkpoint, batch 1, in ONNX Runtime on the CPU.
struct GraphBackbone {
    engine: OnnxRuntime,
    session: Box<dyn Session>,
    voxels: Buffer,
    outputs: [Buffer; 2],
}

impl GraphBackbone {
    /// Opens the ONNX file at `path`, whose tensors must be those that `model` says.
    fn open(path: &Path, model: &ModelDimensions) -> Result<Self, TrainError> {
        let tokens = [1, model.tokens, model.token_dim];
        let file = NetworkFile {
            name: "backbone".into(),
            path: path.to_owned(),
            precision: Precision::Fp32,
            inputs: vec![TensorSpec::new("voxels", [1, model.voxels])],
            outputs: ["backbone_tokens", "retrieval_tokens"].map(|name| TensorSpec::new(name, tokens)).into(),
        };
        let opened = || -> Result<Self, EngineError> {
            let engine = OnnxRuntime::on_cpu(0)?;
            let session = engine.open(&file)?;
            let voxels = engine.buffer(&file.inputs[0])?;
            let outputs = [engine.buffer(&file.outputs[0])?, engine.buffer(&file.outputs[1])?];
            Ok(Self { engine, session, voxels, outputs })
        };
        opened().map_err(|error| match error.is_unavailable() {
            true => TrainError::Unavailable { what: error.to_string(), remedy: "run `cargo xtask setup`".into() },
            false => TrainError::malformed(path, error.to_string()),
        })
    }

    fn tokens(&mut self, patterns: ArrayView2<'_, f32>) -> Result<[Array2<f32>; 2], EngineError> {
        let columns = self.outputs[0].spec().element_count();
        let mut tokens = [(); 2].map(|()| Array2::zeros((patterns.nrows(), columns)));
        for (row, pattern) in patterns.rows().into_iter().enumerate() {
            self.engine.upload(&mut self.voxels, &pattern.to_vec())?;
            let [first, second] = &mut self.outputs;
            self.session.run(&[&self.voxels], &mut [first, second])?;
            for (output, tokens) in self.outputs.iter().zip(&mut tokens) {
                let mut values = vec![0.0; columns];
                self.engine.download(output, &mut values)?;
                tokens.row_mut(row).assign(&ndarray::ArrayView1::from(&values));
            }
        }
        Ok(tokens)
    }
}
