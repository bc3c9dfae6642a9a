//! A two-node ONNX file of known numbers, written byte by byte: `sum = x W` and `bounded = tanh(sum)`.
//!
//! Field numbers are those of onnx.proto3. An engine must not need the exporter to be tested.

use mindeye_engine::{NetworkFile, TensorSpec};
use std::path::Path;

/// W, [3, 2], row by row.
pub(crate) const WEIGHTS: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

/// Writes the network into `dir` and says what it is.
pub(crate) fn tiny_network(dir: &Path) -> NetworkFile {
    let path = dir.join("tiny.onnx");
    std::fs::write(&path, model()).unwrap();
    NetworkFile {
        name: "tiny".into(),
        path,
        inputs: vec![TensorSpec::new("x", [1, 3])],
        outputs: vec![TensorSpec::new("sum", [1, 2]), TensorSpec::new("bounded", [1, 2])],
    }
}

fn model() -> Vec<u8> {
    let graph = [
        message(1, &node("MatMul", &["x", "w"], "sum")),
        message(1, &node("Tanh", &["sum"], "bounded")),
        message(2, b"tiny"),
        message(5, &weights()),
        message(11, &value("x", &[1, 3])),
        message(12, &value("sum", &[1, 2])),
        message(12, &value("bounded", &[1, 2])),
    ];
    let opset = [message(1, b""), varint(2, 20)].concat();
    [varint(1, 9), message(7, &graph.concat()), message(8, &opset)].concat()
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = inputs.iter().flat_map(|name| message(1, name.as_bytes())).collect();
    bytes.extend(message(2, output.as_bytes()));
    bytes.extend(message(4, operator.as_bytes()));
    bytes
}

fn weights() -> Vec<u8> {
    let raw: Vec<u8> = WEIGHTS.iter().flat_map(|w| w.to_le_bytes()).collect();
    [varint(1, 3), varint(1, 2), varint(2, FLOAT), message(8, b"w"), message(9, &raw)].concat()
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
