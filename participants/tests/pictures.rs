//! Pictures are many, distinct and varied, and what is held out is nowhere else.

use mindeye_participants::picture::{
    Category, Collection, Factors, Picture, PictureId, Scene, WORLD, contact_sheet, is_held_out,
};
use std::collections::BTreeSet;

fn id(collection: Collection, number: u32) -> PictureId {
    PictureId { collection, number }
}

#[test]
fn two_thousand_pictures_differ_from_each_other_by_more_than_grain() {
    // 8x8 pixels are enough to tell them apart, and grain is 2.5 of 255 at most.
    let small: Vec<Vec<u8>> = (0..2000).map(|n| Picture::of(WORLD, id(Collection::Train, n), 8).rgb).collect();
    let distance = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
    let mut nearest = u32::MAX;
    for a in 0..small.len() {
        for b in 0..a {
            nearest = nearest.min(distance(&small[a], &small[b]));
        }
    }
    assert!(nearest > 3 * 192, "the nearest pair differs by {} of 255 per value", f64::from(nearest) / 192.0);
}

#[test]
fn held_out_combinations_are_one_scene_for_each_category_and_in_one_collection() {
    let held_out = |category| Scene::ALL.into_iter().filter(|scene| is_held_out(category, *scene)).count();
    assert!(Category::ALL.into_iter().all(|category| held_out(category) == 1));
    for collection in [Collection::Train, Collection::Test, Collection::Novel, Collection::Reference] {
        let mut seen = BTreeSet::new();
        for number in 0..1000 {
            let factors = Factors::of(WORLD, id(collection, number));
            assert_eq!(is_held_out(factors.category, factors.scene), collection == Collection::Novel);
            seen.insert((factors.category as usize, factors.scene as usize));
        }
        let expected = if collection == Collection::Novel { 16 } else { 112 };
        assert_eq!(seen.len(), expected, "{collection:?} shows every combination that it may");
    }
}

#[test]
fn names_go_both_ways_and_others_are_none() {
    let picture = id(Collection::Test, 17);
    assert_eq!(picture.to_string(), "test-00017");
    assert_eq!(PictureId::named("test-00017"), Some(picture));
    for name in ["test-17", "test-", "tests-00017", "00017", "test-0001x"] {
        assert_eq!(PictureId::named(name), None, "{name}");
    }
}

#[test]
fn a_larger_picture_shows_the_same_scene() {
    let (small, large) =
        (Picture::of(WORLD, id(Collection::Train, 5), 32), Picture::of(WORLD, id(Collection::Train, 5), 96));
    let mut difference = 0.0;
    for (pixel, rgb) in small.rgb.as_chunks::<3>().0.iter().enumerate() {
        let (row, column) = (pixel / 32 * 3, pixel % 32 * 3);
        for (channel, value) in rgb.iter().enumerate() {
            let block = (0..9).map(|n| f64::from(large.rgb[3 * ((row + n / 3) * 96 + column + n % 3) + channel]));
            difference += (block.sum::<f64>() / 9.0 - f64::from(*value)).abs() / small.rgb.len() as f64;
        }
    }
    // 6 of 255: four places per pixel here and thirty-six there see edges otherwise.
    assert!(difference < 6.0, "{difference}");
}

#[test]
fn a_contact_sheet_is_a_png_with_all_pictures() {
    let pictures: Vec<Picture> = (0..5).map(|n| Picture::of(WORLD, id(Collection::Novel, n), 16)).collect();
    let sheet = contact_sheet(&pictures, 3);
    assert_eq!(sheet.side, 3 * 18 + 2);
    assert!(sheet.png().unwrap().starts_with(b"\x89PNG"));
}
