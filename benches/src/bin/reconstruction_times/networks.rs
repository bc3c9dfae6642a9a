//! Each network by itself: opened, held to its golden case, run again and again on buffers that stay where they are.

use crate::{Outcome, Repeats, figures};
use mindeye_config::{Clock, NetworkEntry, TensorEntry};
use mindeye_decode::Bundle;
use mindeye_engine::{Buffer, Engine, NetworkFile, TensorSpec};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::path::Path;

pub(crate) fn measure(
    bundle: &Bundle,
    names: &[String],
    engine: &dyn Engine,
    clock: &dyn Clock,
    repeats: Repeats,
) -> Outcome<Value> {
    let folder = bundle.dir.as_path();
    let bytes = std::fs::read(folder.join("golden.safetensors"))?;
    let golden = SafeTensors::deserialize(&bytes)?;
    let mut rows = Vec::new();
    let wanted = |entry: &&NetworkEntry| names.is_empty() || names.contains(&entry.name);
    for entry in bundle.manifest.network.iter().filter(wanted) {
        rows.push(measure_one(folder, entry, &golden, engine, clock, repeats)?);
    }
    Ok(Value::Array(rows))
}

fn measure_one(
    folder: &Path,
    entry: &NetworkEntry,
    golden: &SafeTensors<'_>,
    engine: &dyn Engine,
    clock: &dyn Clock,
    repeats: Repeats,
) -> Outcome<Value> {
    let file = NetworkFile {
        name: entry.name.clone(),
        path: folder.join(&entry.path),
        precision: entry.precision,
        inputs: specs(&entry.inputs),
        outputs: specs(&entry.outputs),
    };
    let begun = clock.now();
    let mut session = engine.open(&file)?;
    let opening_s = clock.now().since(begun).as_secs_f64();
    let case = |spec: &TensorSpec| numbers(golden, &format!("{}/{}", entry.name, spec.name));
    let mut inputs = buffers(engine, &file.inputs)?;
    for buffer in &mut inputs {
        let values = case(&buffer.spec().clone())?;
        engine.upload(buffer, &values)?;
    }
    let mut outputs = buffers(engine, &file.outputs)?;
    let inputs: Vec<&Buffer> = inputs.iter().collect();
    let mut taken = Vec::new();
    for _ in 0..repeats.warm + repeats.runs {
        let begun = clock.now();
        session.run(&inputs, &mut outputs.iter_mut().collect::<Vec<_>>())?;
        taken.push(clock.now().since(begun).as_secs_f64() * 1e3);
    }
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for buffer in &outputs {
        let mut values = vec![0.0; buffer.spec().element_count()];
        engine.download(buffer, &mut values)?;
        found.extend(values);
        expected.extend(case(buffer.spec())?);
    }
    Ok(json!({
        "network": entry.name,
        "precision": entry.precision,
        "opening_s": opening_s,
        "first_run_ms": taken[0],
        "run": figures(&taken[repeats.warm..]),
        "one_minus_cosine": 1.0 - cosine(&found, &expected),
        "worst": worst(&found, &expected),
    }))
}

fn specs(entries: &[TensorEntry]) -> Vec<TensorSpec> {
    entries.iter().map(|entry| TensorSpec::new(entry.name.as_str(), entry.shape.as_slice())).collect()
}

fn buffers(engine: &dyn Engine, specs: &[TensorSpec]) -> Outcome<Vec<Buffer>> {
    Ok(specs.iter().map(|spec| engine.buffer(spec)).collect::<Result<_, _>>()?)
}

fn numbers(golden: &SafeTensors<'_>, name: &str) -> Outcome<Vec<f32>> {
    let bytes = golden.tensor(name)?.data().to_vec();
    Ok(bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect())
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Largest |found - golden|/(1 + |golden|), as the manifest's tolerance counts; NaN where a number is none.
fn worst(found: &[f32], golden: &[f32]) -> f64 {
    let apart = found.iter().zip(golden).map(|(f, g)| f64::from((f - g).abs()) / (1.0 + f64::from(g.abs())));
    apart.fold(0.0, |worst, amount| if amount.is_nan() || worst.is_nan() { f64::NAN } else { worst.max(amount) })
}
