//! Gallery scores equal a naive computation, and centring takes the prize away from hubs.

use mindeye_decode::{Gallery, GalleryError};
use proptest::prelude::*;
use std::path::Path;

fn gallery(vectors: &[Vec<f32>]) -> Gallery {
    let ids = (0..vectors.len()).map(|i| format!("item-{i}")).collect();
    Gallery::new(ids, &vectors.concat(), vectors[0].len(), Path::new("thumbs")).unwrap()
}

/// The definition, item by item, all in f64.
fn naive_scores(vectors: &[Vec<f32>], query: &[f32]) -> Vec<f64> {
    let unit = |x: &[f32]| -> Vec<f64> {
        let length = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        x.iter().map(|v| f64::from(*v) / length).collect()
    };
    let units: Vec<_> = vectors.iter().map(|x| unit(x)).collect();
    let mean: Vec<f64> =
        (0..query.len()).map(|d| units.iter().map(|u| u[d]).sum::<f64>() / units.len() as f64).collect();
    let centre = |u: Vec<f64>| -> Vec<f64> { u.iter().zip(&mean).map(|(u, m)| u - m).collect() };
    let query = centre(unit(query));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = |a: &[f64], b: &[f64]| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    units.into_iter().map(|u| cosine(&centre(u), &query)).collect()
}

fn raw_cosine_winner(vectors: &[Vec<f32>], query: &[f32]) -> usize {
    let cosine = |x: &Vec<f32>| {
        let dot: f32 = x.iter().zip(query).map(|(a, b)| a * b).sum();
        dot / x.iter().map(|v| v * v).sum::<f32>().sqrt()
    };
    (0..vectors.len()).max_by(|a, b| cosine(&vectors[*a]).total_cmp(&cosine(&vectors[*b]))).unwrap()
}

proptest! {
    #[test]
    fn scores_equal_the_definition(
        (vectors, query) in (2_usize..8, 3_usize..2100).prop_flat_map(|(items, width)| {
            let vector = prop::collection::vec(-1.0_f32..1.0, width);
            (prop::collection::vec(vector.clone(), items), vector)
        })
    ) {
        let scores = gallery(&vectors).score(&query).unwrap().scores;
        for (score, naive) in scores.iter().zip(naive_scores(&vectors, &query)) {
            // 1e-5: directions are rounded to f32, and so are the sums of up to 64 products in each of 16 lanes.
            prop_assert!((f64::from(*score) - naive).abs() < 1e-5, "{score} against {naive}");
        }
    }

    #[test]
    fn scores_do_not_depend_on_anyone_s_scale(scale in 1e-3_f32..1e3) {
        let vectors = vec![vec![1.0, 2.0, 0.5], vec![-1.0, 0.25, 1.0], vec![0.5, 0.5, -2.0]];
        let query = [0.3, -0.2, 0.9];
        let scaled_query = query.map(|v| v * scale);
        let mut scaled = vectors.clone();
        scaled[1].iter_mut().for_each(|v| *v *= scale);
        let (one, other) = (gallery(&vectors).score(&query).unwrap(), gallery(&scaled).score(&scaled_query).unwrap());
        for (a, b) in one.scores.iter().zip(&other.scores) {
            // 1e-6: scaling rounds each f32 once.
            prop_assert!((a - b).abs() < 1e-6, "{a} against {b}");
        }
    }
}

/// Item 0 is a hub: it lies along the direction that all items share, nearest to whatever is asked.
#[test]
fn centring_takes_the_prize_from_the_hub() {
    let vectors = [vec![1.0, 0.0], vec![0.8, 0.6], vec![0.8, -0.6]];
    let query = [1.0, 0.25];
    assert_eq!(raw_cosine_winner(&vectors, &query), 0);
    let retrieval = gallery(&vectors).score(&query).unwrap();
    assert_eq!(retrieval.ranked(1)[0].0, 1);
    assert_eq!(retrieval.rank_of(0), 2);
}

#[test]
fn an_item_scores_one_against_itself() {
    let vectors = [vec![1.0, 0.5, 0.0], vec![0.8, 0.6, -1.0], vec![0.8, -0.6, 0.3]];
    let gallery = gallery(&vectors);
    for (item, vector) in vectors.iter().enumerate() {
        let retrieval = gallery.score(vector).unwrap();
        // 1e-6: a product of two f32 unit vectors.
        assert!((retrieval.scores[item] - 1.0).abs() < 1e-6, "{}", retrieval.scores[item]);
        assert_eq!(retrieval.rank_of(item), 1);
    }
}

#[test]
fn items_are_found_by_id_and_shown_by_their_thumbnail() {
    let gallery = gallery(&[vec![1.0, 0.0], vec![0.0, 1.0]]);
    assert_eq!((gallery.len(), gallery.width()), (2, 2));
    assert_eq!((gallery.find("item-1"), gallery.find("item-2")), (Some(1), None));
    assert_eq!(gallery.thumb_path(1).as_deref(), Some(Path::new("thumbs/item-1.png")));
    assert_eq!(gallery.thumb_path(2), None);
}

#[test]
fn what_has_no_direction_or_another_size_is_refused() {
    let make = |ids: usize, vectors: &[f32], width| {
        let ids = (0..ids).map(|i| format!("item-{i}")).collect();
        Gallery::new(ids, vectors, width, Path::new("thumbs")).err().expect("no gallery")
    };
    assert_eq!(make(2, &[1.0; 5], 2), GalleryError::Size { ids: 2, values: 5, width: 2 });
    assert_eq!(make(0, &[], 2), GalleryError::Size { ids: 0, values: 0, width: 2 });
    let alone = make(1, &[1.0, 2.0], 2);
    assert!(matches!(&alone, GalleryError::NoDirection { stage: "after centring", .. }), "{alone}");
    let alike = make(2, &[1.0, 2.0, 2.0, 4.0], 2);
    assert!(matches!(&alike, GalleryError::NoDirection { stage: "after centring", .. }), "{alike}");

    let gallery = gallery(&[vec![1.0, 0.0], vec![0.0, 1.0]]);
    assert_eq!(gallery.score(&[1.0; 3]), Err(GalleryError::Width { expected: 2, found: 3 }));
    for query in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 0.0]] {
        let refusal = gallery.score(&query).unwrap_err();
        assert!(matches!(refusal, GalleryError::NoDirection { .. }), "{query:?}: {refusal}");
    }
}
