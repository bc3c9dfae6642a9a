//! The mock keeps the seam's promises and misbehaves exactly where its plan says.

use mindeye_config::Precision;
use mindeye_engine::{
    Engine, EngineError, FaultKind, MockEngine, MockPlan, NetworkFile, Session, TensorSpec, conformance,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn network(name: &str) -> NetworkFile {
    NetworkFile {
        name: name.into(),
        path: "absent.onnx".into(),
        precision: Precision::Fp32,
        inputs: vec![TensorSpec::new("voxels", [1, 12]), TensorSpec::new("timestep", [1])],
        outputs: vec![TensorSpec::new("tokens", [1, 4, 5]), TensorSpec::new("image", [1, 3, 2, 2])],
    }
}

/// The outputs for inputs that are all `value`.
fn run(engine: &MockEngine, session: &mut dyn Session, value: f32) -> Result<Vec<Vec<f32>>, EngineError> {
    let mut inputs: Vec<_> = session.inputs().iter().map(|spec| engine.buffer(spec).unwrap()).collect();
    for buffer in &mut inputs {
        let values = vec![value; buffer.spec().element_count()];
        engine.upload(buffer, &values).unwrap();
    }
    let mut outputs: Vec<_> = session.outputs().iter().map(|spec| engine.buffer(spec).unwrap()).collect();
    session.run(&inputs.iter().collect::<Vec<_>>(), &mut outputs.iter_mut().collect::<Vec<_>>())?;
    let mut values: Vec<_> = session.outputs().iter().map(|spec| vec![0.0; spec.element_count()]).collect();
    for (buffer, values) in outputs.iter().zip(&mut values) {
        engine.download(buffer, values).unwrap();
    }
    Ok(values)
}

#[test]
fn the_mock_keeps_the_promises_of_the_seam() {
    let engine = MockEngine::new(MockPlan::default());
    conformance::check(&engine, &network("backbone"));
    let square = NetworkFile {
        inputs: vec![TensorSpec::new("sample", [1, 4, 8])],
        outputs: vec![TensorSpec::new("sample_after", [1, 4, 8])],
        ..network("step")
    };
    conformance::check_chain(&engine, &square);
}

#[test]
fn the_map_is_linear_and_differs_between_networks() {
    let engine = MockEngine::new(MockPlan::default());
    let mut session = engine.open(&network("backbone")).unwrap();
    let one = run(&engine, session.as_mut(), 0.5).unwrap();
    let double = run(&engine, session.as_mut(), 1.0).unwrap();
    for (a, b) in one.concat().iter().zip(double.concat()) {
        assert_eq!(2.0 * a, b, "doubling is exact in binary floating point");
    }
    let other = run(&engine, engine.open(&network("low-level")).unwrap().as_mut(), 0.5).unwrap();
    assert_ne!(one, other);
}

#[test]
fn faults_strike_at_the_planned_run_of_the_planned_network_only() {
    let plan = MockPlan::default()
        .with_fault("backbone", 1, FaultKind::Fail)
        .with_fault("backbone", 2, FaultKind::NotANumber)
        .with_fault("low-level", 0, FaultKind::Fail);
    let engine = MockEngine::new(plan);
    let mut session = engine.open(&network("backbone")).unwrap();
    let healthy = run(&engine, session.as_mut(), 0.5).unwrap();

    let failure = run(&engine, session.as_mut(), 0.5).unwrap_err();
    assert_eq!(failure.to_string(), "network `backbone` failed to run: planned fault at run 1");

    let spoilt = run(&engine, session.as_mut(), 0.5).unwrap();
    for (values, healthy) in spoilt.iter().zip(&healthy) {
        assert!(values[0].is_nan());
        assert_eq!(values[1..], healthy[1..]);
    }
    assert_eq!(run(&engine, session.as_mut(), 0.5).unwrap(), healthy);
}

#[test]
fn a_slow_mock_passes_the_planned_time_and_no_other() {
    let waited = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&waited);
    let plan = MockPlan::slow_by_ms(2.5).with_fault("backbone", 1, FaultKind::Slow(Duration::from_millis(40)));
    let engine = MockEngine::new(plan).waiting_by(move |delay| log.lock().unwrap().push(delay));
    let mut session = engine.open(&network("backbone")).unwrap();
    for _ in 0..3 {
        run(&engine, session.as_mut(), 0.5).unwrap();
    }
    let expected = [2_500, 42_500, 2_500].map(Duration::from_micros);
    assert_eq!(*waited.lock().unwrap(), expected);
}

#[test]
fn unit_inputs_give_outputs_of_about_unit_size() {
    let big = NetworkFile {
        name: "backbone".into(),
        path: "absent.onnx".into(),
        precision: Precision::Fp32,
        inputs: vec![TensorSpec::new("voxels", [1, 4000])],
        outputs: vec![TensorSpec::new("tokens", [1, 2000])],
    };
    let engine = MockEngine::new(MockPlan::default());
    let mut input = engine.buffer(&big.inputs[0]).unwrap();
    let signs: Vec<f32> = (0..4000).map(|i| if i % 3 == 0 { 1.0 } else { -1.0 }).collect();
    engine.upload(&mut input, &signs).unwrap();
    let mut output = engine.buffer(&big.outputs[0]).unwrap();
    engine.open(&big).unwrap().run(&[&input], &mut [&mut output]).unwrap();
    let mut values = vec![0.0; 2000];
    engine.download(&output, &mut values).unwrap();
    let mean_square: f32 = values.iter().map(|v| v * v).sum::<f32>() / 2000.0;
    // A factor of 3: the mean square is (1/K) Σ sₖ², a χ² with K = 16 degrees of freedom, so within 0.35 to 2.2 in 99.9 %.
    assert!((1.0 / 3.0..3.0).contains(&mean_square), "{mean_square}");
}
