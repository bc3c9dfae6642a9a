//! ONNX files of known numbers, written byte by byte: `sum = x W` and `bounded = tanh(sum)`.
//!
//! Each test program uses some of them.
//! Field numbers are those of onnx.proto3. An engine must not need the exporter to be tested.

#![allow(dead_code, reason = "each test program uses some of it")]

use mindeye_config::Precision;
use mindeye_engine::{NetworkFile, TensorSpec};
use std::path::Path;

/// W, [3, 2], row by row.
pub(crate) const WEIGHTS: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

/// Writes the network into `dir` and says what it is.
pub(crate) fn tiny_network(dir: &Path) -> NetworkFile {
    let path = dir.join("tiny.onnx");
    let values = [value_info(12, "sum", &[1, 2]), value_info(12, "bounded", &[1, 2])].concat();
    std::fs::write(&path, model(&[3, 2], &WEIGHTS, &values)).unwrap();
    NetworkFile {
        name: "tiny".into(),
        path,
        precision: Precision::Fp32,
        inputs: vec![TensorSpec::new("x", [1, 3])],
        outputs: vec![TensorSpec::new("sum", [1, 2]), TensorSpec::new("bounded", [1, 2])],
    }
}

/// V, [3, 3], row by row: a rotation that forgets, so that a chain of runs neither dies nor explodes.
const TURN: [f32; 9] = [0.0, 0.75, 0.5, -0.75, 0.25, 0.5, 0.5, -0.5, 0.25];

/// One input and one output of one shape: `bounded = tanh(x V)`.
pub(crate) fn square_network(dir: &Path) -> NetworkFile {
    let path = dir.join("square.onnx");
    std::fs::write(&path, model(&[3, 3], &TURN, &value_info(12, "bounded", &[1, 3]))).unwrap();
    NetworkFile {
        name: "square".into(),
        path,
        precision: Precision::Fp32,
        inputs: vec![TensorSpec::new("x", [1, 3])],
        outputs: vec![TensorSpec::new("bounded", [1, 3])],
    }
}

fn model(shape: &[u64; 2], weights: &[f32], outputs: &[u8]) -> Vec<u8> {
    let graph = [
        message(1, &node("MatMul", &["x", "w"], "sum")),
        message(1, &node("Tanh", &["sum"], "bounded")),
        message(2, b"tiny"),
        message(5, &tensor(shape, weights)),
        value_info(11, "x", &[1, shape[0]]),
        outputs.to_vec(),
    ];
    let opset = [message(1, b""), varint(2, 20)].concat();
    [varint(1, 9), message(7, &graph.concat()), message(8, &opset)].concat()
}

fn value_info(field: u64, name: &str, shape: &[u64]) -> Vec<u8> {
    message(field, &value(name, shape))
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = inputs.iter().flat_map(|name| message(1, name.as_bytes())).collect();
    bytes.extend(message(2, output.as_bytes()));
    bytes.extend(message(4, operator.as_bytes()));
    bytes
}

fn tensor(shape: &[u64; 2], values: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|w| w.to_le_bytes()).collect();
    [varint(1, shape[0]), varint(1, shape[1]), varint(2, FLOAT), message(8, b"w"), message(9, &raw)].concat()
}

fn value(name: &str, shape: &[u64]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|&size| message(1, &varint(1, size))).collect();
    let tensor = [varint(1, FLOAT), message(2, &dims)].concat();
    [message(1, name.as_bytes()), message(2, &message(1, &tensor))].concat()
}

const FLOAT: u64 = 1;

fn message(field: u64, content: &[u8]) -> Vec<u8> {
    let mut bytes = raw_varint(field << 3 | 2);
    bytes.extend(raw_varint(content.len() as u64));
    bytes.extend(content);
    bytes
}

fn varint(field: u64, value: u64) -> Vec<u8> {
    let mut bytes = raw_varint(field << 3);
    bytes.extend(raw_varint(value));
    bytes
}

fn raw_varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
