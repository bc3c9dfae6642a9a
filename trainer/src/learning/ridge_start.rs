//! A closed-form start for the ridge variant: the linear path is the ridge regression of the training images.
//!
//! With z-scored voxels X `[n, V]`, centred targets Y `[n, T D]` and K = X Xᵀ = Q Λ Qᵀ: Ŷ = K (K + α)⁻¹ Y, and the
//! coefficients B = Xᵀ (K + α)⁻¹ Y have the rank of Ŷ at most. Its H largest right singular vectors U make W = U and
//! R = Uᵀ Bᵀ, so that W (R x) is the reduced-rank ridge prediction (Izenman 1975). α is the one of a grid with the least
//! leave-one-out error Σ ‖(Y - Ŷ)_i / (1 - h_ii)‖² (Golub, Heath and Wahba 1979).
//!
//! Several participants share U, which then comes from the predictions of all of them one below the other. Each has its
//! own α, R and mean target ȳ_p; W s + b ends in ȳ_p + Ŷ by b = ȳ over all and r_p = Uᵀ (ȳ_p - ȳ).

use super::parameters::Parameters;
use crate::networks::Backbone;
use tch::{Kind, Tensor};

/// Penalties that are tried, as shares of the mean eigenvalue of K.
const GRID: [f64; 7] = [1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3];
/// Singular values below this share of the largest belong to nothing but rounding.
const SMALLEST: f64 = 1e-5;

/// Writes the ridge regressions of all participants, from voxels `[n, V]` to targets `[n, T D]` each, into their
/// front-ends and the common linear path; returns each one's α.
pub(super) fn start(parameters: &Parameters, participants: &[(Tensor, Tensor)]) -> Vec<f64> {
    tch::no_grad(|| {
        let targets: Vec<&Tensor> = participants.iter().map(|(_, targets)| targets).collect();
        let mean = mean_row(&Tensor::cat(&targets, 0));
        let solutions: Vec<Solution> =
            participants.iter().map(|(voxels, targets)| Solution::of(voxels, targets)).collect();
        let predicted: Vec<&Tensor> = solutions.iter().map(|solution| &solution.predicted).collect();
        let directions = right_singular_vectors(&Tensor::cat(&predicted, 0), rank(parameters)); // U, [T D, r]
        for (number, (solution, (voxels, _))) in solutions.iter().zip(participants).enumerate() {
            let front_end = solution.coefficients.matmul(&directions).transpose(0, 1).matmul(voxels); // R, [r, V]
            let offset = (&solution.mean - &mean).matmul(&directions).view([-1]); // r, [r]
            fill_rows(parameters, &format!("ridge.{number}.weight"), &front_end);
            fill(parameters, &format!("ridge.{number}.bias"), &Tensor::zeros([1], (Kind::Float, voxels.device())));
            fill_rows(parameters, &format!("ridge.{number}.bias"), &offset);
        }
        fill_columns(parameters, "linear.weight", &directions);
        fill(parameters, "linear.bias", &mean.view([-1]));
        solutions.iter().map(|solution| solution.alpha).collect()
    })
}

/// One participant's ridge regression.
struct Solution {
    alpha: f64,
    /// ȳ_p, [1, T D].
    mean: Tensor,
    /// A = (K + α)⁻¹ (Y - ȳ_p), [n, T D].
    coefficients: Tensor,
    /// Ŷ - ȳ_p, [n, T D].
    predicted: Tensor,
}

impl Solution {
    fn of(voxels: &Tensor, targets: &Tensor) -> Self {
        let mean = mean_row(targets);
        let centred = targets - &mean;
        let kernel = Kernel::of(voxels);
        let alpha = kernel.least_left_out_error(&centred);
        let coefficients = kernel.solved(&centred, alpha);
        let predicted = kernel.matrix.matmul(&coefficients);
        Self { alpha, mean, coefficients, predicted }
    }
}

fn mean_row(x: &Tensor) -> Tensor {
    x.mean_dim(&[0_i64][..], true, Kind::Float)
}

/// K with its eigenvalues and eigenvectors.
struct Kernel {
    matrix: Tensor,
    values: Tensor,
    vectors: Tensor,
}

impl Kernel {
    fn of(voxels: &Tensor) -> Self {
        let matrix = voxels.matmul(&voxels.transpose(0, 1));
        let (values, vectors) = matrix.to_kind(Kind::Double).linalg_eigh("L");
        Self { values: values.clamp_min(0.0).to_kind(Kind::Float), vectors: vectors.to_kind(Kind::Float), matrix }
    }

    /// (K + α)⁻¹ Y.
    fn solved(&self, targets: &Tensor, alpha: f64) -> Tensor {
        let inverse = (&self.values + alpha).reciprocal().unsqueeze(1);
        self.vectors.matmul(&(self.vectors.transpose(0, 1).matmul(targets) * inverse))
    }

    fn least_left_out_error(&self, targets: &Tensor) -> f64 {
        let scale = self.values.mean(Kind::Double).double_value(&[]).max(f64::MIN_POSITIVE);
        let rotated = self.vectors.transpose(0, 1).matmul(targets);
        let error = |alpha: f64| {
            let left: Tensor = (&self.values + alpha).reciprocal() * alpha; // 1 - λ/(λ + α)
            let residual = self.vectors.matmul(&(&rotated * left.unsqueeze(1)));
            let leverage = self.vectors.square().matmul(&left.unsqueeze(1)).clamp_min(1e-6); // 1 - h_ii
            (residual / leverage).square().sum(Kind::Double).double_value(&[])
        };
        let tried = GRID.map(|share| (share * scale, error(share * scale)));
        tried.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(scale, |(alpha, _)| alpha)
    }
}

/// The `most` largest right singular vectors of `matrix` [n, m] as columns, through its [n, n] Gram matrix.
fn right_singular_vectors(matrix: &Tensor, most: i64) -> Tensor {
    let gram = matrix.matmul(&matrix.transpose(0, 1)).to_kind(Kind::Double);
    let (squares, left) = gram.linalg_eigh("L");
    let (squares, left) = (squares.flip([0]).clamp_min(0.0), left.flip([1]));
    let largest = squares.get(0).double_value(&[]);
    let real = squares.gt(largest * SMALLEST * SMALLEST).sum(Kind::Int64).int64_value(&[]);
    let count = most.min(real).max(1);
    let lengths = squares.narrow(0, 0, count).sqrt().to_kind(Kind::Float);
    matrix.transpose(0, 1).matmul(&left.narrow(1, 0, count).to_kind(Kind::Float)) / lengths.clamp_min(1e-12)
}

/// Width of the shared space.
fn rank(parameters: &Parameters) -> i64 {
    tensor(parameters, "linear.weight").size()[1]
}

fn tensor<'a>(parameters: &'a Parameters, name: &str) -> &'a Tensor {
    parameters.get(&format!("{}{name}", Backbone::PREFIX))
}

/// All of a tensor takes `values`.
fn fill(parameters: &Parameters, name: &str, values: &Tensor) {
    tensor(parameters, name).shallow_clone().copy_(values);
}

/// The first rows take `values`; dimensions of the shared space beyond the rank keep their random start.
fn fill_rows(parameters: &Parameters, name: &str, values: &Tensor) {
    tensor(parameters, name).narrow(0, 0, values.size()[0]).copy_(values);
}

/// The first columns take `values`; the others, which the front-end fills at random, begin with no effect.
fn fill_columns(parameters: &Parameters, name: &str, values: &Tensor) {
    let whole = tensor(parameters, name);
    let _ = whole.shallow_clone().zero_();
    whole.narrow(1, 0, values.size()[1]).copy_(values);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learning::backbone;
    use crate::networks::FrontEnd;
    use tch::Device;

    #[test]
    fn the_linear_path_is_the_primal_ridge_regression_where_the_shared_space_is_wide_enough() {
        let sizes = Backbone {
            front_end: FrontEnd::Ridge { participants: vec![20], shared: 16 },
            inputs: 16,
            hidden: 16,
            blocks: 1,
            tokens: 2,
            token_dim: 6,
            projector_hidden: 8,
        };
        let parameters = Parameters::random(sizes.layout(), 1, Device::Cpu);
        let normal = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let voxels = normal([50, 20]);
        let targets = voxels.matmul(&normal([20, 12])) + normal([50, 12]) * 2.0 + 3.0;
        let [alpha] = start(&parameters, &[(voxels.copy(), targets.copy())])[..] else { panic!("one participant") };
        let _ = tch::no_grad(|| parameters.get("voxel2clip.gate").shallow_clone().fill_(0.0));

        let mean = targets.mean_dim(&[0_i64][..], true, Kind::Float);
        let gram = voxels.transpose(0, 1).matmul(&voxels) + Tensor::eye(20, (Kind::Float, Device::Cpu)) * alpha;
        let solution = gram.inverse().matmul(&voxels.transpose(0, 1).matmul(&(&targets - &mean)));
        let new = normal([7, 20]);
        let expected = new.matmul(&solution) + mean;
        let found = backbone(&sizes, &parameters, &new, 0, None).tokens.flatten(1, -1);
        let off = (found - &expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[]);
        // 1e-4: float32, and an eigendecomposition on one side against an inverse on the other.
        assert!(off < 1e-4, "{off:.2e} at alpha {alpha}");
    }

    #[test]
    fn each_of_two_participants_gets_its_own_ridge_regression_through_the_shared_space() {
        let sizes = Backbone {
            front_end: FrontEnd::Ridge { participants: vec![20, 9], shared: 16 },
            inputs: 16,
            hidden: 16,
            blocks: 1,
            tokens: 2,
            token_dim: 6,
            projector_hidden: 8,
        };
        let parameters = Parameters::random(sizes.layout(), 1, Device::Cpu);
        let normal = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let participant = |trials: i64, voxels: i64, offset: f64| {
            let x = normal([trials, voxels]);
            let y = x.matmul(&normal([voxels, 12])) + normal([trials, 12]) + offset;
            (x, y)
        };
        let participants = [participant(50, 20, 3.0), participant(30, 9, -1.0)];
        let alphas = start(&parameters, &participants);
        let _ = tch::no_grad(|| parameters.get("voxel2clip.gate").shallow_clone().fill_(0.0));
        for (number, ((voxels, targets), alpha)) in participants.iter().zip(alphas).enumerate() {
            let mean = mean_row(targets);
            let count = voxels.size()[1];
            let gram = voxels.transpose(0, 1).matmul(voxels) + Tensor::eye(count, (Kind::Float, Device::Cpu)) * alpha;
            let solution = gram.inverse().matmul(&voxels.transpose(0, 1).matmul(&(targets - &mean)));
            let new = normal([7, count]);
            let expected = new.matmul(&solution) + mean;
            let found = backbone(&sizes, &parameters, &new, number, None).tokens.flatten(1, -1);
            let off = (found - &expected).abs().max().double_value(&[]) / expected.abs().max().double_value(&[]);
            // 1e-4: float32, and an eigendecomposition on one side against an inverse on the other. The space is wide
            // enough for both (16 of 12 outputs), so that nothing is lost on the way.
            assert!(off < 1e-4, "participant {number}: {off:.2e} at alpha {alpha}");
        }
    }

    #[test]
    fn pure_noise_gets_the_largest_penalty_and_an_exact_relation_the_smallest() {
        let normal = |shape: [i64; 2]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        tch::manual_seed(5);
        let voxels = normal([60, 10]);
        let kernel = Kernel::of(&voxels);
        let scale = kernel.values.mean(Kind::Double).double_value(&[]);
        let exact = voxels.matmul(&normal([10, 4]));
        let cases = [(normal([60, 4]), 1e1..=1e3), (exact, 1e-3..=1e-3)];
        for (targets, expected) in cases {
            let share = kernel.least_left_out_error(&targets) / scale;
            let share = 10_f64.powf(share.log10().round());
            assert!(expected.contains(&share), "{share}");
        }
    }
}
