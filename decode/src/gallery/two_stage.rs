//! Two looks at a large gallery: a coarse one at everything, a full one at the best thousand, as far as time goes.
//!
//! The second look has a deadline of its own: a list must not keep a reconstruction waiting. What it did not reach keeps
//! its coarse place behind what it did, and says so.

use super::coarse::CoarseProjection;
use super::index::CoarseIndex;
use super::{Gallery, GalleryError};
use crate::Retrieval;
use mindeye_config::{Clock, Moment};
use std::sync::Arc;

/// Items that get the second look: it costs 0.79 GB of reading at full size, some 20 ms.
const SHORTLIST: usize = 1000;
/// What no cosine is below: of items that neither look reached.
const LOWEST: f32 = -1.0;
/// Items between two looks at the clock, 39 MB of reading at full size.
const BLOCK: usize = 50;

/// One item of a list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Its place in the gallery.
    pub item: usize,
    /// Centred cosine over all tokens, or the coarse estimate of it.
    pub score: f32,
    /// Whether all tokens were compared.
    pub is_full: bool,
}

/// The best of a gallery for one trial (brain → image), best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Shortlist {
    /// At most 1,000; those compared in full come first.
    pub found: Vec<Found>,
    /// Items compared in full.
    pub compared: usize,
}

/// A gallery with a coarse index before it.
pub struct TwoStageGallery {
    gallery: Arc<Gallery>,
    projection: CoarseProjection,
    index: Box<dyn CoarseIndex>,
}

impl TwoStageGallery {
    /// Puts `index`, of the projected vectors of `gallery`, before it.
    ///
    /// # Errors
    /// [`GalleryError::Width`] when the projection is of another gallery's width, [`GalleryError::Items`] when the index is.
    pub fn new(
        gallery: Arc<Gallery>,
        projection: CoarseProjection,
        index: Box<dyn CoarseIndex>,
    ) -> Result<Self, GalleryError> {
        let width = projection.axes().len() / projection.dimensions();
        if width != gallery.width() {
            return Err(GalleryError::Width { expected: gallery.width(), found: width });
        }
        if index.items() != gallery.len() {
            return Err(GalleryError::Items { gallery: gallery.len(), index: index.items() });
        }
        Ok(Self { gallery, projection, index })
    }

    /// The best items for `tokens`, f32[tokens, token width] flattened, in any positive scale. The coarse look is always
    /// finished; the full one stops at `deadline`.
    ///
    /// # Errors
    /// As [`Gallery::score`], and what the index says.
    pub fn search(&self, tokens: &[f32], deadline: Moment, clock: &dyn Clock) -> Result<Shortlist, GalleryError> {
        let query = self.gallery.query(tokens)?;
        let coarse = self.index.nearest(&self.projection.apply(&query), SHORTLIST)?;
        let mut compared = Vec::with_capacity(coarse.len());
        for block in coarse.chunks(BLOCK) {
            if clock.now() >= deadline {
                break;
            }
            compared.extend(block.iter().map(|(item, _)| self.full(*item, &query)));
        }
        let done = compared.len();
        compared.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
        compared.extend(coarse[done..].iter().map(|(item, score)| Found {
            item: *item,
            score: *score,
            is_full: false,
        }));
        Ok(Shortlist { found: compared, compared: done })
    }

    /// A score for every item, as far as both looks say: over all tokens for the best thousand that `deadline` left time
    /// for, the coarse estimate for the others, which is held below them. An index that looks at a part only gives the rest
    /// −1.
    ///
    /// # Errors
    /// As [`TwoStageGallery::search`].
    pub fn score(&self, tokens: &[f32], deadline: Moment, clock: &dyn Clock) -> Result<Retrieval, GalleryError> {
        let query = self.gallery.query(tokens)?;
        let coarse = self.index.scores(&self.projection.apply(&query))?;
        let mut scores = coarse.unwrap_or_else(|| vec![LOWEST; self.gallery.len()]);
        let Shortlist { found, compared } = self.search(tokens, deadline, clock)?;
        let (full, rest) = found.split_at(compared);
        if let Some(worst) = full.last() {
            scores.iter_mut().for_each(|score| *score = score.min(worst.score));
        }
        let behind = full.last().map_or(f32::INFINITY, |worst| worst.score);
        rest.iter().for_each(|Found { item, score, .. }| scores[*item] = score.min(behind));
        full.iter().for_each(|Found { item, score, .. }| scores[*item] = *score);
        Ok(Retrieval { scores })
    }

    fn full(&self, item: usize, query: &[f32]) -> Found {
        Found { item, score: self.gallery.score_of(item, query), is_full: true }
    }
}
