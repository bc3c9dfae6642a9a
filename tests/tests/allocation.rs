//! Bytes from anywhere never make the door panic, and never make it allocate more than they are long plus a constant.
//!
//! Headers are read up to 1 MiB. What swells most in memory is a list of one-digit numbers: two characters become eight
//! bytes, and while the list doubles half as much again, six times the header. Voxels are looked at where they lie and
//! never copied, so the length of a volume does not enter twice.

#![expect(unsafe_code, reason = "an allocator that counts can only be written with it")]

use mindeye_config::{DaemonConfig, Moment};
use mindeye_daemon::ingest::{GridRule, Intake, Limits};
use mindeye_daemon::protocol::{MAX_HEADER_BYTES, Message, Reason, parse};
use mindeye_tests::phantom_run::PhantomRun;
use mindeye_tests::sender::header;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::OnceLock;

/// Bytes that judging a message may hold at once beyond the message's own length.
const CONSTANT: usize = 6 * MAX_HEADER_BYTES;

thread_local! {
    /// Bytes that this thread holds more than when it began to count, and the most there were.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, with this thread's bytes counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    // While a thread ends its cells are gone; nobody measures it then.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

// SAFETY: every call goes to the system's allocator with the arguments that came, and counting allocates nothing: the
// cells are constant-initialised and have no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: `at` came from `alloc` above with this `layout`, as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both blocks exist while the contents move.
        count(size as isize);
        // SAFETY: as for `dealloc`.
        let moved = unsafe { System.realloc(at, layout, size) };
        count(-(layout.size() as isize));
        moved
    }
}

/// The most bytes that `work` held at once on this thread, beyond what was held before.
fn most_held(work: impl FnOnce()) -> usize {
    let before = HELD.get();
    MOST.set(before);
    work();
    MOST.get().saturating_sub(before) as usize
}

/// What a sender would send that knows the protocol, message by message.
fn run() -> &'static PhantomRun {
    static RUN: OnceLock<PhantomRun> = OnceLock::new();
    RUN.get_or_init(|| PhantomRun::new("run-1", 1, 1))
}

/// A door in a run, with a volume behind it.
fn door() -> Intake {
    let limits = Limits::new(&DaemonConfig::default(), masks_grid());
    let mut intake = Intake::new(limits);
    let valid = [vec![bytes(&run().start())], vec![bytes(&run().volume(0)), run().volumes[0].clone()]];
    valid.iter().for_each(|frames| judge(&mut intake, frames).expect("a valid message"));
    intake
}

fn bytes(header: &Value) -> Vec<u8> {
    header.to_string().into_bytes()
}

/// What the router does with the frames of a message before anything is saved.
fn judge(intake: &mut Intake, frames: &[Vec<u8>]) -> Result<(), Reason> {
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let judged = parse(&frames).and_then(|message| match message {
        Message::RunStart(start) => intake.run_start(&start, Moment(1)).map(drop),
        Message::Volume(header, voxels) => intake.volume(&header, voxels, Moment(1)).map(drop),
        Message::Event(event) => intake.event(&event, Moment(1)).map(drop),
        Message::RunEnd(end) => intake.run_end(&end).map(drop),
    });
    judged.map_err(|refusal| refusal.reason)
}

/// Judges the message and holds it against the promise; returns the verdict.
fn judge_within_bounds(intake: &mut Intake, frames: &[Vec<u8>]) -> Result<(), Reason> {
    let length: usize = frames.iter().map(Vec::len).sum();
    let mut verdict = Ok(());
    let held = most_held(|| verdict = judge(intake, frames));
    assert!(held <= length + CONSTANT, "{held} bytes were held for a message of {length}");
    verdict
}

#[test]
fn the_counter_sees_what_is_allocated() {
    let held = most_held(|| drop(std::hint::black_box(vec![1_u8; 1_000_000])));
    assert!((1_000_000..1_001_000).contains(&held), "{held}");
}

/// A header as long as is read, of `head`, as many `item` as fit, and `tail`.
fn stuffed(head: &str, item: &str, tail: &str) -> Vec<u8> {
    let count = (MAX_HEADER_BYTES - head.len() - tail.len()) / item.len();
    let mut header = String::with_capacity(MAX_HEADER_BYTES);
    header.push_str(head);
    (0..count).for_each(|_| header.push_str(item));
    header.push_str(tail);
    header.into_bytes()
}

#[test]
fn headers_made_to_swell_stay_within_the_constant() {
    let volume = r#"{"protocol":"mindeye-volume/1","type":"volume","run":"run-1""#;
    let start = run().start().to_string();
    let start = start.strip_suffix('}').unwrap();
    let other_start = start.replace("run-1", "run-2");
    let bracket = "[".repeat(MAX_HEADER_BYTES);
    let cases: [(&str, Vec<u8>); 9] = [
        ("numbers where the run's name should be", stuffed(&format!("{volume},\"index\":["), "0,", "0]}")),
        ("objects there", stuffed(&format!("{volume},\"index\":["), "{},", "{}]}")),
        ("a long name", stuffed(&format!("{volume},\"index\":\""), "x", "\"}")),
        ("a long type", stuffed(r#"{"protocol":"mindeye-volume/1","type":""#, "x", "\"}")),
        ("a long protocol", stuffed(r#"{"protocol":""#, "\\u0041", "\"}")),
        ("many slices", stuffed(&format!("{other_start},\"slice_timing_s\":["), "0,", "0]}")),
        (
            "many trials",
            stuffed(
                &format!("{start},\"events\":["),
                r#"{"onset_s":0,"duration_s":0,"trial":0},"#,
                r#"{"onset_s":0,"duration_s":0,"trial":1}]}"#,
            ),
        ),
        ("unknown fields", stuffed(volume, ",\"a\":{\"b\":[]}", "}")),
        ("brackets", bracket.into_bytes()),
    ];
    for (about, header) in cases {
        assert!(header.len() <= MAX_HEADER_BYTES, "{about}");
        let frames = [header, vec![0; 100]];
        for frames in [&frames[..1], &frames] {
            assert!(judge_within_bounds(&mut door(), frames).is_err(), "{about}");
        }
    }
}

#[test]
fn ten_thousand_trials_open_a_run_within_the_constant() {
    let mut start = run().start();
    start["run"] = json!("run-2");
    let event = |trial| json!({"onset_s": f64::from(trial), "duration_s": 1, "trial": trial, "image": "a"});
    start["events"] = (0..10_000).map(event).collect();
    let mut intake = Intake::new(Limits::new(&DaemonConfig::default(), masks_grid()));
    assert_eq!(judge_within_bounds(&mut intake, &[bytes(&start)]), Ok(()));
}

#[test]
fn voxels_are_not_copied() {
    let mut intake = door();
    let frames = [bytes(&run().volume(1)), run().volumes[1].clone()];
    let held = most_held(|| judge(&mut intake, &frames).expect("a valid volume"));
    assert!(held < 16_384, "{held} bytes for a volume of {}", frames[1].len());
}

/// A valid message of each kind.
fn valid_messages() -> Vec<Vec<Vec<u8>>> {
    let run = run();
    vec![
        vec![bytes(&run.start())],
        vec![bytes(&run.start_with_events())],
        vec![bytes(&run.volume(1)), run.volumes[1][..1000].to_vec()],
        vec![bytes(&run.event(0))],
        vec![bytes(&run.end(1))],
        vec![bytes(&header("hello", json!({"run": "run-1"})))],
    ]
}

/// What may happen to a byte of a message on its way.
#[derive(Debug, Clone)]
enum Harm {
    Change(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    CutOff(prop::sample::Index),
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Harm::Change(at, byte)),
        at().prop_map(Harm::Remove),
        (at(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Harm::Insert(at, bytes)),
        // Numbers are where a header lies about its body.
        (at(), "[-0-9.eE]{1,24}").prop_map(|(at, digits)| Harm::Insert(at, digits.into_bytes())),
        at().prop_map(Harm::CutOff),
    ]
}

fn apply(frame: &mut Vec<u8>, harm: &Harm) {
    let length = frame.len();
    if length == 0 {
        return;
    }
    match harm {
        Harm::Change(at, byte) => frame[at.index(length)] = *byte,
        Harm::Remove(at) => drop(frame.remove(at.index(length))),
        Harm::Insert(at, bytes) => {
            let at = at.index(length);
            drop(frame.splice(at..at, bytes.iter().copied()));
        }
        Harm::CutOff(at) => frame.truncate(at.index(length)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_frames_are_judged_within_bounds(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..6)) {
        let _ = judge_within_bounds(&mut door(), &frames);
    }

    #[test]
    fn any_text_is_judged_within_bounds(header in "\\PC{0,400}", body in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = judge_within_bounds(&mut door(), &[header.into_bytes(), body]);
    }

    #[test]
    fn damaged_messages_are_judged_within_bounds(which in 0_usize..6, harms in prop::collection::vec((any::<prop::sample::Index>(), harm()), 1..5)) {
        let mut frames = valid_messages().swap_remove(which);
        for (frame, harm) in &harms {
            let frame = frame.index(frames.len());
            apply(&mut frames[frame], harm);
        }
        let _ = judge_within_bounds(&mut door(), &frames);
    }
}

fn masks_grid() -> GridRule {
    GridRule::Masks { grid: mindeye_preprocess::phantom::grid(), tolerance_mm: 1.0 }
}
