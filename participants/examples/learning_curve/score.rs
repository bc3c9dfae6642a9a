//! Top-1 of 300 with its interval, for embeddings and for likelihoods.

use mindeye_decode::metrics::{Centring, Direction, Interval, Protocol, Scores, bootstrap_over_images, retrieve};
use mindeye_trainer::ridge::cross;
use ndarray::Array2;

/// Centred cosine retrieval, brain → image, of predictions [pictures, outputs] against their own targets.
pub(crate) fn centred_top1(predictions: &Array2<f32>, targets: &Array2<f32>) -> Interval {
    let (lengths, predicted) = (norms(targets), norms(predictions));
    let cosines = |a: &Array2<f32>, la: &[f64]| {
        let mut dots = cross(a.view(), targets.view());
        dots.indexed_iter_mut().for_each(|((i, j), d)| *d /= la[i] * lengths[j]);
        dots
    };
    let own = (0..targets.nrows()).collect();
    let scores = Scores::new(cosines(predictions, &predicted), cosines(targets, &lengths), own).expect("equal sizes");
    retrieve(&scores, Direction::ImageRetrieval, Centring::Centred, Protocol::default())
        .and_then(|found| found.interval(0))
        .expect("1,000 pictures and 30 pools")
}

fn norms(rows: &Array2<f32>) -> Vec<f64> {
    rows.rows().into_iter().map(|r| r.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()).collect()
}

/// The same from a table of scores, f64[brains, pictures], brain i having seen picture i: with k of the n − 1 others above
/// the right one, a pool of 300 holds none of them with probability Π (n − 1 − k − i)/(n − 1 − i), which needs no draws.
pub(crate) fn expected_top1(scores: &Array2<f64>) -> Interval {
    let n = scores.nrows();
    let pool = 299.min(n - 1);
    let right = |brain: usize| {
        let above = (0..n).filter(|p| *p != brain && scores[[brain, *p]] >= scores[[brain, brain]]).count();
        (0..pool).map(|i| ((n - 1 - above) as f64 - i as f64).max(0.0) / ((n - 1) as f64 - i as f64)).product::<f64>()
    };
    let per_image: Vec<(f64, f64)> = (0..n).map(|brain| (right(brain), 1.0)).collect();
    bootstrap_over_images(&per_image, 0).expect("two or more pictures")
}
