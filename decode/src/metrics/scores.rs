//! Cosines of brains with pictures, from which any pool can be scored, raw or centred, without the embeddings.

use super::{MetricError, require_equal};
use ndarray::Array2;

/// Whether the common direction of the pool's pictures is taken off first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Centring {
    /// Plain cosines, as published.
    Raw,
    /// cos(u(brain) − μ, u(picture) − μ) with μ the mean of the pool's unit vectors, as the daemon's gallery scores.
    Centred,
}

/// What was decoded from each row of voxels, set against all test pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// cos(brain, picture), f64[brains, pictures].
    cosines: Array2<f64>,
    /// cos(picture, picture), f64[pictures, pictures].
    pictures: Array2<f64>,
    /// The picture that each brain saw.
    own: Vec<usize>,
    /// The brains that saw each picture, one or more.
    brains_of: Vec<Vec<usize>>,
}

impl Scores {
    /// `cosines` f64[brains, pictures], `pictures` f64[pictures, pictures], and the picture that each brain saw.
    ///
    /// # Errors
    /// [`MetricError::Disagree`] for other shapes, [`MetricError::TooFew`] when a picture was seen by no brain or there
    /// are fewer than two.
    pub fn new(cosines: Array2<f64>, pictures: Array2<f64>, own: Vec<usize>) -> Result<Self, MetricError> {
        let count = pictures.nrows();
        require_equal("pictures", ("the cosines of brains", cosines.ncols()), ("the cosines of pictures", count))?;
        require_equal("pictures", ("a picture", pictures.ncols()), ("the pool", count))?;
        require_equal("brains", ("the cosines", cosines.nrows()), ("the list of what they saw", own.len()))?;
        if count < 2 {
            return Err(MetricError::TooFew { what: "retrieval, in pictures,", least: 2, found: count });
        }
        let mut brains_of = vec![Vec::new(); count];
        for (brain, picture) in own.iter().enumerate() {
            let known = brains_of.get_mut(*picture);
            let known = known.ok_or(MetricError::TooFew {
                what: "a brain's picture, counted,",
                least: picture + 1,
                found: count,
            });
            known?.push(brain);
        }
        if brains_of.iter().any(Vec::is_empty) {
            return Err(MetricError::TooFew { what: "a test picture, in brains that saw it,", least: 1, found: 0 });
        }
        Ok(Self { cosines, pictures, own, brains_of })
    }

    /// Test pictures.
    #[must_use]
    pub fn pictures(&self) -> usize {
        self.pictures.nrows()
    }

    /// Rows of voxels that were decoded.
    #[must_use]
    pub fn brains(&self) -> usize {
        self.own.len()
    }

    /// The picture that each brain saw.
    #[must_use]
    pub fn own(&self) -> &[usize] {
        &self.own
    }

    /// The brains that saw `picture`.
    ///
    /// # Panics
    /// As indexing does.
    #[must_use]
    pub fn brains_of(&self, picture: usize) -> &[usize] {
        &self.brains_of[picture]
    }

    /// Scores f64[brains, pool] of `brains` against the pictures of `pool`. With A and P the cosines, μ the pool's mean
    /// and m = mean over the pool: u·μ = m(A), g·μ = m(P), μ·μ = m(m(P)), so centring needs no vectors.
    #[must_use]
    pub fn pool(&self, brains: &[usize], pool: &[usize], centring: Centring) -> Array2<f64> {
        let cosine = |b: usize, p: usize| self.cosines[[brains[b], pool[p]]];
        let shape = (brains.len(), pool.len());
        if centring == Centring::Raw {
            return Array2::from_shape_fn(shape, |(b, p)| cosine(b, p));
        }
        let size = pool.len() as f64;
        let of_brain: Vec<f64> =
            (0..brains.len()).map(|b| (0..pool.len()).map(|p| cosine(b, p)).sum::<f64>() / size).collect();
        let picture = |p: usize, q: usize| self.pictures[[pool[p], pool[q]]];
        let of_picture: Vec<f64> =
            (0..pool.len()).map(|p| (0..pool.len()).map(|q| picture(p, q)).sum::<f64>() / size).collect();
        let of_mean = of_picture.iter().sum::<f64>() / size;
        let length = |with_mean: f64, own: f64| (own - 2.0 * with_mean + of_mean).max(0.0).sqrt();
        Array2::from_shape_fn(shape, |(b, p)| {
            let dot = cosine(b, p) - of_brain[b] - of_picture[p] + of_mean;
            dot / (length(of_brain[b], 1.0) * length(of_picture[p], picture(p, p)))
        })
    }
}
