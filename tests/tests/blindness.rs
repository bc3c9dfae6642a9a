//! What the participant saw changes scores and nothing else: `image` permuted, or left out, gives the same answers.

use mindeye_tests::instrument::Setup;
use mindeye_tests::listener::Listener;
use mindeye_tests::phantom_run::PhantomRun;
use mindeye_tests::record::{Record, run_folder};
use mindeye_tests::sender::Sender;
use serde_json::Value;

const TRIALS: u32 = 6;
/// What may depend on the stimulus, and what depends on when.
const MAY_DIFFER: [&str; 5] = ["target_scores", "image", "pool_contains_stimulus", "timings_ms", "onset_to_publish_s"];

/// How trials are told: all at the start, or each before its first volume.
#[derive(Debug, Clone, Copy)]
enum Told {
    AtTheStart,
    OneByOne,
}

fn play(run: &PhantomRun, told: Told) -> Record {
    let room = tempfile::tempdir().unwrap();
    let setup = Setup::new(room.path());
    let daemon = setup.start();
    let mut listener = Listener::connect(&daemon.results);
    let sender = Sender::connect(&daemon.volumes);
    match told {
        Told::AtTheStart => run.play(&sender),
        Told::OneByOne => {
            sender.accepted(&run.start(), None);
            (0..TRIALS as usize).for_each(|trial| drop(sender.accepted(&run.event(trial), None)));
            run.send(&sender, 0..run.volumes.len());
            sender.accepted(&run.end(run.volumes.len()), None);
        }
    }
    let _ = listener.finals(TRIALS.into());
    daemon.stop();
    Record::read(&run_folder(&setup.journal(), &run.run))
}

/// Every publication without what may differ, with its picture.
fn blind(record: &Record) -> Vec<(Value, Vec<u8>)> {
    let mut published = record.published.clone();
    for (json, _) in &mut published {
        for field in MAY_DIFFER {
            json.as_object_mut().unwrap().remove(field).expect(field);
        }
    }
    published.sort_by_key(|(json, _)| (json["trial"].as_u64(), json["revision"].as_u64()));
    published
}

#[test]
fn images_permuted_or_removed_change_scores_only() {
    let true_run = PhantomRun::new("run-1", TRIALS, 5);
    let mut permuted = true_run.clone();
    let images: Vec<Value> = true_run.events.iter().map(|event| event["image"].clone()).collect();
    for (trial, event) in permuted.events.iter_mut().enumerate() {
        event["image"] = images[(trial + 1) % images.len()].clone();
    }
    let mut unknown = true_run.clone();
    unknown.events.iter_mut().for_each(|event| event["image"] = "never-seen".into());
    let mut removed = true_run.clone();
    removed.events.iter_mut().for_each(|event| drop(event.as_object_mut().unwrap().remove("image")));

    let reference = play(&true_run, Told::AtTheStart);
    assert_eq!(reference.betas.len(), TRIALS as usize);
    for trial in 0..TRIALS {
        let answer = reference.final_of(trial);
        assert_eq!((&answer["effort"], &answer["pool_contains_stimulus"]), (&"full".into(), &true.into()), "{answer}");
        assert!(answer["target_scores"]["rank"].is_u64(), "{answer}");
    }
    let cases: [(&str, &PhantomRun, Value); 4] = [
        ("true", &true_run, true.into()),
        ("permuted", &permuted, true.into()),
        ("unknown to the gallery", &unknown, false.into()),
        ("removed", &removed, "unknown".into()),
    ];
    for (about, run, in_pool) in cases {
        for told in [Told::AtTheStart, Told::OneByOne] {
            let record = play(run, told);
            assert_eq!(record.betas, reference.betas, "images {about}, told {told:?}: betas");
            assert_eq!(blind(&record), blind(&reference), "images {about}, told {told:?}: answers and pictures");
            for trial in 0..TRIALS {
                let answer = record.final_of(trial);
                assert_eq!(answer["pool_contains_stimulus"], in_pool, "images {about}, told {told:?}");
                assert_eq!(answer["image"], run.events[trial as usize]["image"], "images {about}, told {told:?}");
                assert_eq!(answer["target_scores"].is_object(), in_pool == true, "images {about}, told {told:?}");
            }
        }
    }
}
