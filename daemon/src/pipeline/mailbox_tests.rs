//! Who is decoded first, and who gives way.

use super::*;
use crate::protocol::example_run;
use mindeye_preprocess::Pattern;

fn run() -> Arc<RunInfo> {
    Arc::new(RunInfo { start: example_run("r"), dir: "unused".into(), front_end: None })
}

fn job(run: &Arc<RunInfo>, trial: u32, deadline_ms: Option<u64>) -> DecodeJob {
    let beta = TrialBeta {
        trial,
        beta_revision: 0,
        lag_row: 0,
        lag_s: 7.5,
        onset_s: 0.0,
        seconds_after_onset: 7.5,
        first_volume: 0,
        last_volume: 1,
        volumes_used: 1,
        baseline_volumes: 0,
        voxels_without_beta: 0,
        standard_error: None,
        beta: Pattern(Vec::new()),
        zscored: Pattern(Vec::new()),
    };
    DecodeJob { run: run.clone(), beta: Arc::new(beta), end: deadline_ms.map(|ms| Moment(ms * 1_000_000)) }
}

fn order(mailbox: &Mailbox) -> Vec<u32> {
    mailbox.close();
    let trial = |job| match job {
        Job::Trial(job) => job.beta.trial,
        Job::Stream(sample) => 1000 + sample.index,
    };
    std::iter::from_fn(|| mailbox.pop()).map(trial).collect()
}

fn sample(run: &Arc<RunInfo>, index: u32) -> StreamJob {
    StreamJob { run: run.clone(), index, sampled_s: 0.75, shown_s: -4.25, nominal: false, zscored: None, without_sd: 0 }
}

#[test]
fn trials_go_before_the_stream_of_which_only_the_newest_sample_waits() {
    let (mailbox, run) = (Mailbox::new(8), run());
    assert!(mailbox.push_stream(sample(&run, 4)).is_none());
    assert_eq!(mailbox.push_stream(sample(&run, 5)).map(|displaced| displaced.index), Some(4));
    mailbox.push(job(&run, 0, None));
    assert_eq!(order(&mailbox), [0, 1005]);
}

#[test]
fn the_earliest_deadline_goes_first_and_what_has_none_last() {
    let (mailbox, run) = (Mailbox::new(8), run());
    for (trial, deadline_ms) in [(0, None), (1, Some(300)), (2, Some(100)), (3, None), (4, Some(200))] {
        assert!(mailbox.push(job(&run, trial, deadline_ms)).is_none());
    }
    assert_eq!(order(&mailbox), [2, 4, 1, 0, 3]);
}

#[test]
fn every_estimate_of_a_trial_is_kept() {
    let (mailbox, run) = (Mailbox::new(8), run());
    mailbox.push(job(&run, 0, None));
    assert!(mailbox.push(job(&run, 0, Some(100))).is_none());
    let ends: Vec<Option<Moment>> = mailbox.empty(true).unwrap().jobs.iter().map(|job| job.end).collect();
    assert_eq!(ends, [None, Some(Moment(100_000_000))]);
}

#[test]
fn who_has_work_does_not_wait_and_hears_of_ended_runs() {
    let (mailbox, run) = (Mailbox::new(8), run());
    assert!(mailbox.empty(false).unwrap().jobs.is_empty());
    mailbox.end_run(run.clone());
    assert!(Arc::ptr_eq(&mailbox.empty(true).unwrap().ended_runs[0], &run));
    mailbox.close();
    assert!(mailbox.empty(true).is_none());
}

#[test]
fn a_full_mailbox_gives_up_the_latest_deadline() {
    let (mailbox, run) = (Mailbox::new(2), run());
    mailbox.push(job(&run, 0, Some(200)));
    mailbox.push(job(&run, 1, Some(100)));
    assert_eq!(mailbox.push(job(&run, 2, Some(150))).unwrap().beta.trial, 0);
    assert_eq!(order(&mailbox), [1, 2]);
}
