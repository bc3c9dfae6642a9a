//! What every engine must do, written once: run [`check`] over each kind with a network of its own.
//!
//! Only tests call this; a broken promise is a panic that says which.

use crate::{Buffer, Engine, EngineError, NetworkFile, Session, Side, TensorSpec};

/// Holds `engine` to every promise of the seam with `network`, which must have an input of two or more elements.
///
/// # Panics
/// At the first broken promise.
pub fn check(engine: &dyn Engine, network: &NetworkFile) {
    a_session_has_the_declared_tensors(engine, network);
    equal_inputs_give_equal_bytes_in_any_session(engine, network);
    different_inputs_give_different_outputs(engine, network);
    wrong_bindings_are_refused_and_the_session_stays_usable(engine, network);
    values_survive_upload_copy_and_download(engine, &network.inputs[0]);
    wrong_lengths_and_shapes_are_refused(engine, &network.inputs[0]);
    a_session_may_move_to_another_thread(engine, network);
}

/// Holds `engine` to its word that buffers belong to no session: what one session wrote another reads, and the same
/// buffers may change sides from run to run, as in a sampler's loop. `network` must have one input and one output, of one
/// shape.
///
/// # Panics
/// At the first broken promise.
pub fn check_chain(engine: &dyn Engine, network: &NetworkFile) {
    assert_eq!(network.inputs[0].shape, network.outputs[0].shape, "{}: no chain", network.name);
    let mut sessions = [open(engine, network), open(engine, network)];
    let [mut now, mut next] = [0, 1].map(|_| engine.buffer(&network.inputs[0]).expect("a buffer"));
    let mut by_host = ramp(&network.inputs[0], 0.25);
    engine.upload(&mut now, &by_host).expect("as long as the buffer");
    for step in 0..4 {
        sessions[step % 2].run(&[&now], &mut [&mut next]).expect("the bindings are those declared");
        std::mem::swap(&mut now, &mut next);
        by_host = through_the_host(engine, network, &by_host);
    }
    assert_eq!(bits(&[download(engine, &now)]), bits(&[by_host]), "{}: a chain of four runs", engine.kind());
}

/// One run with buffers and session of its own.
fn through_the_host(engine: &dyn Engine, network: &NetworkFile, values: &[f32]) -> Vec<f32> {
    let [mut input, mut output] = [0, 1].map(|_| engine.buffer(&network.inputs[0]).expect("a buffer"));
    engine.upload(&mut input, values).expect("as long as the buffer");
    open(engine, network).run(&[&input], &mut [&mut output]).expect("the bindings are those declared");
    download(engine, &output)
}

fn a_session_has_the_declared_tensors(engine: &dyn Engine, network: &NetworkFile) {
    let session = open(engine, network);
    assert_eq!(session.inputs(), network.inputs, "{}: inputs", engine.kind());
    assert_eq!(session.outputs(), network.outputs, "{}: outputs", engine.kind());
}

fn equal_inputs_give_equal_bytes_in_any_session(engine: &dyn Engine, network: &NetworkFile) {
    let mut session = open(engine, network);
    let first = run(engine, session.as_mut(), 0.25);
    run(engine, session.as_mut(), -1.0);
    let again = run(engine, session.as_mut(), 0.25);
    let elsewhere = run(engine, open(engine, network).as_mut(), 0.25);
    assert_eq!(bits(&first), bits(&again), "{}: a session remembers its last run", engine.kind());
    assert_eq!(bits(&first), bits(&elsewhere), "{}: two sessions differ", engine.kind());
}

fn different_inputs_give_different_outputs(engine: &dyn Engine, network: &NetworkFile) {
    let mut session = open(engine, network);
    let one = run(engine, session.as_mut(), 0.25);
    let other = run(engine, session.as_mut(), -0.75);
    for ((a, b), tensor) in one.iter().zip(&other).zip(&network.outputs) {
        assert_ne!(a, b, "{}: {tensor} does not depend on the input", engine.kind());
        assert!(a.iter().all(|v| v.is_finite()), "{}: {tensor} is not finite", engine.kind());
    }
}

fn wrong_bindings_are_refused_and_the_session_stays_usable(engine: &dyn Engine, network: &NetworkFile) {
    let mut session = open(engine, network);
    let before = run(engine, session.as_mut(), 0.25);

    let refusal = session.run(&[], &mut []).expect_err("no inputs were bound");
    assert!(matches!(refusal, EngineError::BindingCount { side: Side::Input, found: 0, .. }), "{refusal}");

    let mut inputs = buffers(engine, &network.inputs);
    let wrong = TensorSpec::new("wrong", [network.inputs[0].element_count() + 1]);
    inputs[0] = engine.buffer(&wrong).expect("a buffer");
    let mut outputs = buffers(engine, &network.outputs);
    let refusal = bind(session.as_mut(), &inputs, &mut outputs).expect_err("the first input is one too long");
    let expected = EngineError::BindingShape {
        network: network.name.clone(),
        side: Side::Input,
        tensor: network.inputs[0].to_string(),
        buffer: wrong.to_string(),
    };
    assert_eq!(refusal, expected);

    let after = run(engine, session.as_mut(), 0.25);
    assert_eq!(bits(&before), bits(&after), "{}: a refused run changed the session", engine.kind());
}

fn values_survive_upload_copy_and_download(engine: &dyn Engine, spec: &TensorSpec) {
    let values = ramp(spec, 3.5);
    let mut from = engine.buffer(spec).expect("a buffer");
    let mut to = engine.buffer(&TensorSpec::new("copy", spec.shape.clone())).expect("a buffer");
    engine.upload(&mut from, &values).expect("as long as the buffer");
    engine.copy(&from, &mut to).expect("of the same shape");
    assert_eq!(download(engine, &to), values, "{}", engine.kind());
}

fn wrong_lengths_and_shapes_are_refused(engine: &dyn Engine, spec: &TensorSpec) {
    let count = spec.element_count();
    let mut buffer = engine.buffer(spec).expect("a buffer");
    let refusal = EngineError::Length { buffer: spec.to_string(), expected: count, found: count + 1 };
    assert_eq!(engine.upload(&mut buffer, &vec![1.0; count + 1]), Err(refusal.clone()));
    assert_eq!(engine.download(&buffer, &mut vec![1.0; count + 1]), Err(refusal));
    let longer = TensorSpec::new("longer", [count + 1]);
    let from = engine.buffer(&longer).expect("a buffer");
    assert_eq!(
        engine.copy(&from, &mut buffer),
        Err(EngineError::Copy { from: longer.to_string(), to: spec.to_string() })
    );
    assert_eq!(download(engine, &buffer), vec![0.0; count], "{}: a refused transfer wrote", engine.kind());
}

fn a_session_may_move_to_another_thread(engine: &dyn Engine, network: &NetworkFile) {
    let mut here = open(engine, network);
    let mut there = open(engine, network);
    let mut inputs = buffers(engine, &network.inputs);
    fill(engine, &mut inputs, 0.25);
    let mut outputs = buffers(engine, &network.outputs);
    std::thread::scope(|scope| {
        scope.spawn(|| bind(there.as_mut(), &inputs, &mut outputs)).join().expect("no panic").expect("valid bindings");
    });
    let elsewhere: Vec<_> = outputs.iter().map(|buffer| download(engine, buffer)).collect();
    assert_eq!(bits(&run(engine, here.as_mut(), 0.25)), bits(&elsewhere), "{}: threads differ", engine.kind());
}

fn open(engine: &dyn Engine, network: &NetworkFile) -> Box<dyn Session> {
    engine.open(network).unwrap_or_else(|error| panic!("{}: {error}", engine.kind()))
}

/// Outputs for inputs that ramp up from `start`.
fn run(engine: &dyn Engine, session: &mut dyn Session, start: f32) -> Vec<Vec<f32>> {
    let mut inputs = buffers(engine, session.inputs());
    let mut outputs = buffers(engine, session.outputs());
    fill(engine, &mut inputs, start);
    bind(session, &inputs, &mut outputs).expect("the bindings are those declared");
    outputs.iter().map(|buffer| download(engine, buffer)).collect()
}

fn bind(session: &mut dyn Session, inputs: &[Buffer], outputs: &mut [Buffer]) -> Result<(), EngineError> {
    let inputs: Vec<&Buffer> = inputs.iter().collect();
    let mut outputs: Vec<&mut Buffer> = outputs.iter_mut().collect();
    session.run(&inputs, &mut outputs)
}

fn buffers(engine: &dyn Engine, specs: &[TensorSpec]) -> Vec<Buffer> {
    specs.iter().map(|spec| engine.buffer(spec).expect("a buffer")).collect()
}

fn fill(engine: &dyn Engine, inputs: &mut [Buffer], start: f32) {
    for buffer in inputs {
        let values = ramp(&buffer.spec().clone(), start);
        engine.upload(buffer, &values).expect("as long as the buffer");
    }
}

/// From `start` up to `start` + 1 over the tensor's elements.
fn ramp(spec: &TensorSpec, start: f32) -> Vec<f32> {
    let count = spec.element_count();
    (0..count).map(|i| start + i as f32 / count as f32).collect()
}

fn download(engine: &dyn Engine, buffer: &Buffer) -> Vec<f32> {
    let mut values = vec![f32::NAN; buffer.spec().element_count()];
    engine.download(buffer, &mut values).expect("as long as the buffer");
    values
}

fn bits(tensors: &[Vec<f32>]) -> Vec<Vec<u32>> {
    tensors.iter().map(|values| values.iter().map(|v| v.to_bits()).collect()).collect()
}
