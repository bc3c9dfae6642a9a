//! The metrics against PyTorch 2.11 and scikit-image 0.26 (`tests/oracle/_metrics_fixture.py`), and against themselves.

use mindeye_decode::Picture;
use mindeye_decode::metrics::{
    Antialias, Centring, Direction, Draws, MetricError, Planes, Protocol, Scores, as_published, bootstrap_over_images,
    correlation_distance, paired_difference, permutation_null, pixcorr, resize, retrieve, ssim, two_way_identification,
};
use ndarray::{Array2, array};
use safetensors::SafeTensors;
use std::path::Path;

struct Fixture(Vec<u8>);

impl Fixture {
    fn read() -> Self {
        Self(std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/metrics.safetensors")).unwrap())
    }

    fn raw(&self, key: &str) -> (Vec<usize>, Vec<u8>) {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let tensor = file.tensor(key).unwrap();
        (tensor.shape().to_vec(), tensor.data().to_vec())
    }

    fn doubles(&self, key: &str) -> Vec<f64> {
        self.raw(key).1.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    }

    fn matrix(&self, key: &str) -> Array2<f32> {
        let (shape, bytes) = self.raw(key);
        let values = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        Array2::from_shape_vec((shape[0], shape[1]), values).unwrap()
    }

    fn square(&self, key: &str) -> Array2<f64> {
        let shape = self.raw(key).0;
        Array2::from_shape_vec((shape[0], shape[1]), self.doubles(key)).unwrap()
    }

    fn pictures(&self, key: &str) -> Vec<Planes> {
        let (shape, bytes) = self.raw(key);
        let values = |bytes: &[u8]| bytes.iter().map(|level| f64::from(*level) / 255.0).collect();
        bytes.chunks(bytes.len() / shape[0]).map(|one| Planes::new(shape[2], shape[3], values(one)).unwrap()).collect()
    }

    fn scores(&self) -> Scores {
        Scores::new(self.square("io.cosines"), self.square("io.image_cosines"), (0..24).collect()).unwrap()
    }
}

fn assert_close(name: &str, ours: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), expected.len(), "{name}");
    for (i, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        assert!((ours - expected).abs() <= tolerance, "{name} {i}: {ours} against {expected}");
    }
}

#[test]
fn pixels_and_structure_are_those_of_pytorch_and_scikit_image() {
    let fixture = Fixture::read();
    let (real, predicted) = (fixture.pictures("io.real"), fixture.pictures("io.predicted"));
    let pairs = || real.iter().zip(&predicted);
    // 1e-12: both sides are f64 throughout; sums over 541,875 values are taken in another order.
    assert_close(
        "pixcorr",
        &pairs().map(|(r, p)| pixcorr(r, p).unwrap()).collect::<Vec<_>>(),
        &fixture.doubles("pixcorr"),
        1e-12,
    );
    assert_close("ssim", &pairs().map(|(r, p)| ssim(r, p)).collect::<Vec<_>>(), &fixture.doubles("ssim"), 1e-10);
}

#[test]
fn a_picture_is_itself_and_a_flat_one_correlates_with_nothing() {
    let picture = &Fixture::read().pictures("io.real")[0];
    let flat = Planes::new(4, 4, vec![0.5; 48]).unwrap();
    assert!((pixcorr(picture, picture).unwrap() - 1.0).abs() < 1e-12);
    assert!((ssim(picture, picture) - 1.0).abs() < 1e-12);
    assert_eq!(pixcorr(picture, &flat), None);
}

#[test]
fn resizing_is_that_of_pytorch() {
    let fixture = Fixture::read();
    let picture = &fixture.pictures("io.real")[0];
    let cases = [
        ("resize.down", 13, 11, Antialias::No),
        ("resize.down_antialias", 13, 11, Antialias::Yes),
        ("resize.up", 45, 71, Antialias::No),
        ("resize.up", 45, 71, Antialias::Yes),
    ];
    for (key, height, width, antialias) in cases {
        // 1e-12: f64 on both sides.
        assert_close(key, &resize(picture, height, width, antialias).values, &fixture.doubles(key), 1e-12);
    }
    let same = resize(picture, 32, 40, Antialias::Yes);
    assert_eq!(&same, picture);
}

#[test]
fn eight_bit_pictures_become_planes() {
    let picture = Picture::new(2, 1, vec![255, 0, 51, 0, 102, 255]).unwrap();
    assert_eq!(Planes::from(&picture).values, [1.0, 0.0, 0.0, 0.4, 0.2, 1.0]);
}

#[test]
fn features_are_told_apart_as_in_the_reference() {
    let fixture = Fixture::read();
    let (real, decoded) = (fixture.matrix("io.features"), fixture.matrix("io.decoded"));
    let two_way = two_way_identification(real.view(), decoded.view()).unwrap();
    assert_close("two-way", &two_way, &fixture.doubles("two_way"), 1e-12);
    let distance = correlation_distance(real.view(), decoded.view()).unwrap();
    // 1e-7: numpy keeps the correlations of f32 features in f32.
    assert_close("distance", &[distance], &fixture.doubles("correlation_distance"), 1e-7);
    let ties = array![[1.0_f32, 2.0, 3.0], [2.0, 4.0, 6.0]];
    assert_eq!(two_way_identification(ties.view(), ties.view()).unwrap(), [0.0, 0.0], "ties lose");
    let flat = array![[1.0_f32, 1.0], [1.0, 2.0]];
    let error = two_way_identification(flat.view(), flat.view()).unwrap_err();
    assert!(matches!(error, MetricError::Constant { .. }), "{error}");
}

#[test]
fn both_directions_and_centrings_are_those_of_pytorch() {
    let (fixture, whole) = (Fixture::read(), Protocol::default());
    let cases = [
        ("image_retrieval.raw", Direction::ImageRetrieval, Centring::Raw),
        ("brain_retrieval.raw", Direction::BrainRetrieval, Centring::Raw),
        ("image_retrieval.centred", Direction::ImageRetrieval, Centring::Centred),
        ("brain_retrieval.centred", Direction::BrainRetrieval, Centring::Centred),
    ];
    let mut answers = Vec::new();
    for (key, direction, centring) in cases {
        let retrieved = retrieve(&fixture.scores(), direction, centring, whole).unwrap();
        let ours: Vec<u8> = retrieved.per_image.iter().map(|(right, _)| *right as u8).collect();
        assert_eq!(ours, fixture.raw(key).1, "{key}");
        assert_eq!((retrieved.pool, retrieved.per_draw.len()), (24, 1), "one pool of all, drawn once");
        answers.push(ours);
    }
    answers.sort_unstable();
    answers.dedup();
    assert!(answers.len() >= 3, "directions and centrings can be told apart: {answers:?}");
}

/// Three brains, asymmetric by hand: brain 1 prefers image 0, image 2 prefers brain 1.
#[test]
fn directions_of_a_hand_made_matrix_are_not_swapped() {
    let cosines = array![[0.9, 0.1, 0.2], [0.8, 0.7, 0.6], [0.1, 0.3, 0.5]];
    let scores = Scores::new(cosines, Array2::eye(3), vec![0, 1, 2]).unwrap();
    let right = |direction| {
        let retrieved = retrieve(&scores, direction, Centring::Raw, Protocol::default()).unwrap();
        retrieved.per_image.iter().map(|(right, _)| *right).collect::<Vec<_>>()
    };
    assert_eq!(right(Direction::ImageRetrieval), [1, 0, 1]);
    assert_eq!(right(Direction::BrainRetrieval), [1, 1, 0]);
}

#[test]
fn pools_are_drawn_as_in_the_paper_and_chance_is_chance() {
    let mut random = Draws::new(11);
    let mut noise = || random.bits() as f64 / 2f64.powi(64);
    let cosines = Array2::from_shape_fn((120, 40), |_| noise());
    let own: Vec<usize> = (0..120).map(|brain| brain % 40).collect();
    let scores = Scores::new(cosines, Array2::eye(40), own).unwrap();
    let protocol = Protocol { pool: 10, draws: 400, seed: 5 };
    let retrieved = retrieve(&scores, Direction::ImageRetrieval, Centring::Raw, protocol).unwrap();
    assert_eq!(retrieved, retrieve(&scores, Direction::ImageRetrieval, Centring::Raw, protocol).unwrap());
    assert_eq!(retrieved.per_image.iter().map(|(_, drawn)| drawn).sum::<usize>(), 4000);
    assert!((retrieved.chance() - 0.1).abs() < 1e-15);
    // 0.06: 120 independent brains guess one in ten with an SD of 0.027; two of them and a little.
    assert!((retrieved.top1() - 0.1).abs() < 0.06, "{}", retrieved.top1());
    let null = permutation_null(&scores, Direction::ImageRetrieval, Centring::Raw, 500, 1);
    assert!(null.p > 0.001 && (null.mean - 0.025).abs() < 0.01, "{null:?}");
}

#[test]
fn a_perfect_decoder_beats_every_permutation() {
    let cosines = Array2::from_shape_fn((20, 10), |(brain, image)| f64::from(u8::from(brain / 2 == image)));
    let scores = Scores::new(cosines, Array2::eye(10), (0..20).map(|brain| brain / 2).collect()).unwrap();
    for direction in [Direction::ImageRetrieval, Direction::BrainRetrieval] {
        let null = permutation_null(&scores, direction, Centring::Centred, 999, 1);
        assert_eq!((null.observed, null.p), (1.0, 0.001), "{null:?}");
    }
}

#[test]
fn intervals_hold_what_is_known_of_them() {
    let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
    let interval = bootstrap_over_images(&values.iter().map(|v| (*v, 1.0)).collect::<Vec<_>>(), 3).unwrap();
    // A share of one half over 400 images has a 95 % interval of ±0.049; 2,000 resamples know its ends to 0.004.
    assert_eq!(interval.value, 0.5);
    assert!((interval.low - 0.451).abs() < 0.01 && (interval.high - 0.549).abs() < 0.01, "{interval:?}");
    // 1.96 x 0.5/√400
    assert!((as_published(&values) - 0.049).abs() < 1e-12);
    let shifted: Vec<f64> = values.iter().map(|v| v - 0.25).collect();
    let difference = paired_difference(&values, &shifted, 3).unwrap();
    assert_eq!(
        (difference.low, difference.value, difference.high),
        (0.25, 0.25, 0.25),
        "pairing removes what is common"
    );
    assert!(paired_difference(&values, &shifted[1..], 3).is_err());
    assert!(bootstrap_over_images(&[(1.0, 1.0), (1.0, 0.0)], 3).is_err());
}

#[test]
fn scores_that_do_not_fit_are_refused_with_both_sides() {
    let (eye, three) = (Array2::<f64>::eye(3), vec![0, 1, 2]);
    let cases = [
        (Scores::new(Array2::zeros((3, 2)), eye.clone(), three.clone()), "cosines of brains has 2 pictures"),
        (Scores::new(Array2::zeros((2, 3)), eye.clone(), three), "the cosines has 2 brains"),
        (
            Scores::new(Array2::zeros((3, 3)), eye.clone(), vec![0, 1, 1]),
            "in brains that saw it, needs 1 or more, found 0",
        ),
        (Scores::new(Array2::zeros((3, 3)), eye, vec![0, 1, 3]), "needs 4 or more, found 3"),
    ];
    for (outcome, expected) in cases {
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains(expected), "{message} should say {expected}");
    }
}
