//! A contact sheet: many pictures on one page, for people.

use super::Picture;

/// Pixels of white between pictures.
const GAP: usize = 2;

/// `pictures` (equal sides) in rows of `columns` on one square page; places that are left over stay white.
#[must_use]
pub fn contact_sheet(pictures: &[Picture], columns: usize) -> Picture {
    let side = pictures.first().map_or(1, |picture| picture.side);
    let rows = pictures.len().div_ceil(columns).max(columns);
    let page = rows * (side + GAP) + GAP;
    let mut sheet = Picture { side: page, rgb: vec![255; 3 * page * page] };
    for (n, picture) in pictures.iter().enumerate() {
        let [left, top] = [n % columns, n / columns].map(|place| GAP + place * (side + GAP));
        for (row, line) in picture.rgb.chunks_exact(3 * side).enumerate() {
            let start = 3 * ((top + row) * page + left);
            sheet.rgb[start..start + line.len()].copy_from_slice(line);
        }
    }
    sheet
}
