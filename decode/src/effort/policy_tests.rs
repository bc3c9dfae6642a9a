//! Each rung, each way down, and whose turn it is, by a clock that the test moves.

use super::*;
use crate::Network;
use Action::{Begin, Blurry, Cut, Finish, Retrieve, Step};
use Effort::{Fast, Full};

fn at(ms: u64) -> Moment {
    Moment(ms * 1_000_000)
}

/// Retrieval 10 ms, blurry 20 + 30, fast 300, full 800: every run takes the same, 10 ms, but a UNet's 50.
fn offers() -> Offers {
    let mut offers = Offers::default();
    offers.add(Effort::Retrieval, [(Network::Backbone, 1)]);
    offers.add(Effort::Blurry, [(Network::LowLevel, 2), (Network::VaeDecoder, 3)]);
    offers.add(Fast, [(Network::Unet, 6)]);
    offers.add(Full, [(Network::Unet, 16)]);
    offers
}

fn times() -> StepTimes {
    let mut times = StepTimes::default();
    for network in Network::ALL {
        times.learn(network, Duration::from_millis(if network == Network::Unet { 50 } else { 10 }));
    }
    times
}

fn due(end_ms: u64) -> Job {
    Job { end: Some(at(end_ms)), ..Job::default() }
}

fn listed(end_ms: u64) -> Job {
    Job { retrieval: State::Done, ..due(end_ms) }
}

fn seen(end_ms: u64) -> Job {
    Job { blurry: State::Done, ..listed(end_ms) }
}

fn running(end_ms: u64, effort: Effort, unet_runs: u32) -> Job {
    Job { running: Some(Running { effort, remaining: Work::of([(Network::Unet, unet_runs)]) }), ..seen(end_ms) }
}

fn action(job: Job, now_ms: u64) -> Action {
    next_action(&[job], at(now_ms), &offers(), &times()).expect("there is a job").1
}

#[test]
fn the_ladder_is_climbed_to_the_best_rung_that_fits() {
    let cases = [
        ("the list comes first", due(1000), 0, Retrieve),
        ("and is tried in the last millisecond", due(1000), 999, Retrieve),
        ("but not after the end", due(1000), 1000, Finish),
        ("the blurry picture is next", listed(1000), 0, Blurry),
        ("and is left out where it does not fit", listed(1000), 951, Finish),
        ("full at exactly its time", seen(1000), 200, Begin(Full)),
        ("fast a millisecond later", seen(1000), 201, Begin(Fast)),
        ("fast at exactly its time", seen(1000), 700, Begin(Fast)),
        ("nothing more a millisecond later", seen(1000), 701, Finish),
        ("full is done: nothing is better", Job { full: State::Done, ..seen(1000) }, 0, Finish),
        ("full failed: fast", Job { full: State::Failed, ..seen(1000) }, 0, Begin(Fast)),
        ("both failed", Job { full: State::Failed, fast: State::Failed, ..seen(1000) }, 0, Finish),
        ("blurry failed: diffusion still", Job { blurry: State::Failed, ..listed(1000) }, 0, Begin(Full)),
        (
            "no list, no picture: the list's failure ends nothing",
            Job { retrieval: State::Failed, ..due(1000) },
            0,
            Blurry,
        ),
    ];
    for (what, job, now_ms, expected) in cases {
        assert_eq!(action(job, now_ms), expected, "{what}");
    }
}

#[test]
fn a_reconstruction_is_held_against_the_slack_between_any_two_steps() {
    let cases = [
        ("in time", running(1000, Full, 10), 500, Step),
        ("full will be late, fast will not", running(1000, Full, 15), 600, Begin(Fast)),
        ("nothing fits any more", running(1000, Full, 10), 800, Cut),
        ("fast has no lesser", running(1000, Fast, 5), 800, Cut),
        ("past due", running(1000, Full, 1), 1000, Cut),
        ("fast failed before: full is cut", Job { fast: State::Failed, ..running(1000, Full, 15) }, 600, Cut),
        ("another candidate in time", Job { full: State::Done, ..running(1000, Full, 4) }, 800, Step),
        ("another candidate too late", Job { full: State::Done, ..running(1000, Full, 5) }, 800, Cut),
        ("all candidates drawn", Job { full: State::Done, ..running(1000, Full, 0) }, 0, Cut),
    ];
    for (what, job, now_ms, expected) in cases {
        assert_eq!(action(job, now_ms), expected, "{what}");
    }
}

#[test]
fn a_walk_that_slows_down_is_cut_by_what_it_has_become() {
    let (mut times, job) = (times(), running(1000, Full, 10));
    let act = |times: &StepTimes| next_action(&[job], at(400), &offers(), times).unwrap().1;
    assert_eq!(act(&times), Step);
    times.learn(Network::Unet, Duration::from_millis(3000));
    assert_eq!(act(&times), Step, "one stall is not what a step usually takes");
    (0..8).for_each(|_| times.learn(Network::Unet, Duration::from_millis(90)));
    assert_eq!(act(&times), Cut, "ten steps of 90 ms do not fit 600 ms, and six and a stall do not either");
}

#[test]
fn a_revision_repeats_diffusion_only_for_as_much_as_was_shown() {
    let revised = |shown| Job { shown: Some(shown), ..seen(1000) };
    assert_eq!(action(revised(Full), 0), Begin(Full));
    assert_eq!(action(revised(Full), 500), Finish);
    assert_eq!(action(revised(Fast), 500), Begin(Fast));
    assert_eq!(action(revised(Effort::Blurry), 500), Begin(Fast));
}

#[test]
fn what_is_not_due_gets_a_list_and_nothing_more() {
    let early = Job::default();
    assert_eq!(action(early, 0), Retrieve);
    assert_eq!(action(Job { retrieval: State::Done, ..early }, 0), Finish);
    assert_eq!(action(Job { retrieval: State::Failed, ..early }, 0), Finish);
}

#[test]
fn the_earliest_due_goes_first_and_every_list_before_any_diffusion() {
    let early = Job::default();
    let cases = [
        ("two due", vec![listed(900), listed(800)], 0, (1, Blurry)),
        ("equal ends: in order of arrival", vec![listed(800), listed(800)], 0, (0, Blurry)),
        ("a list for the later one", vec![due(900), listed(800)], 0, (0, Retrieve)),
        ("a list before it is due", vec![early, running(1000, Full, 10)], 0, (0, Retrieve)),
        ("unless that makes the other late", vec![early, running(1000, Full, 10)], 495, (1, Step)),
        ("who is late anyway keeps nobody waiting", vec![early, running(1000, Full, 10)], 900, (0, Retrieve)),
        ("an earlier one overtakes between steps", vec![running(1000, Full, 10), listed(600)], 0, (1, Blurry)),
        ("what is past due is cleared first", vec![running(1000, Full, 10), seen(100)], 200, (1, Finish)),
    ];
    for (what, jobs, now_ms, expected) in cases {
        assert_eq!(next_action(&jobs, at(now_ms), &offers(), &times()), Some(expected), "{what}");
    }
    assert_eq!(next_action(&[], at(0), &offers(), &times()), None);
}

#[test]
fn a_bundle_offers_what_it_has() {
    let mut pictures = Offers::default();
    pictures.add(Fast, [(Network::Unet, 6)]);
    pictures.add(Full, [(Network::Unet, 16)]);
    let act = |job, now_ms| next_action(&[job], at(now_ms), &pictures, &times()).unwrap().1;
    assert_eq!(act(due(1000), 0), Begin(Full));
    assert_eq!(act(due(1000), 999), Begin(Fast), "the only thing that it can do is tried while there is slack");
    assert_eq!(next_action(&[due(1000)], at(0), &Offers::default(), &times()), Some((0, Finish)));
    assert_eq!((pictures.best(), Offers::default().best()), (Full, Effort::Skipped));
}

#[test]
fn the_archive_holds_what_got_less_than_the_best() {
    let live = [(4, Full), (5, Effort::Skipped), (6, Fast), (7, Effort::Retrieval)];
    assert_eq!(archive(&live, Full), [5, 6, 7]);
    assert_eq!(archive(&live, Effort::Retrieval), [5]);
}

/// Carries actions out on a clock of its own, UNet runs taking `unet_ms`; returns what was published and when, in ms.
fn play(end_ms: u64, unet_ms: impl Fn(u32) -> u64) -> Vec<(Effort, u64)> {
    let (mut job, mut now_ms, mut steps, mut published) = (due(end_ms), 0, 0, Vec::new());
    let mut times = times();
    loop {
        let before = job.effort();
        match next_action(&[job], at(now_ms), &offers(), &times).expect("there is a job").1 {
            Retrieve => {
                now_ms += 10;
                job.settle(Effort::Retrieval, State::Done);
            }
            Blurry => {
                now_ms += 50;
                job.settle(Effort::Blurry, State::Done);
            }
            Begin(effort) => job.begun(effort, offers().work(effort).unwrap()),
            Step => {
                let Running { effort, remaining } = job.running.unwrap();
                let took_ms = unet_ms(steps);
                times.learn(Network::Unet, Duration::from_millis(took_ms));
                (now_ms, steps) = (now_ms + took_ms, steps + 1);
                job.stepped(remaining.less(Network::Unet, 1));
                if job.running.unwrap().remaining == Work::default() {
                    job.settle(effort, State::Done);
                }
            }
            Cut => job.give_up(),
            Finish => return published,
        }
        if job.effort() != before {
            published.push((job.effort(), now_ms));
        }
    }
}

#[test]
fn a_trial_is_published_progressively_and_never_late() {
    let lists = [(Effort::Retrieval, 10), (Effort::Blurry, 60)];
    let with = |more: &[(Effort, u64)]| [&lists[..], more].concat();
    assert_eq!(play(1000, |_| 50), with(&[(Full, 860)]));
    assert_eq!(play(500, |_| 50), with(&[(Fast, 360)]));
    assert_eq!(play(300, |_| 50), lists);
    assert_eq!(play(40, |_| 50), lists[..1]);
    // The engine becomes three times slower after one step, after four, and slower than the whole deadline at once. The
    // median believes it once more than half of the runs it remembers were slow.
    assert_eq!(play(1800, |step| if step < 1 { 50 } else { 150 }), with(&[(Fast, 1460)]));
    assert_eq!(play(1500, |step| if step < 4 { 50 } else { 150 }), lists);
    assert_eq!(play(1000, |_| 2000), lists);
}

#[test]
fn giving_up_keeps_what_was_published() {
    let mut job = running(1000, Full, 3);
    job.give_up();
    assert_eq!((job.full, job.running, job.effort()), (State::Failed, None, Effort::Blurry));
    let mut job = running(1000, Full, 3);
    job.settle(Full, State::Done);
    job.give_up();
    assert_eq!((job.full, job.running, job.effort()), (State::Done, None, Full));
    let mut job = running(1000, Full, 3);
    job.begun(Fast, Work::of([(Network::Unet, 6)]));
    assert_eq!((job.full, job.running.unwrap().effort), (State::Failed, Fast));
    job.settle(Fast, State::Failed);
    assert_eq!((job.fast, job.running), (State::Failed, None));
}
