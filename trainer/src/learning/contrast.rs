//! The contrastive losses: BiMixCo, SoftCLIP, and the low-level network's against its teacher; and what they are for.

use crate::Mixing;
use tch::{Kind, Tensor};

/// x_i ← λ_i x_i + (1 - λ_i) x_π(i), for voxels `[B, V]`.
pub fn mix(voxels: &Tensor, mixing: &Mixing) -> Tensor {
    let partner: Vec<i64> = mixing.partner.iter().map(|i| *i as i64).collect();
    let partner: Tensor = voxels.index_select(0, &Tensor::from_slice(&partner).to_device(voxels.device()));
    let weight = Tensor::from_slice(&mixing.weight).to_device(voxels.device()).unsqueeze(1);
    let rest: Tensor = 1.0 - &weight;
    voxels * weight + partner * rest
}

/// ½ [mean_i Σ_j -P_ij log softmax_j S_ij + mean_j Σ_i -P_ij log softmax_i S_ij] with S = p tᵀ/τ over rows of unit
/// length (spec: MindEye section 3.1). `predicted` and `target` are `[B, T, D]`, `weights` is P `[B, B]`.
pub fn bi_mix_co(predicted: &Tensor, target: &Tensor, weights: &Tensor, temperature: f64) -> Tensor {
    let scores = unit_rows(predicted).matmul(&unit_rows(target).transpose(0, 1)) / temperature;
    let there = cross_entropy(weights, &scores);
    let back = cross_entropy(&weights.transpose(0, 1), &scores.transpose(0, 1));
    (there + back) / 2.0
}

/// As [`bi_mix_co`] with the targets' similarity to each other, softmax_j(t tᵀ/τ), as P in both directions
/// (spec: MindEye section 3.2).
pub fn soft_clip(predicted: &Tensor, target: &Tensor, temperature: f64) -> Tensor {
    let (p, t) = (unit_rows(predicted), unit_rows(target));
    let weights = (t.matmul(&t.transpose(0, 1)) / temperature).softmax(-1, Kind::Float);
    let scores = p.matmul(&t.transpose(0, 1)) / temperature;
    (cross_entropy(&weights, &scores) + cross_entropy(&weights, &scores.transpose(0, 1))) / 2.0
}

/// ½ [CE(softmax(a gᵀ/τ), s gᵀ/τ) + CE(softmax(g aᵀ/τ), g sᵀ/τ)] over all places of all samples: features s of the
/// student, a of the teacher, g of the teacher on the augmented picture, each `[B, places, 512]` (spec: section 4.2).
pub fn teacher_contrast(student: &Tensor, teacher: &Tensor, augmented: &Tensor, temperature: f64) -> Tensor {
    let [s, a, g] = [student, teacher, augmented].map(|x| unit(&x.flatten(0, 1)));
    let similarity = |x: &Tensor, y: &Tensor| x.matmul(&y.transpose(0, 1)) / temperature;
    let shares = |scores: Tensor| scores.softmax(-1, Kind::Float);
    let there = cross_entropy(&shares(similarity(&a, &g)), &similarity(&s, &g));
    let back = cross_entropy(&shares(similarity(&g, &a)), &similarity(&g, &s));
    (there + back) / 2.0
}

/// Top-1 retrieval among the rows themselves: (brain → image, image → brain), fractions; a tie with another row is a miss.
#[must_use]
pub fn retrieval(predicted: &Tensor, target: &Tensor) -> (f64, f64) {
    let scores = unit_rows(predicted).matmul(&unit_rows(target).transpose(0, 1));
    let own = scores.diag(0);
    let others = scores.size()[0] as f64;
    let hits = |own: Tensor, axis: i64| {
        let not_below = scores.ge_tensor(&own).to_kind(Kind::Int64).sum_dim_intlist(&[axis][..], false, Kind::Int64);
        not_below.eq(1).to_kind(Kind::Double).sum(Kind::Double).double_value(&[]) / others
    };
    (hits(own.unsqueeze(1), 1), hits(own.unsqueeze(0), 0))
}

/// mean_i Σ_j -P_ij log softmax_j S_ij.
fn cross_entropy(weights: &Tensor, scores: &Tensor) -> Tensor {
    -(weights * scores.log_softmax(-1, Kind::Float))
        .sum_dim_intlist(&[-1_i64][..], false, Kind::Float)
        .mean(Kind::Float)
}

/// Samples flattened to unit length.
fn unit_rows(x: &Tensor) -> Tensor {
    unit(&x.flatten(1, -1))
}

fn unit(x: &Tensor) -> Tensor {
    x / x.norm_scalaropt_dim(2, [-1], true).clamp_min(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_of_retrieval_are_told_apart() {
        // Brains 0 and 1 both look most like image 0; every image looks most like its own brain.
        let images = Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 1.0]).view([2, 1, 2]);
        let brains = Tensor::from_slice(&[1.0_f32, 0.1, 1.0, 0.9]).view([2, 1, 2]);
        assert_eq!(retrieval(&brains, &images), (0.5, 1.0));
        let same = Tensor::ones([2, 1, 2], (Kind::Float, tch::Device::Cpu));
        assert_eq!(retrieval(&same, &same), (0.0, 0.0), "ties are misses");
    }
}
