//! One step of a sampler: guidance, then three sums of five tensors.

use super::array::Array;

/// Next sample, corrected sample and prediction, from the inputs of the step in their order (spec: diffusion section 3).
pub(crate) fn step(inputs: &[Array]) -> Vec<Array> {
    let [sample, noise, last_corrected, last_prediction, older_prediction, guidance, coefficients] = inputs else {
        panic!("a step has seven inputs, found {}", inputs.len())
    };
    let (unconditional, conditional) = noise.values.split_at(noise.values.len() / 2);
    let eps = unconditional.iter().zip(conditional).map(|(u, c)| u + guidance.values[0] * (c - u));
    let eps = Array::new(&sample.shape, eps.collect());
    let tensors = [sample, &eps, last_corrected, last_prediction, older_prediction];
    let sum = |row: &[f64]| {
        let value = |i: usize| tensors.iter().zip(row).map(|(tensor, factor)| factor * tensor.values[i]).sum();
        Array::new(&sample.shape, (0..sample.values.len()).map(value).collect())
    };
    coefficients.values.chunks_exact(tensors.len()).map(sum).collect()
}
