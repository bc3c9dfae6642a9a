//! The dual ridge against scikit-learn 1.9.1 (`tests/oracle/ridge_fixture.py`), and its file against damage.

use mindeye_trainer::ridge::{
    AlphaChoice, DualRidge, Fit, LeftOut, Problem, RidgeError, Settings, SharedSpace, fit, gram,
};
use ndarray::Array2;
use safetensors::SafeTensors;
use std::path::Path;

struct Fixture {
    bytes: Vec<u8>,
}

impl Fixture {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ridge.safetensors");
        Self { bytes: std::fs::read(path).unwrap() }
    }

    fn raw(&self, key: &str) -> (Vec<usize>, Vec<u8>) {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = file.tensor(key).unwrap();
        (tensor.shape().to_vec(), tensor.data().to_vec())
    }

    fn matrix(&self, key: &str) -> Array2<f32> {
        let (shape, bytes) = self.raw(key);
        let values = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        Array2::from_shape_vec((shape[0], shape[1]), values).unwrap()
    }

    fn doubles(&self, key: &str) -> Vec<f64> {
        self.raw(key).1.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    }

    fn image_of(&self) -> Vec<usize> {
        self.raw("io.image_of").1.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as usize).collect()
    }

    fn fit(&self, alpha: AlphaChoice, left_out: LeftOut) -> Fit {
        let (patterns, targets, image_of) = (self.matrix("io.patterns"), self.matrix("io.targets"), self.image_of());
        let voxels: Vec<usize> = (0..patterns.ncols()).collect();
        let problem =
            Problem { patterns: patterns.view(), targets: targets.view(), image_of: &image_of, voxels: &voxels };
        fit(&problem, &Settings { alpha, left_out }).unwrap()
    }
}

/// 2e-5: products in f32 over 90 voxels and 40 trials of values near 1, against f64.
const PREDICTION: f32 = 2e-5;

fn assert_predicts(ridge: &DualRidge, fixture: &Fixture, key: &str) {
    let expected = fixture.matrix(key);
    let ours = ridge.predict(fixture.matrix("io.new").view()).unwrap();
    for (ours, expected) in ours.iter().zip(&expected) {
        assert!((ours - expected).abs() <= PREDICTION * (1.0 + expected.abs()), "{key}: {ours} against {expected}");
    }
}

#[test]
fn predictions_are_those_of_scikit_learn() {
    let fixture = Fixture::read();
    let alphas = fixture.doubles("io.alphas");
    let fixed = fixture.fit(AlphaChoice::Fixed(3.0), LeftOut::Trial);
    assert_predicts(&fixed.ridge, &fixture, "sk.fixed_prediction");
    let common = fixture.fit(AlphaChoice::Common(alphas.clone()), LeftOut::Trial);
    assert_eq!(common.ridge.alpha, fixture.doubles("sk.common_alpha"));
    assert_predicts(&common.ridge, &fixture, "sk.common_prediction");
    let each = fixture.fit(AlphaChoice::PerTarget(alphas), LeftOut::Trial);
    assert_eq!(each.ridge.alpha, fixture.doubles("sk.target_alpha"));
    assert!(each.ridge.alpha.windows(2).any(|pair| pair[0] != pair[1]), "outputs that want different alphas");
    assert_predicts(&each.ridge, &fixture, "sk.target_prediction");
}

#[test]
fn closed_form_left_out_scores_are_those_of_refitting() {
    let fixture = Fixture::read();
    for (left_out, key) in [(LeftOut::Trial, "sk.trial_r2"), (LeftOut::Image, "sk.image_r2")] {
        let scores = fixture.fit(AlphaChoice::Common(fixture.doubles("io.alphas")), left_out).scores;
        for (score, expected) in scores.iter().zip(fixture.doubles(key)) {
            // 2e-6: the Gram matrices are sums of f32 products, all after them is f64.
            assert!((score.r2 - expected).abs() < 2e-6, "{key} at {}: {} against {expected}", score.alpha, score.r2);
            assert!((0.0..=1.0).contains(&score.retrieval_top1));
        }
    }
}

#[test]
fn a_ridge_that_knows_the_answer_finds_every_left_out_image() {
    let fixture = Fixture::read();
    let targets = fixture.matrix("io.targets");
    let image_of: Vec<usize> = (0..targets.nrows()).collect();
    let voxels: Vec<usize> = (0..targets.ncols()).collect();
    let problem = Problem { patterns: targets.view(), targets: targets.view(), image_of: &image_of, voxels: &voxels };
    let settings = Settings { alpha: AlphaChoice::Fixed(1e-3), left_out: LeftOut::Image };
    assert_eq!(fit(&problem, &settings).unwrap().best.retrieval_top1, 1.0);
}

#[test]
fn unselected_voxels_change_nothing() {
    let fixture = Fixture::read();
    let (patterns, targets, image_of) =
        (fixture.matrix("io.patterns"), fixture.matrix("io.targets"), fixture.image_of());
    let mut noisy = patterns.clone();
    noisy.column_mut(4).fill(77.0);
    let voxels: Vec<usize> = (0..patterns.ncols()).filter(|voxel| *voxel != 4).collect();
    let settings = Settings { alpha: AlphaChoice::Fixed(3.0), left_out: LeftOut::Trial };
    let fit_on = |patterns: &Array2<f32>| {
        let problem =
            Problem { patterns: patterns.view(), targets: targets.view(), image_of: &image_of, voxels: &voxels };
        fit(&problem, &settings).unwrap().ridge
    };
    assert_eq!(fit_on(&patterns), fit_on(&noisy));
}

#[test]
fn a_shared_space_of_all_directions_gives_the_targets_back_and_a_ridge_into_it_is_the_direct_one() {
    let fixture = Fixture::read();
    let (patterns, targets, image_of) =
        (fixture.matrix("io.patterns"), fixture.matrix("io.targets"), fixture.image_of());
    let shared = SharedSpace::of(targets.view(), 12).unwrap();
    let overlap = gram(shared.decoder.view(), None);
    let places = shared.places(targets.view()).unwrap();
    let back = shared.outputs_at(&places).unwrap();
    // 1e-5: f32 with values up to 6.
    for (a, b) in back.iter().zip(&targets) {
        assert!((a - b).abs() < 1e-5, "{a} against {b}");
    }
    for (i, row) in overlap.rows().into_iter().enumerate() {
        row.iter()
            .enumerate()
            .for_each(|(j, v)| assert!((v - f64::from(u8::from(i == j))).abs() < 1e-6, "{i} {j} {v}"));
    }
    let voxels: Vec<usize> = (0..patterns.ncols()).collect();
    let problem = Problem { patterns: patterns.view(), targets: places.view(), image_of: &image_of, voxels: &voxels };
    let settings = Settings { alpha: AlphaChoice::Fixed(3.0), left_out: LeftOut::Trial };
    let through = fit(&problem, &settings).unwrap().ridge.predict(fixture.matrix("io.new").view()).unwrap();
    let through = shared.outputs_at(&through).unwrap();
    for (ours, expected) in through.iter().zip(&fixture.matrix("sk.fixed_prediction")) {
        assert!((ours - expected).abs() <= 4.0 * PREDICTION * (1.0 + expected.abs()), "{ours} against {expected}");
    }
    let mut slanted = shared.clone();
    let second = slanted.decoder.row(1).to_owned();
    slanted.decoder.row_mut(0).zip_mut_with(&second, |a, b| *a = 3.0 * *a + b);
    let back = slanted.outputs_at(&slanted.places(targets.view()).unwrap()).unwrap();
    // 3e-5: the same through a decoder whose rows are neither of unit length nor at right angles.
    back.iter().zip(&targets).for_each(|(a, b)| assert!((a - b).abs() < 3e-5, "{a} against {b}"));
    assert!(matches!(SharedSpace::of(targets.view(), 13), Err(RidgeError::Width { found: 12, .. })));
}

#[test]
fn a_ridge_comes_back_from_its_file_and_a_damaged_one_does_not() {
    let fixture = Fixture::read();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ridge.safetensors");
    for choice in [AlphaChoice::Fixed(3.0), AlphaChoice::PerTarget(fixture.doubles("io.alphas"))] {
        let ridge = fixture.fit(choice, LeftOut::Image).ridge;
        ridge.write(&path).unwrap();
        assert_eq!(DualRidge::read(&path).unwrap(), ridge);
    }
    let whole = fixture.fit(AlphaChoice::Fixed(3.0), LeftOut::Image).ridge;
    let damaged = |change: fn(&mut DualRidge)| {
        let mut ridge = whole.clone();
        change(&mut ridge);
        ridge.write(&path).unwrap();
        DualRidge::read(&path).unwrap_err().to_string()
    };
    type Damage = fn(&mut DualRidge);
    let cases: [(Damage, &str); 6] = [
        (|r| r.basis[[0, 0]] = f32::NAN, "`ridge.basis` element 0 is NaN"),
        (|r| r.voxels[1] = 0, "`ridge.voxels` must ascend from 0 to below 90"),
        (|r| r.mask_voxels = 9, "below 9"),
        (|r| r.alpha = vec![-1.0], "`ridge.alpha` must be above 0"),
        (|r| r.alpha = vec![1.0; 3], "ridge.alpha has 3 outputs, ridge.coefficients has 12"),
        (|r| r.bias.truncate(11), "ridge.coefficients has 12 outputs, ridge.bias has 11"),
    ];
    for (change, expected) in cases {
        let message = damaged(change);
        assert!(message.contains(expected) && message.contains("ridge.safetensors"), "{message} should say {expected}");
    }
    SharedSpace::of(fixture.matrix("io.targets").view(), 3).unwrap().write(&path).unwrap();
    assert!(DualRidge::read(&path).unwrap_err().to_string().contains("metadata `format` is missing"));
    std::fs::write(&path, b"no such header").unwrap();
    assert!(matches!(DualRidge::read(&path), Err(RidgeError::Format { .. })));
}

#[test]
fn what_cannot_be_fitted_is_refused_with_both_sides() {
    let fixture = Fixture::read();
    let (patterns, targets) = (fixture.matrix("io.patterns"), fixture.matrix("io.targets"));
    let image_of = fixture.image_of();
    let voxels: Vec<usize> = (0..patterns.ncols()).collect();
    let refuse = |patterns: &Array2<f32>, targets: &Array2<f32>, image_of: &[usize], alpha: f64| {
        let problem = Problem { patterns: patterns.view(), targets: targets.view(), image_of, voxels: &voxels };
        fit(&problem, &Settings { alpha: AlphaChoice::Fixed(alpha), left_out: LeftOut::Image }).unwrap_err().to_string()
    };
    let mut lost = patterns.clone();
    lost[[2, 3]] = f32::INFINITY;
    let still = Array2::ones(targets.dim());
    let cases = [
        (refuse(&patterns, &targets, &image_of[1..], 1.0), "the betas has 40 trials, the list of images shown has 39"),
        (refuse(&patterns, &targets, &vec![26; 40], 1.0), "has 27 images, the targets has 26"),
        (refuse(&lost, &targets, &image_of, 1.0), "betas, row 2, column 3: inf is not finite"),
        (refuse(&patterns, &targets, &vec![5; 40], 1.0), "40 trials of 1 images"),
        (refuse(&patterns, &still, &image_of, 1.0), "targets do not vary"),
        (refuse(&patterns, &targets, &image_of, 0.0), "alpha must be one or more finite numbers above 0, found [0.0]"),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "{message} should say {expected}");
    }
}
