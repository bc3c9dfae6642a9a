//! Warming up proves the networks on the engine at hand; a warm decoder refuses by name what it cannot decode.

mod support;

use mindeye_config::{EngineKind, ManualClock, Step, Timings};
use mindeye_decode::effort::Effort;
use mindeye_decode::{Bundle, DecodeError, Decoder, Network, Parity, Products, WarmUpReport};
use mindeye_engine::{Buffer, Engine, EngineError, FaultKind, MockEngine, MockPlan, NetworkFile, Session, TensorSpec};
use mindeye_preprocess::Pattern;
use std::sync::Arc;
use std::time::Duration;
use support::{IDS, TestBundle, VOXELS, mock_outputs};

fn warm(bundle: &Bundle, engine: impl Engine + 'static) -> Result<(Decoder, WarmUpReport), DecodeError> {
    Decoder::warm_up(bundle, Box::new(engine), ManualClock::new())
}

fn warm_mock(written: &TestBundle, plan: MockPlan) -> Decoder {
    warm(&written.open().unwrap(), MockEngine::new(plan)).unwrap().0
}

fn pattern(start: f32) -> Pattern {
    Pattern((0..VOXELS.len()).map(|i| start + (i as f32).sin()).collect())
}

/// An engine that is not the mock by name and computes the golden numbers, but for one output that is off by `offset`.
struct Drifting {
    output: &'static str,
    offset: f32,
}

struct DriftingSession {
    inner: Box<dyn Session>,
    output: &'static str,
    offset: f32,
}

impl Engine for Drifting {
    fn kind(&self) -> EngineKind {
        EngineKind::OnnxruntimeCpu
    }

    fn describe(&self) -> String {
        "drifting".into()
    }

    fn open(&self, network: &NetworkFile) -> Result<Box<dyn Session>, EngineError> {
        let inner = MockEngine::new(MockPlan::default()).open(network)?;
        Ok(Box::new(DriftingSession { inner, output: self.output, offset: self.offset }))
    }
}

impl Session for DriftingSession {
    fn inputs(&self) -> &[TensorSpec] {
        self.inner.inputs()
    }

    fn outputs(&self) -> &[TensorSpec] {
        self.inner.outputs()
    }

    fn run(&mut self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) -> Result<(), EngineError> {
        self.inner.run(inputs, outputs)?;
        let mover = MockEngine::new(MockPlan::default());
        for buffer in outputs.iter_mut().filter(|buffer| buffer.spec().name == self.output) {
            let mut values = vec![0.0; buffer.spec().element_count()];
            mover.download(buffer, &mut values)?;
            values[3] += self.offset;
            mover.upload(buffer, &values)?;
        }
        Ok(())
    }
}

#[test]
fn a_mock_checks_shapes_only_and_the_report_says_so() {
    let bundle = TestBundle::write().open().unwrap();
    let (_, report) = warm(&bundle, MockEngine::new(MockPlan::default())).unwrap();
    assert_eq!(report.networks.iter().map(|n| n.network).collect::<Vec<_>>(), Network::ALL);
    assert!(report.networks.iter().all(|n| n.parity == Parity::NotChecked));
    assert!(!report.parity_checked());
    assert_eq!(report.to_string().matches("parity NOT checked").count(), Network::ALL.len(), "{report}");
}

#[test]
fn a_real_engine_passes_when_every_output_is_within_its_tolerance() {
    let bundle = TestBundle::write().open().unwrap();
    let (_, report) = warm(&bundle, Drifting { output: "latent", offset: 5e-5 }).unwrap();
    assert!(report.parity_checked());
    let worst_of = |network| match report.networks.iter().find(|n| n.network == network).unwrap().parity {
        Parity::Checked { worst, tolerance } => {
            assert_eq!(tolerance, 1e-4);
            worst
        }
        Parity::NotChecked => panic!("not the mock"),
    };
    assert_eq!(worst_of(Network::Backbone), 0.0);
    assert!(worst_of(Network::LowLevel) > 0.0 && worst_of(Network::LowLevel) <= 5.1e-5);
}

#[test]
fn a_drift_beyond_the_tolerance_is_refused_by_network_output_amount_and_tolerance() {
    let cases = [("retrieval_tokens", "backbone"), ("latent", "low-level"), ("noise_prediction", "unet")];
    let bundle = TestBundle::write().open().unwrap();
    for (output, network) in cases {
        let refusal = warm(&bundle, Drifting { output, offset: 0.5 }).err().expect("0.5 is far beyond 1e-4");
        let DecodeError::Parity { network: named, output: of, element, found, golden, amount, tolerance } = &refusal
        else {
            panic!("{refusal}");
        };
        assert_eq!((*named, of.as_str(), *element, *tolerance), (network, output, 3, 1e-4));
        let (found, golden) = (f64::from(*found), f64::from(*golden));
        assert_eq!(*amount, (found - golden).abs() / (1.0 + golden.abs()));
        // 1e-6: the sum is rounded to f32.
        assert!(((found - golden) - 0.5).abs() < 1e-6, "{refusal}");
        let shown = refusal.to_string();
        for part in [network, output, &format!("{amount:.3e}"), "1.000e-4"] {
            assert!(shown.contains(part), "{shown} lacks {part}");
        }
    }
}

#[test]
fn a_network_that_fails_or_gives_nan_while_warming_up_is_refused_by_name() {
    let bundle = TestBundle::write().open().unwrap();
    let failing = MockPlan::default().with_fault("low-level", 0, FaultKind::Fail);
    let refusal = warm(&bundle, MockEngine::new(failing)).err().expect("a planned fault");
    assert_eq!(refusal.to_string(), "network `low-level` failed to run: planned fault at run 0");
    assert!(!refusal.is_unavailable());

    let spoilt = MockPlan::default().with_fault("backbone", 0, FaultKind::NotANumber);
    let refusal = warm(&bundle, MockEngine::new(spoilt)).err().expect("a planned NaN");
    assert_eq!(refusal.to_string(), "network `backbone`: output `backbone_tokens` is NaN at element 0");
}

#[test]
fn nan_in_a_trial_is_an_error_and_the_next_trial_decodes() {
    let plan = MockPlan::default().with_fault("backbone", 1, FaultKind::NotANumber).with_fault(
        "vae-decoder",
        1,
        FaultKind::NotANumber,
    );
    let mut decoder = warm_mock(&TestBundle::write(), plan);
    let timings = &mut Timings::default();
    let error = decoder.retrieve(&pattern(0.1), timings).unwrap_err();
    assert!(matches!(&error, DecodeError::NonFinite { network: "backbone", .. }), "{error}");
    let error = decoder.blurry(&pattern(0.1), timings).unwrap_err();
    assert!(matches!(&error, DecodeError::NonFinite { network: "vae-decoder", .. }), "{error}");

    assert!(decoder.retrieve(&pattern(0.1), timings).is_ok());
    assert!(decoder.blurry(&pattern(0.1), timings).is_ok());
}

#[test]
fn equal_patterns_give_equal_products_and_others_differ() {
    let mut decoder = warm_mock(&TestBundle::write(), MockPlan::default());
    assert_eq!(decoder.products(), Products { retrieval: true, blurry: true, reconstruction: true });
    assert_eq!(decoder.engine(), EngineKind::Mock);
    let mut decode = |start| {
        let mut timings = Timings::default();
        let retrieval = decoder.retrieve(&pattern(start), &mut timings).unwrap();
        (retrieval, decoder.blurry(&pattern(start), &mut timings).unwrap())
    };
    let (one, other, again) = (decode(0.1), decode(-0.9), decode(0.1));
    assert_eq!(one, again);
    assert_eq!(one.1.to_png(), again.1.to_png());
    assert_ne!(one.0, other.0);
    assert_ne!(one.1, other.1);
    assert_eq!(one.0.scores.len(), IDS.len());
    assert_eq!((one.1.height(), one.1.width()), (4, 6));
}

#[test]
fn the_retrieval_tokens_are_searched_in_the_gallery() {
    let written = TestBundle::write();
    let bundle = written.open().unwrap();
    let mut decoder = warm_mock(&written, MockPlan::default());
    let found = decoder.retrieve(&pattern(0.1), &mut Timings::default()).unwrap();

    let tokens = mock_outputs(bundle.manifest.network("backbone").unwrap(), &[&pattern(0.1).0]);
    let gallery = bundle.gallery.as_ref().unwrap();
    assert_eq!(found, gallery.score(&tokens[1]).unwrap());
    assert_ne!(found, gallery.score(&tokens[0]).unwrap(), "the backbone's tokens are another output");
}

#[test]
fn the_vae_decodes_the_latent_without_its_scale() {
    let written = TestBundle::write();
    let bundle = written.open().unwrap();
    let mut decoder = warm_mock(&written, MockPlan::default());
    let picture = decoder.blurry(&pattern(0.1), &mut Timings::default()).unwrap();

    let entry = |name| bundle.manifest.network(name).unwrap();
    let scaled = &mock_outputs(entry("low-level"), &[&pattern(0.1).0])[0];
    let latent: Vec<f32> = scaled.iter().map(|v| (f64::from(*v) / 0.18215) as f32).collect();
    let image = &mock_outputs(entry("vae-decoder"), &[&latent])[0];
    let level = |value: &f32| ((value / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round() as u8;
    let planes: Vec<u8> = image.iter().map(level).collect();
    let expected: Vec<u8> = (0..24).flat_map(|pixel| [0, 24, 48].map(|plane| planes[plane + pixel])).collect();
    assert_eq!(picture.rgb(), expected);
}

#[test]
fn each_step_is_booked_under_its_own_name() {
    let clock = ManualClock::new();
    let (hand, bundle) = (Arc::clone(&clock), TestBundle::write().open().unwrap());
    let plan = MockPlan::slow_by_ms(10.0).with_fault("vae-decoder", 1, FaultKind::Slow(Duration::from_millis(5)));
    let engine = MockEngine::new(plan).waiting_by(move |delay| hand.advance(delay));
    let (mut decoder, report) = Decoder::warm_up(&bundle, Box::new(engine), clock).unwrap();
    assert!(report.networks.iter().all(|n| n.first_run == Duration::from_millis(10)), "{report}");

    let mut timings = Timings::default();
    decoder.retrieve(&pattern(0.1), &mut timings).unwrap();
    decoder.blurry(&pattern(0.1), &mut timings).unwrap();
    let booked: Vec<_> = timings.iter().map(|(step, d)| (step, d.as_millis())).collect();
    assert_eq!(booked, [(Step::Backbone, 10), (Step::Retrieval, 0), (Step::LowLevel, 10), (Step::Vae, 15)]);
}

#[test]
fn a_pattern_of_another_mask_is_refused_with_both_counts() {
    let mut decoder = warm_mock(&TestBundle::write(), MockPlan::default());
    let timings = &mut Timings::default();
    let short = Pattern(vec![0.0; 5]);
    for error in [decoder.retrieve(&short, timings).unwrap_err(), decoder.blurry(&short, timings).unwrap_err()] {
        assert_eq!(error.to_string(), "the pattern has 5 voxels, the bundle's mask 6");
    }
}

#[test]
fn a_bundle_without_a_part_serves_the_rest_and_names_what_is_missing() {
    use Network::{Backbone, LowLevel, Prior, TaesdDecoder, Unet, VaeDecoder, VaeEncoder};
    let both = [VaeDecoder, TaesdDecoder];
    // Networks taken away, gallery taken away; what is left of retrieval, blurry, reconstruction; each complaint.
    type Case<'a> = (&'a [Network], bool, [bool; 3], &'a [&'a str]);
    let cases: [Case<'_>; 9] = [
        (&[], false, [true, true, true], &[]),
        (&[VaeDecoder], false, [true, true, true], &[]),
        (&[TaesdDecoder, VaeEncoder], false, [true, true, true], &[]),
        (
            &both,
            false,
            [true, false, false],
            &["blurry: it has no vae-decoder", "reconstruction: it has no vae-decoder"],
        ),
        (&[LowLevel], false, [true, false, true], &["blurry: it has no low-level"]),
        (&[], true, [false, true, true], &["retrieval: it has no gallery"]),
        (
            &[Backbone],
            false,
            [false, true, false],
            &["retrieval: it has no backbone", "reconstruction: it has no backbone"],
        ),
        (&[Prior], false, [true, true, false], &["reconstruction: it has no prior"]),
        (&[Unet], true, [false, true, false], &["retrieval: it has no gallery", "reconstruction: it has no unet"]),
    ];
    for (networks, gallery, [retrieval, blurry, reconstruction], complaints) in cases {
        let mut decoder = warm_mock(&TestBundle::write().without(networks, gallery), MockPlan::default());
        assert_eq!(decoder.products(), Products { retrieval, blurry, reconstruction }, "without {networks:?}");
        let timings = &mut Timings::default();
        let tried = [
            decoder.retrieve(&pattern(0.1), timings).map(drop),
            decoder.blurry(&pattern(0.1), timings).map(drop),
            decoder.begin(&pattern(0.1), Effort::Full, support::trial_noise()).map(drop),
        ];
        let found: Vec<String> = tried.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
        let expected: Vec<String> = complaints.iter().map(|what| format!("this bundle makes no {what}")).collect();
        assert_eq!(found, expected, "without {networks:?}");
        let offers = decoder.offers();
        let offered = [Effort::Retrieval, Effort::Blurry, Effort::Full].map(|effort| offers.work(effort).is_some());
        assert_eq!(offered, [retrieval, blurry, reconstruction], "without {networks:?}");
    }
}
