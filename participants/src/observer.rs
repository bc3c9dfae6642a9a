//! The ideal observer: it knows the encoding model, the day, the distribution of attention and the covariance of all
//! errors, and names the most likely picture. No decoder can be right more often.
//!
//! For one showing with beta b of a day (gain d, turn φ), log p(b | picture) = log Σ_g p(g) N(b; g h, C) with
//! h = A d (m + s cos φ + s' sin φ), g the gain of attention (and of earlier showings, which are known), and C the
//! covariance inside and outside the signal subspace. Showings of a picture add up. Whitened by C = L Lᵀ everything is an
//! inner product: g bᵀh − g² hᵀh/2. That errors of neighbouring trials are correlated it does not use.

use crate::betas::BetaSource;
use crate::participant::{DayState, Participant, repetition};
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, Par, Side};
use ndarray::{Array2, ArrayView1, ArrayViewMut1};

/// Nodes and weights over attention's standard normal number.
const NODES: i32 = 9;

/// An ideal observer of one participant, for a set of candidate pictures.
pub struct IdealObserver<'a> {
    participant: &'a Participant,
    factor: Mat<f32>,
    /// Whitened A m, `f32[voxels]`.
    mean: Array2<f32>,
    /// Whitened A s and A s' of every candidate, f32[candidates, voxels].
    own: Array2<f32>,
    partner: Array2<f32>,
    /// Inner products of each candidate: own·own, partner·partner, own·partner, own·mean, partner·mean.
    squares: Vec<[f64; 5]>,
    mean_square: f64,
}

/// Whitened inner products of one beta with the mean and with every candidate.
struct Fits<'a> {
    mean: f32,
    own: ArrayView1<'a, f32>,
    partner: ArrayView1<'a, f32>,
}

/// One showing that the observer is to judge.
pub struct Showing<'a> {
    /// The beta, percent signal change.
    pub beta: &'a [f32],
    /// Its day.
    pub day: &'a DayState,
    /// How often the picture had been seen.
    pub seen_before: u32,
}

impl<'a> IdealObserver<'a> {
    /// An observer of the betas of `source` for candidates with these responses, f32[candidates, voxels]. The covariance of
    /// 4,000 voxels takes 64 MB and 21 GFLOP to factor.
    #[must_use]
    pub fn new(source: &BetaSource<'a>, responses: &Array2<f32>) -> Self {
        let participant = source.participant();
        let factor = cholesky(&covariance(source));
        let amplitude = participant.amplitude();
        let mean = participant.mixture().trial.mean as f32;
        let scaled = |of: &dyn Fn(usize, usize) -> f32, rows: usize| {
            whiten(&factor, Array2::from_shape_fn((rows, amplitude.len()), |(row, v)| amplitude[v] * of(row, v)))
        };
        let mean = scaled(&|_, _| mean, 1);
        let own = scaled(&|row, v| responses[[row, v]], responses.nrows());
        let partner = scaled(&|row, v| responses[[row, participant.partner()[v] as usize]], responses.nrows());
        let dot = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| f64::from(a.dot(&b));
        let m = mean.row(0);
        let squares = own.rows().into_iter().zip(partner.rows());
        let squares = squares.map(|(a, b)| [dot(a, a), dot(b, b), dot(a, b), dot(a, m), dot(b, m)]).collect();
        let mean_square = dot(m, m);
        Self { participant, factor, mean, own, partner, squares, mean_square }
    }

    /// Log-likelihood of every candidate given the showings of each of several pictures, f64[pictures, candidates], up to a
    /// constant for each picture. All betas are whitened at once, because each pass over L reads 64 MB.
    #[must_use]
    pub fn log_likelihoods(&self, pictures: &[Vec<Showing<'_>>]) -> Array2<f64> {
        let showings: Vec<&Showing<'_>> = pictures.iter().flatten().collect();
        let centred = |showing: &Showing<'_>, v: usize| showing.beta[v] - showing.day.offset[v];
        let size = (showings.len(), self.participant.mask().len());
        let betas = whiten(&self.factor, Array2::from_shape_fn(size, |(n, v)| centred(showings[n], v)));
        let (own, partner) = (betas.dot(&self.own.t()), betas.dot(&self.partner.t()));
        let mean = betas.dot(&self.mean.row(0));
        let mut out = Array2::zeros((pictures.len(), self.squares.len()));
        let groups = pictures.iter().enumerate().flat_map(|(picture, group)| group.iter().map(move |_| picture));
        for (n, (picture, showing)) in groups.zip(&showings).enumerate() {
            let fits = Fits { mean: mean[n], own: own.row(n), partner: partner.row(n) };
            self.add_showing(showing, &fits, out.row_mut(picture));
        }
        out
    }

    fn add_showing(&self, showing: &Showing<'_>, fits: &Fits<'_>, mut sums: ArrayViewMut1<'_, f64>) {
        let gains = self.gains(showing.seen_before);
        let (d, (sin, cos)) = (showing.day.gain, showing.day.turn.sin_cos());
        for (candidate, sum) in sums.iter_mut().enumerate() {
            let [aa, bb, ab, am, bm] = self.squares[candidate];
            let fit =
                f64::from(fits.mean) + cos * f64::from(fits.own[candidate]) + sin * f64::from(fits.partner[candidate]);
            let crossed = 2.0 * (sin * cos * ab + cos * am + sin * bm);
            let square = self.mean_square + cos * cos * aa + sin * sin * bb + crossed;
            *sum += log_mean(&gains, d * fit, d * d * square);
        }
    }

    /// Possible gains with their probabilities.
    fn gains(&self, seen_before: u32) -> Vec<(f64, f64)> {
        let mix = &self.participant.mixture().trial;
        let left = repetition(mix.repetition, seen_before);
        let nodes = (0..NODES).map(|n| 3.0 * (2.0 * f64::from(n) / f64::from(NODES - 1) - 1.0));
        let weights: Vec<(f64, f64)> =
            nodes.map(|z| (self.participant.attention(z) * left, (-z * z / 2.0).exp())).collect();
        let total: f64 = weights.iter().map(|(_, w)| w).sum();
        let kinds = [(1.0, 1.0 - mix.lapse_share), (mix.lapse_gain, mix.lapse_share)];
        let of_kind = |(factor, share): (f64, f64)| {
            weights.iter().map(move |(gain, weight)| (gain * factor, share * weight / total)).collect::<Vec<_>>()
        };
        kinds.into_iter().filter(|(_, share)| *share > 0.0).flat_map(of_kind).collect()
    }
}

/// log Σ p exp(g fit − g² square/2).
fn log_mean(gains: &[(f64, f64)], fit: f64, square: f64) -> f64 {
    let term = |(gain, probability): &(f64, f64)| probability.ln() + gain * fit - gain * gain * square / 2.0;
    let largest = gains.iter().map(term).fold(f64::NEG_INFINITY, f64::max);
    largest + gains.iter().map(|g| (term(g) - largest).exp()).sum::<f64>().ln()
}

/// Covariance of one beta's errors, f64[voxels, voxels].
fn covariance(source: &BetaSource<'_>) -> Mat<f64> {
    let participant = source.participant();
    let (reference, amplitude) = (participant.reference(), participant.amplitude());
    let signal = reference.t().dot(reference);
    let gain = participant.mixture().trial.subspace.powi(2) / reference.nrows() as f64;
    let within =
        |u: usize, v: usize| gain * f64::from(amplitude[u]) * f64::from(amplitude[v]) * f64::from(signal[[u, v]]);
    Mat::from_fn(amplitude.len(), amplitude.len(), |u, v| {
        if u < v { 0.0 } else { within(u, v) + source.noise_covariance(u, v) }
    })
}

/// L of a covariance whose lower half is given.
fn cholesky(covariance: &Mat<f64>) -> Mat<f32> {
    let factor = covariance.llt(Side::Lower).expect("thermal noise above 0 makes a covariance positive definite");
    let lower = factor.L();
    Mat::from_fn(lower.nrows(), lower.ncols(), |row, column| lower[(row, column)] as f32)
}

/// Rows x as L⁻¹ x.
fn whiten(factor: &Mat<f32>, rows: Array2<f32>) -> Array2<f32> {
    let mut columns = Mat::from_fn(rows.ncols(), rows.nrows(), |v, row| rows[[row, v]]);
    solve_lower_triangular_in_place(factor.as_ref(), columns.as_mut(), Par::rayon(0));
    Array2::from_shape_fn(rows.dim(), |(row, v)| columns[(v, row)])
}
