//! Inputs and outputs of any ONNX file, read without its weights.

use super::messages::{DimensionProto, ModelOutline, ValueInfoProto, data_type};
use crate::ExportError;
use crate::weights::map;
use prost::Message;
use std::path::Path;

/// Names and shapes at the ends of a graph; an axis without a fixed size is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Inputs, in order.
    pub inputs: Vec<(String, Vec<usize>)>,
    /// Outputs, in order.
    pub outputs: Vec<(String, Vec<usize>)>,
}

/// Reads the ends of the graph in the ONNX file at `path`.
///
/// # Errors
/// No such file, no ONNX model, an input or output that is no float32 tensor.
pub fn outline(path: &Path) -> Result<Outline, ExportError> {
    if !path.exists() {
        return Err(ExportError::NoSuchFile { path: path.to_path_buf() });
    }
    let bytes = map(path).map_err(|source| ExportError::Unreadable { path: path.to_path_buf(), source })?;
    let wrong = |message: String| ExportError::BadModel { path: path.to_path_buf(), message };
    let model = ModelOutline::decode(&bytes[..]).map_err(|e| wrong(e.to_string()))?;
    let graph = model.graph.ok_or_else(|| wrong("it holds no graph".into()))?;
    let ends = |ends: &[ValueInfoProto]| ends.iter().map(end).collect::<Result<_, _>>();
    Ok(Outline { inputs: ends(&graph.input).map_err(wrong)?, outputs: ends(&graph.output).map_err(wrong)? })
}

fn end(value: &ValueInfoProto) -> Result<(String, Vec<usize>), String> {
    let tensor = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let Some(tensor) = tensor.filter(|t| t.elem_type == data_type::FLOAT) else {
        return Err(format!("`{}` is no float32 tensor", value.name));
    };
    let axes = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    Ok((value.name.clone(), axes.iter().map(size).collect()))
}

fn size(axis: &DimensionProto) -> usize {
    axis.dim_value.and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
}
