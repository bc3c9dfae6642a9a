//! PixCorr: how alike two pictures are, pixel by pixel.

use super::correlation::pearson;
use super::{Antialias, Planes, resize};

/// Side at which pixel metrics are computed.
pub(crate) const SIDE: usize = 425;

/// Pearson's r over the 3 x 425² values of both pictures after bilinear resizing; `None` when one is of a single colour
/// value throughout.
#[must_use]
pub fn pixcorr(real: &Planes, predicted: &Planes) -> Option<f64> {
    let at_side = |picture| resize(picture, SIDE, SIDE, Antialias::No);
    pearson(&at_side(real).values, &at_side(predicted).values)
}
