//! The clerk's promises, with a hand-moved clock.

use super::*;
use crate::pipeline::RunInfo;
use crate::protocol::example_run;
use mindeye_preprocess::Pattern;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;
const GUARD: Duration = Duration::from_millis(20);

fn at(seconds: f64) -> Moment {
    Moment((seconds * SECOND as f64) as u64)
}

fn run() -> Arc<RunInfo> {
    Arc::new(RunInfo { start: example_run("r"), dir: "unused".into(), front_end: None })
}

fn due(trial: u32, deadline: Moment) -> DueNotice {
    DueNotice {
        run: run(),
        trial,
        onset_s: 9.0,
        due_s: 16.5,
        volume: 10,
        nominal: false,
        arrived: at(16.5),
        arrived_unix_s: 0.0,
        deadline,
        last_call: deadline - GUARD,
        has_beta: true,
        restored: false,
        timings: Timings::default(),
    }
}

fn product(trial: u32, beta_revision: u32, decoded: Decoded) -> ProductNotice {
    let beta = TrialBeta {
        trial,
        beta_revision,
        lag_row: 0,
        lag_s: 7.5,
        onset_s: 9.0,
        seconds_after_onset: 7.5,
        first_volume: 8,
        last_volume: 10,
        volumes_used: 2,
        baseline_volumes: 0,
        voxels_without_beta: 0,
        standard_error: None,
        beta: Pattern(vec![0.0]),
        zscored: Pattern(vec![0.0]),
    };
    ProductNotice { run: run(), beta: Arc::new(beta), decoded, timings: Timings::default(), is_archive: false }
}

fn list() -> Decoded {
    Decoded::Retrieval(Retrieval { scores: vec![0.5, 0.25] })
}

fn reconstruction(effort: Effort) -> Decoded {
    let picture = Picture::new(1, 1, vec![4, 5, 6]).unwrap();
    Decoded::Reconstruction(Reconstructed { picture, effort, steps: 17, seed: 9 })
}

/// Both sides have given all that they could.
fn done(clerk: &mut Clerk, trial: u32) -> Option<Answer> {
    assert!(clerk.decoded(trial, Part::Scores).is_none(), "pictures may still come");
    clerk.decoded(trial, Part::Pictures)
}

fn blurry() -> Decoded {
    Decoded::Blurry(Picture::new(1, 1, vec![1, 2, 3]).unwrap())
}

#[test]
fn a_list_goes_out_at_once_and_the_picture_with_the_one_final_answer() {
    let mut clerk = Clerk::new();
    assert!(clerk.due(due(0, at(18.0)), at(16.5)).is_none());
    let first = clerk.product(&product(0, 0, list())).unwrap();
    assert_eq!((first.revision, first.is_final, first.effort), (0, false, Effort::Retrieval));
    assert!(clerk.product(&product(0, 0, blurry())).is_none());
    let last = done(&mut clerk, 0).unwrap();
    assert_eq!((last.revision, last.is_final, last.effort, last.skip), (1, true, Effort::Blurry, None));
    assert!(clerk.at(at(60.0)).is_empty(), "one final answer, none after it");
    assert!(clerk.product(&product(0, 0, list())).is_none());
    assert!(done(&mut clerk, 0).is_none() && clerk.goes_on(0).is_none() && clerk.never_due(0).is_none());
}

#[test]
fn a_picture_goes_out_before_a_better_one_is_begun_and_once_only() {
    let mut clerk = Clerk::new();
    clerk.due(due(0, at(18.0)), at(16.5));
    clerk.product(&product(0, 0, list()));
    assert!(clerk.goes_on(0).is_none(), "the list is out, nothing else is there");
    clerk.product(&product(0, 0, blurry()));
    let second = clerk.goes_on(0).unwrap();
    assert_eq!((second.revision, second.is_final, second.effort), (1, false, Effort::Blurry));
    assert!(clerk.goes_on(0).is_none(), "no news");
    assert!(clerk.product(&product(0, 0, reconstruction(Effort::Fast))).is_none());
    let last = done(&mut clerk, 0).unwrap();
    assert_eq!((last.revision, last.effort, last.reconstruction.as_ref().unwrap().steps), (2, Effort::Fast, 17));
    assert_eq!(last.products(), ["retrieval", "blurry", "reconstruction"]);
    assert_eq!(last.picture().unwrap().rgb(), [4, 5, 6], "the better picture");
}

#[test]
fn pictures_never_wait_for_a_list_nor_a_list_for_pictures_past_the_deadline() {
    let mut clerk = Clerk::new();
    clerk.due(due(0, at(18.0)), at(16.5));
    clerk.product(&product(0, 0, blurry()));
    assert!(clerk.decoded(0, Part::Pictures).is_none(), "the list may still come");
    let last = clerk.at(at(17.98)).remove(0);
    assert_eq!((last.is_final, last.effort, last.products()), (true, Effort::Blurry, vec!["blurry"]));
}

#[test]
fn an_estimate_older_than_the_one_shown_changes_nothing() {
    let mut clerk = Clerk::new();
    clerk.due(due(0, at(18.0)), at(16.5));
    clerk.product(&product(0, 1, list()));
    assert!(clerk.product(&product(0, 0, list())).is_none());
    let last = done(&mut clerk, 0).unwrap();
    assert_eq!((last.revision, last.beta.unwrap().beta_revision), (1, 1));
}

#[test]
fn what_is_there_goes_out_a_guard_before_the_deadline() {
    let mut clerk = Clerk::new();
    clerk.due(due(0, at(18.0)), at(16.5));
    clerk.due(due(1, at(19.5)), at(16.6));
    clerk.product(&product(1, 0, list()));
    assert_eq!(clerk.next_call(), Some(at(18.0) - GUARD));
    assert!(clerk.at(at(17.97)).is_empty());
    let skipped = clerk.at(at(17.98));
    assert_eq!(skipped.len(), 1);
    assert_eq!((skipped[0].trial, skipped[0].effort, skipped[0].skip), (0, Effort::Skipped, Some(Skip::Late)));
    let listed = clerk.at(at(19.5));
    assert_eq!(
        (listed[0].trial, listed[0].effort, listed[0].skip, listed[0].revision),
        (1, Effort::Retrieval, None, 1)
    );
    assert_eq!(clerk.next_call(), None);
}

#[test]
fn a_due_trial_that_cannot_be_answered_is_final_at_once_and_says_why() {
    let cases = [
        (DueNotice { has_beta: false, ..due(0, at(18.0)) }, Skip::NoVolumes),
        (due(0, at(16.0)), Skip::Late),
        (DueNotice { restored: true, ..due(0, at(0.0)) }, Skip::Restart),
        (DueNotice { restored: true, has_beta: false, ..due(0, at(0.0)) }, Skip::Restart),
    ];
    for (notice, expected) in cases {
        let answer = Clerk::new().due(notice, at(16.5)).unwrap();
        assert_eq!((answer.is_final, answer.effort, answer.skip), (true, Effort::Skipped, Some(expected)));
    }
}

#[test]
fn an_estimate_made_before_a_trial_is_due_is_replaced_by_the_due_one() {
    let mut clerk = Clerk::new();
    let early = clerk.product(&product(0, 0, list())).unwrap();
    assert!(early.due.is_none() && !early.is_final);
    clerk.due(due(0, at(18.0)), at(16.5));
    clerk.product(&product(0, 1, blurry()));
    let last = done(&mut clerk, 0).unwrap();
    assert!(last.retrieval.is_none(), "the early list is of another beta");
    assert_eq!(last.beta.unwrap().beta_revision, 1);
}

#[test]
fn a_failing_engine_leaves_what_was_made_before() {
    let mut clerk = Clerk::new();
    clerk.due(due(0, at(18.0)), at(16.5));
    clerk.due(due(1, at(18.0)), at(16.5));
    clerk.product(&product(0, 0, list()));
    clerk.failed(0);
    clerk.failed(1);
    assert_eq!(done(&mut clerk, 0).unwrap().effort, Effort::Retrieval);
    let nothing = done(&mut clerk, 1).unwrap();
    assert_eq!((nothing.effort, nothing.skip), (Effort::Skipped, Some(Skip::Engine)));
}

#[test]
fn what_an_earlier_process_published_is_not_published_again() {
    let mut clerk = Clerk::new();
    clerk.remember(0, 2, true);
    clerk.remember(1, 1, false);
    assert!(clerk.due(DueNotice { restored: true, ..due(0, at(0.0)) }, at(1.0)).is_none());
    let answer = clerk.due(DueNotice { restored: true, ..due(1, at(0.0)) }, at(1.0)).unwrap();
    assert_eq!((answer.revision, answer.skip), (1, Some(Skip::Restart)));
}
