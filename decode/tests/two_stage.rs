//! The coarse look finds what the full one would, and the full one stops when its time is up.

mod support;

use mindeye_config::Timings;
use mindeye_config::{Clock, ManualClock, Moment};
use mindeye_decode::{CoarseIndex, CoarseProjection, Decoder, ExactIndex, Gallery, GalleryError, TwoStageGallery};
use mindeye_engine::{MockEngine, MockPlan};
use mindeye_preprocess::Pattern;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::{IDS, TestBundle, VOXELS};

const WIDTH: usize = 60;

/// A number in (-1, 1) for (i, j), without pattern.
fn noise(i: usize, j: usize) -> f32 {
    let x = (i as u64 * 1_000_003 + j as u64 + 17).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
}

/// Vectors whose variance falls as 1/(1 + dimension), as that of real tokens does.
fn vectors(items: usize) -> Vec<f32> {
    (0..items).flat_map(|i| (0..WIDTH).map(move |j| noise(i, j) / (1.0 + j as f32))).collect()
}

fn gallery(items: usize) -> Arc<Gallery> {
    let ids = (0..items).map(|i| format!("item-{i}")).collect();
    Arc::new(Gallery::new(ids, &vectors(items), WIDTH, Path::new("thumbs")).unwrap())
}

fn two_stages(gallery: &Arc<Gallery>, dimensions: usize) -> TwoStageGallery {
    let projection = CoarseProjection::fit(gallery, dimensions, 3).unwrap();
    let index = ExactIndex::new(projection.apply_to_all(gallery), projection.dimensions()).unwrap();
    TwoStageGallery::new(gallery.clone(), projection, Box::new(index)).unwrap()
}

fn query(item: usize) -> Vec<f32> {
    (0..WIDTH).map(|j| (noise(item, j) + 0.5 * noise(item + 70_000, j)) / (1.0 + j as f32)).collect()
}

const NEVER: Moment = Moment(u64::MAX);

#[test]
fn axes_are_orthonormal_and_all_of_them_lose_nothing() {
    let gallery = gallery(200);
    let all = CoarseProjection::fit(&gallery, WIDTH, 3).unwrap();
    assert_eq!(all.dimensions(), WIDTH);
    for (i, a) in all.axes().chunks(WIDTH).enumerate() {
        for (j, b) in all.axes().chunks(WIDTH).enumerate() {
            let dot: f64 = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            // 1e-5: float32 axes.
            assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-5, "{i} {j}: {dot}");
        }
    }
    let full = gallery.score(&query(7)).unwrap();
    for found in two_stages(&gallery, WIDTH).search(&query(7), Moment(0), &*ManualClock::new()).unwrap().found {
        assert!(!found.is_full);
        assert!((found.score - full.scores[found.item]).abs() < 1e-5, "a coarse score in all directions is the score");
    }
}

#[test]
fn every_item_has_a_score_and_what_was_compared_in_full_stands_first() {
    let gallery = gallery(1500);
    let (pair, clock) = (two_stages(&gallery, 12), ManualClock::new());
    let full = gallery.score(&query(7)).unwrap();
    let found = pair.score(&query(7), NEVER, &*clock).unwrap();
    assert_eq!((found.scores.len(), found.ranked(1)), (1500, full.ranked(1)));
    let compared = pair.search(&query(7), NEVER, &*clock).unwrap();
    let full_items: Vec<usize> = compared.found.iter().map(|found| found.item).collect();
    assert_eq!(full_items.len(), 1000);
    let first: Vec<(usize, f32)> = found.ranked(1000);
    for (item, score) in &first[..999] {
        assert!(full_items.contains(item), "{item} was compared in full");
        assert_eq!(*score, full.scores[*item]);
    }
    // Without time for the second look the coarse scores stand alone.
    let coarse = pair.score(&query(7), Moment(0), &*clock).unwrap();
    let found = pair.search(&query(7), Moment(0), &*clock).unwrap().found;
    assert!(found.iter().all(|found| coarse.scores[found.item] == found.score));
}

#[test]
fn the_pair_finds_first_what_the_full_search_finds_first() {
    let gallery = gallery(3000);
    let pair = two_stages(&gallery, 12);
    let clock = ManualClock::new();
    let agreed = (0..300).filter(|i| {
        let query = query(*i * 10);
        let found = pair.search(&query, NEVER, &*clock).unwrap();
        assert_eq!((found.found.len(), found.compared), (1000, 1000));
        assert!(found.found.windows(2).all(|two| two[0].score >= two[1].score));
        found.found[0].item == gallery.score(&query).unwrap().ranked(1)[0].0
    });
    assert!(agreed.count() >= 294, "0.98 of 300");
}

/// A clock that moves by a millisecond whenever it is asked.
struct Ticking(Arc<ManualClock>);

impl Clock for Ticking {
    fn now(&self) -> Moment {
        self.0.advance(Duration::from_millis(1));
        self.0.now()
    }

    fn unix_s(&self) -> f64 {
        self.0.unix_s()
    }
}

#[test]
fn the_full_look_stops_at_its_deadline_and_says_how_far_it_came() {
    let gallery = gallery(400);
    let pair = two_stages(&gallery, 12);
    for (deadline_ms, compared) in [(0, 0), (1, 0), (2, 50), (4, 150), (99, 400)] {
        let clock = Ticking(ManualClock::new());
        let found = pair.search(&query(0), Moment(deadline_ms * 1_000_000), &clock).unwrap();
        assert_eq!((found.compared, found.found.len()), (compared, 400), "{deadline_ms} ms");
        assert_eq!(found.found.iter().filter(|f| f.is_full).count(), compared);
        assert!(found.found[..compared].iter().all(|f| f.is_full), "what was compared comes first");
        let mut items: Vec<usize> = found.found.iter().map(|f| f.item).collect();
        items.sort_unstable();
        assert_eq!(items, (0..400).collect::<Vec<_>>(), "nobody is lost or doubled");
    }
}

#[test]
fn parts_of_another_gallery_are_refused_with_both_sides() {
    let (one, other) = (gallery(30), gallery(31));
    let projection = CoarseProjection::fit(&one, 4, 3).unwrap();
    let index = ExactIndex::new(projection.apply_to_all(&other), 4).unwrap();
    let refusal = TwoStageGallery::new(one.clone(), projection.clone(), Box::new(index.clone())).err().unwrap();
    assert_eq!(refusal, GalleryError::Items { gallery: 30, index: 31 });
    assert_eq!(index.nearest(&[0.0; 5], 1).unwrap_err(), GalleryError::Width { expected: 4, found: 5 });
    let narrow = CoarseProjection::new(vec![1.0, 0.0], 2).unwrap();
    let refusal = TwoStageGallery::new(one.clone(), narrow, Box::new(index)).err().unwrap();
    assert_eq!(refusal, GalleryError::Width { expected: WIDTH, found: 2 });
    for dimensions in [0, 1025] {
        assert!(matches!(CoarseProjection::fit(&one, dimensions, 3), Err(GalleryError::Size { .. })));
    }
    assert!(matches!(ExactIndex::new(vec![], 4), Err(GalleryError::Size { .. })));
}

#[test]
fn a_gallery_of_few_pictures_has_few_axes() {
    // Three centred vectors span a plane.
    assert_eq!(CoarseProjection::fit(&gallery(3), 10, 3).unwrap().dimensions(), 2);
}

#[test]
fn an_index_of_two_million_is_the_largest_exact_one() {
    assert!(ExactIndex::new(vec![0.5; 2_000_000], 1).is_ok());
    let refusal = ExactIndex::new(vec![0.5; 2_000_001], 1).err().unwrap();
    assert_eq!(refusal, GalleryError::TooMany { items: 2_000_001, most: 2_000_000 });
}

#[cfg(feature = "usearch")]
#[test]
fn the_graph_in_a_file_finds_what_comparing_all_finds() {
    use mindeye_decode::UsearchIndex;
    let gallery = gallery(3000);
    let projection = CoarseProjection::fit(&gallery, 12, 3).unwrap();
    let coarse = projection.apply_to_all(&gallery);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coarse.usearch");
    UsearchIndex::build(&coarse, 12, &path).unwrap();
    let graph = UsearchIndex::view(&path, 12).unwrap();
    assert_eq!(graph.items(), 3000);
    let exact = ExactIndex::new(coarse.clone(), 12).unwrap();
    let hits: usize = (0..100)
        .map(|i| {
            let query = &coarse[i * 12..][..12];
            let (found, expected) = (graph.nearest(query, 10).unwrap(), exact.nearest(query, 10).unwrap());
            // 0.01: vectors kept as f16.
            assert!((found[0].1 - expected[0].1).abs() < 0.01, "{found:?} {expected:?}");
            expected.iter().filter(|(item, _)| found.iter().any(|(other, _)| other == item)).count()
        })
        .sum();
    assert!(hits > 900, "{hits} of 1000 nearest found");
    assert!(matches!(graph.nearest(&[0.0; 5], 1), Err(GalleryError::Width { expected: 12, found: 5 })));
    std::fs::write(&path, "no graph").unwrap();
    assert!(matches!(UsearchIndex::view(&path, 12), Err(GalleryError::Index { .. })));
}

/// The test bundle with coarse vectors of `dimensions` numbers that `edit` has changed.
fn coarse_bundle(dimensions: usize, edit: impl FnOnce(&mut Vec<(String, Vec<usize>, Vec<f32>)>)) -> TestBundle {
    let mut written = TestBundle::write();
    let gallery = written.open().unwrap().gallery.unwrap();
    let projection = CoarseProjection::fit(&gallery, dimensions, 1).unwrap();
    let vectors = projection.apply_to_all(&gallery);
    let mut tensors = vec![
        ("axes".to_owned(), vec![dimensions, gallery.width()], projection.axes().to_vec()),
        ("vectors".to_owned(), vec![IDS.len(), dimensions], vectors),
    ];
    edit(&mut tensors);
    written.write_tensors("gallery/coarse.safetensors", &tensors);
    written.manifest.gallery.as_mut().unwrap().coarse = Some(dimensions);
    written.relisted()
}

#[test]
fn a_bundle_with_coarse_vectors_is_searched_in_two_looks_with_a_limit_of_their_own() {
    let bundle = coarse_bundle(2, |_| ()).open().unwrap();
    assert!(bundle.two_stage.is_some());
    let decoder =
        || Decoder::warm_up(&bundle, Box::new(MockEngine::new(MockPlan::default())), ManualClock::new()).unwrap().0;
    let pattern = Pattern((0..VOXELS.len()).map(|i| (i as f32).sin()).collect());
    let two = decoder().retrieve(&pattern, &mut Timings::default()).unwrap();
    let plain = TestBundle::write().open().unwrap();
    let (mut exact, _) =
        Decoder::warm_up(&plain, Box::new(MockEngine::new(MockPlan::default())), ManualClock::new()).unwrap();
    let one = exact.retrieve(&pattern, &mut Timings::default()).unwrap();
    assert_eq!(two, one, "all of five are compared in full");
    let hurried = decoder().with_retrieval_limit(Duration::ZERO).retrieve(&pattern, &mut Timings::default()).unwrap();
    assert_ne!(hurried, one, "without time only the coarse look is left");
}

#[test]
fn coarse_vectors_of_another_gallery_are_refused() {
    type Edit = fn(&mut Vec<(String, Vec<usize>, Vec<f32>)>);
    let cases: [(Edit, &str); 3] = [
        (|tensors| drop(tensors.remove(0)), "`axes` is missing"),
        (|tensors| tensors[0].1 = vec![4, 4], "shape of `axes` is [4, 4], manifest.toml says [2, 8]"),
        (|tensors| tensors[1].1 = vec![2, 5], "shape of `vectors` is [2, 5], manifest.toml says [5, 2]"),
    ];
    for (edit, expected) in cases {
        let refusal = coarse_bundle(2, edit).refusal();
        assert!(
            refusal.starts_with("bundle: `gallery/coarse.safetensors`") && refusal.ends_with(expected),
            "{refusal}"
        );
    }
}
