//! TensorRT for RTX compiles without a GPU, gives equal bytes each time, keeps what it made, and says what it is.
#![cfg(feature = "tensorrt")]

mod support;

use mindeye_config::Precision;
use mindeye_engine::{CompileError, CompileReport, CompileRequest, EngineError, Target, compile, report_path};
use std::fs;
use std::path::Path;
use support::tiny_network;

/// The report, or `None` with a line that says why when the library is not set up.
fn compiled(graph: &Path, target: Target, out: &Path) -> Option<CompileReport> {
    match compile(&CompileRequest { graph, target, precision: Precision::Fp32, out }) {
        Ok(report) => Some(report),
        Err(CompileError::Engine(error @ EngineError::LibraryMissing { .. })) => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn each_target_has_an_engine_of_its_own_and_the_same_bytes_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let graph = tiny_network(dir.path()).path;
    let mut engines = Vec::new();
    for target in Target::ALL {
        let outs = ["one", "two"].map(|name| dir.path().join(format!("{name}-{target}.engine")));
        for out in &outs {
            let Some(report) = compiled(&graph, target, out) else { return };
            assert!(!report.reused);
            assert_eq!(report.engine_bytes, fs::metadata(out).unwrap().len());
        }
        let [one, two] = outs.map(|out| fs::read(out).unwrap());
        assert!(one == two, "{target}: two compiles differ");
        engines.push(one);
    }
    assert!(engines[0] != engines[1] && engines[1] != engines[2] && engines[0] != engines[2]);
}

#[test]
fn an_engine_is_compiled_again_only_when_graph_target_or_file_have_changed() {
    let dir = tempfile::tempdir().unwrap();
    let graph = tiny_network(dir.path()).path;
    let out = dir.path().join("tiny.engine");
    let reused = |target| Some(compiled(&graph, target, &out)?.reused);
    let Some(first) = reused(Target::Sm89) else { return };
    assert!(!first);
    assert_eq!(reused(Target::Sm89), Some(true));
    assert_eq!(reused(Target::Sm86), Some(false), "another target");
    assert_eq!(reused(Target::Sm86), Some(true));
    let mut bytes = fs::read(&out).unwrap();
    bytes[0] ^= 1;
    fs::write(&out, bytes).unwrap();
    assert_eq!(reused(Target::Sm86), Some(false), "a damaged file");
    let mut changed = fs::read(&graph).unwrap();
    let weight = changed.windows(4).position(|bytes| bytes == 6.0_f32.to_le_bytes()).unwrap();
    changed[weight..weight + 4].copy_from_slice(&7.0_f32.to_le_bytes());
    fs::write(&graph, changed).unwrap();
    assert_eq!(reused(Target::Sm86), Some(false), "another weight");
}

#[test]
fn the_report_beside_the_engine_is_the_one_returned() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("tiny.engine");
    let Some(report) = compiled(&tiny_network(dir.path()).path, Target::Sm89, &out) else { return };
    let kept: CompileReport = serde_json::from_slice(&fs::read(report_path(&out)).unwrap()).unwrap();
    assert_eq!(kept, report);
    assert_eq!(report.census.float_products.len(), 1, "one matrix product: {report:?}");
    assert_eq!(report.memory.weights, Some(24), "six numbers of four bytes");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "graph, engine, report, and nothing hidden");
}

#[test]
fn a_graph_of_other_arithmetic_than_asked_for_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let graph = tiny_network(dir.path()).path;
    let out = dir.path().join("tiny.engine");
    let Some(_) = compiled(&graph, Target::Sm89, &dir.path().join("fp32.engine")) else { return };
    let request = CompileRequest { graph: &graph, target: Target::Sm89, precision: Precision::Fp16, out: &out };
    let refusal = compile(&request).unwrap_err();
    assert!(matches!(refusal, CompileError::Precision { others: 1, all: 1, .. }), "{refusal}");
    assert!(!out.exists() && !report_path(&out).exists());
}

#[test]
fn a_file_that_is_no_graph_is_refused_in_one_line_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let graph = tiny_network(dir.path()).path;
    let out = dir.path().join("tiny.engine");
    let Some(_) = compiled(&graph, Target::Sm89, &out) else { return };
    fs::write(&graph, b"not a graph").unwrap();
    let request = CompileRequest { graph: &graph, target: Target::Sm89, precision: Precision::Fp32, out: &out };
    let shown = compile(&request).unwrap_err().to_string();
    assert!(shown.contains(&graph.display().to_string()) && !shown.contains('\n'), "{shown}");
}
