//! Calibrated confidence against scipy, and on trials whose true probabilities are known.

mod support;

use mindeye_config::{Checked, from_toml};
use mindeye_decode::Retrieval;
use mindeye_decode::confidence::{
    Answer, Assessment, CALIBRATION_FORMAT, Calibration, Scored, expected_calibration_error, fit_temperature,
    probabilities,
};
use std::path::Path;
use support::{IDS, TestBundle};

/// The trials of `tests/oracle/confidence_reference.py`.
fn oracle_trials() -> Vec<Scored> {
    let noise = |i: f64, j: f64| 0.3 * (12.9898 * (i + 1.0) + 78.233 * (j + 1.0) + 0.5 * (i + 1.0) * (j + 1.0)).sin();
    let trial = |i: usize| {
        let shown = 7 * i % 25;
        let lead = |j| if j == shown { 0.15 } else { 0.0 };
        let scores = (0..25).map(|j| (noise(i as f64, j as f64) + lead(j)) as f32).collect();
        Scored { retrieval: Retrieval { scores }, shown: Some(shown) }
    };
    (0..40).map(trial).collect()
}

#[test]
fn the_temperature_is_scipys() {
    let trials = oracle_trials();
    let temperature = fit_temperature(&trials.iter().collect::<Vec<_>>()).unwrap();
    // 1e-6: scipy's minimiser ends where the loss, not its slope, no longer changes in f64.
    assert!((temperature - 0.298077239).abs() < 1e-6, "{temperature}");
    let first = |trial: &Scored| probabilities(&trial.retrieval, temperature).into_iter().fold(0.0, f64::max);
    for (trial, expected) in trials.iter().zip([0.08141627, 0.08439696, 0.08753998]) {
        assert!((first(trial) - expected).abs() < 1e-6);
    }
    assert_eq!(trials.iter().filter(|t| t.shown == Some(t.retrieval.ranked(1)[0].0)).count(), 12);
    assert_eq!(fit_temperature(&[]), None);
}

/// A uniform number in [0, 1) for (seed, i, j), by splitmix64.
fn uniform(seed: u64, i: usize, j: usize) -> f64 {
    let x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add((i as u64) << 32 | j as u64);
    let z = x.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Trials whose shown item is drawn from the softmax of their scores at `temperature`: the model says the truth.
fn truthful(count: usize, temperature: f64, seed: u64) -> Vec<Scored> {
    let trial = |i: usize| {
        let scores = (0..20).map(|j| (uniform(seed, i, j) * 2.0 - 1.0) as f32).collect();
        let retrieval = Retrieval { scores };
        let mut left = uniform(seed, i, 1000);
        let shown = probabilities(&retrieval, temperature).iter().position(|p| {
            left -= p;
            left < 0.0
        });
        Scored { retrieval, shown: Some(shown.unwrap_or(19)) }
    };
    (0..count).map(trial).collect()
}

#[test]
fn a_calibrated_confidence_keeps_its_word_on_new_trials() {
    for temperature in [0.05, 0.2, 1.0] {
        let calibration = Calibration::fit(&truthful(1000, temperature, 1), 1.0, 0.0).unwrap();
        // Three standard errors of a temperature from 1,000 trials are some 15 %.
        assert!((calibration.temperature / temperature - 1.0).abs() < 0.15, "{calibration:?}");
        let judged: Vec<(f64, bool)> = truthful(2000, temperature, 2)
            .iter()
            .map(|t| (calibration.judge(&t.retrieval).confidence, t.shown == Some(t.retrieval.ranked(1)[0].0)))
            .collect();
        let error = expected_calibration_error(&judged, 10);
        assert!(error <= 0.05, "temperature {temperature}: error {error}");
        assert!(calibration.expected_calibration_error <= 0.05, "{calibration:?}");
    }
}

#[test]
fn another_temperature_breaks_the_word() {
    let trials = truthful(1000, 0.2, 1);
    let judged = |temperature: f64| -> Vec<(f64, bool)> {
        let judge = |t: &Scored| {
            let best = t.retrieval.ranked(1)[0].0;
            (probabilities(&t.retrieval, temperature)[best], t.shown == Some(best))
        };
        trials.iter().map(judge).collect()
    };
    assert!(expected_calibration_error(&judged(0.05), 10) > 0.15, "overconfident");
    assert!(expected_calibration_error(&judged(1.0), 10) > 0.15, "underconfident");
}

#[test]
fn abstaining_keeps_the_risk_that_was_allowed() {
    let trials = truthful(2000, 0.1, 3);
    let calibration = Calibration::fit(&trials, 0.2, 0.0).unwrap();
    let answered: Vec<&Scored> =
        trials.iter().filter(|t| calibration.judge(&t.retrieval).answer == Answer::Given).collect();
    let wrong = answered.iter().filter(|t| t.shown != Some(t.retrieval.ranked(1)[0].0)).count();
    assert!(answered.len() > 200 && answered.len() < trials.len(), "{} answered", answered.len());
    // 0.03: the halves' temperatures differ a little from the whole's, and so does who is answered.
    assert!((wrong as f64 / answered.len() as f64) < 0.2 + 0.03, "{wrong} of {}", answered.len());
}

#[test]
fn what_is_not_in_the_gallery_is_said_to_be_absent() {
    let mut trials = truthful(300, 0.1, 4);
    for (i, trial) in trials.iter_mut().enumerate() {
        let lead = if i % 3 == 0 { -0.5 } else { 0.5 };
        trial.retrieval.scores.iter_mut().for_each(|score| *score += lead);
        if i % 3 == 0 {
            trial.shown = None;
        }
    }
    let calibration = Calibration::fit(&trials, 1.0, 0.05).unwrap();
    let absent = |t: &&Scored| calibration.judge(&t.retrieval).answer == Answer::Absent;
    let wronged = trials.iter().filter(|t| t.shown.is_some()).filter(absent).count();
    let found = trials.iter().filter(|t| t.shown.is_none()).filter(absent).count();
    assert_eq!(wronged, 10, "5 % of 200");
    assert_eq!(found, 100);
    let known = Calibration::fit(&truthful(300, 0.1, 4), 1.0, 0.05).unwrap();
    assert_eq!(known.absent_below, -1.0, "without such trials nobody is called absent");
}

#[test]
fn figures_of_truthful_trials_are_those_that_were_built_in() {
    let trials = truthful(600, 0.1, 5);
    let calibration = Calibration::fit(&trials, 1.0, 0.05).unwrap();
    let found = Assessment::of(&calibration, &trials, 1).unwrap();
    assert_eq!((found.trials, found.pool_size), (600, 20));
    let error = found.calibration_error;
    assert!(error.low <= error.value && error.value <= error.high && error.value <= 0.05, "{error:?}");
    // They say the truth, so they are as often right as they are sure: the standard error of a share of 600 is 0.02.
    assert!((found.top1 - found.mean_confidence).abs() < 0.06, "{found:?}");
    let null = found.null.unwrap();
    // 10.5 is the mean rank of 20 by chance; 600 trials have a standard error of 0.24.
    assert!(null.observed < 5.0 && (null.mean - 10.5).abs() < 1.2 && null.p == 1e-4, "{null:?}");
    let last = found.coverage_risk.last().unwrap();
    // 1e-9: the same trials counted in another order.
    assert!(last.coverage == 1.0 && (last.risk - (1.0 - found.top1)).abs() < 1e-9, "{last:?}");
    assert_eq!(found.absent_found, 0.0, "a threshold is fitted only where absent trials were given");
    assert_eq!(Assessment::of(&calibration, &[], 1), None);
}

#[test]
fn a_stimulus_that_is_taken_out_of_the_gallery_is_noticed_where_scores_stand_apart() {
    // The shown item stands 0.5 above noise of 0.3 at most: without it the best score is lower in every trial.
    let noise = |i, j| 0.3 * uniform(8, i, j);
    let trial = |i: usize| {
        let scores = (0..30).map(|j| (noise(i, j) + if j == i % 30 { 0.5 } else { 0.0 }) as f32).collect();
        Scored { retrieval: Retrieval { scores }, shown: Some(i % 30) }
    };
    let known: Vec<Scored> = (0..60).map(trial).collect();
    let absent = known.iter().filter_map(Scored::without_shown);
    let all: Vec<Scored> = known.iter().cloned().chain(absent).collect();
    let found = Assessment::of(&Calibration::fit(&all, 0.1, 0.05).unwrap(), &known, 1).unwrap();
    assert_eq!((found.absent_area_under_roc, found.absent_found), (Some(1.0), 1.0));
    let alone = Scored { retrieval: Retrieval { scores: vec![0.1] }, shown: Some(0) };
    assert_eq!(alone.without_shown(), None, "no gallery is left");
}

#[test]
fn a_bundle_is_written_again_with_its_calibration_and_is_another() {
    let written = TestBundle::write();
    let bundle = written.open().unwrap();
    let home = tempfile::tempdir().unwrap();
    let to = home.path().join("calibrated");
    bundle.write_calibrated(&calibration(), &to).unwrap();
    let calibrated = mindeye_decode::Bundle::open(&to).unwrap();
    assert_eq!(calibrated.calibration, Some(calibration()));
    assert_ne!(calibrated.hash, bundle.hash);
    let others = |bundle: &mindeye_decode::Bundle| -> Vec<String> {
        bundle.manifest.file.iter().map(|file| file.path.clone()).filter(|path| path != "calibration.toml").collect()
    };
    assert_eq!(others(&calibrated), others(&bundle));
    let again = Calibration { abstain_below: 0.5, ..calibration() };
    calibrated.write_calibrated(&again, &home.path().join("again")).unwrap();
    assert_eq!(mindeye_decode::Bundle::open(&home.path().join("again")).unwrap().calibration, Some(again.clone()));
    // Once, the folder in the making was the bundle itself where that was called so, and its files were emptied.
    let [partial, beside] = ["b.partial", "b.calibrated"].map(|name| home.path().join(name));
    calibrated.write_calibrated(&again, &partial).unwrap();
    mindeye_decode::Bundle::open(&partial).unwrap().write_calibrated(&calibration(), &beside).unwrap();
    assert_eq!(mindeye_decode::Bundle::open(&partial).unwrap().calibration, Some(again));
    let other = Calibration { pool_size: 62, ..calibration() };
    let refusal = bundle.write_calibrated(&other, &home.path().join("other")).unwrap_err().to_string();
    assert_eq!(refusal, "bundle: `calibration.toml`: pool_size is 62, manifest.toml says 5");
    assert!(!home.path().join("other").exists());
}

fn calibration() -> Calibration {
    Calibration {
        format: CALIBRATION_FORMAT.into(),
        trials: 124,
        pool_size: IDS.len(),
        temperature: 0.05,
        abstain_below: 0.25,
        absent_below: 0.125,
        expected_calibration_error: 0.03,
    }
}

#[test]
fn a_bundle_carries_its_calibration_for_its_own_gallery() {
    let written = TestBundle::write();
    assert_eq!(written.open().unwrap().calibration, None);
    written.write_toml("calibration.toml", &calibration());
    let written = written.relisted();
    assert_eq!(written.open().unwrap().calibration, Some(calibration()));
    written.write_toml("calibration.toml", &Calibration { pool_size: 62, ..calibration() });
    let refusal = written.relisted().refusal();
    assert_eq!(refusal, "bundle: `calibration.toml`: pool_size is 62, manifest.toml says 5");
}

#[test]
fn an_impossible_calibration_is_refused_by_key() {
    type Edit = fn(&mut Calibration);
    let cases: [(Edit, &str); 4] = [
        (|c| c.format = "other".into(), "format"),
        (|c| c.temperature = 0.0, "temperature"),
        (|c| c.abstain_below = 1.5, "abstain_below"),
        (|c| c.absent_below = f64::NAN, "absent_below"),
    ];
    for (edit, key) in cases {
        let mut wrong = calibration();
        edit(&mut wrong);
        assert!(wrong.check().unwrap_err().to_string().contains(key), "{key}");
    }
    let text = toml::to_string(&calibration()).unwrap();
    let read: Calibration = from_toml(&text, Path::new("calibration.toml")).unwrap();
    assert_eq!(read, calibration());
}
