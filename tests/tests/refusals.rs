//! Whatever is wrong with a message, the sender is told the documented reason, it is counted, and nothing else changes.

use mindeye_tests::eventually;
use mindeye_tests::http::refusals;
use mindeye_tests::instrument::{Instrument, Setup, UNHURRIED};
use mindeye_tests::phantom_run::{PhantomRun, SESSION};
use mindeye_tests::sender::{Sender, header};
use serde_json::{Value, json};

/// Bytes of a 64x64x36 int16 volume.
const VOLUME: usize = 64 * 64 * 36 * 2;

/// A message that must be refused.
struct Case {
    about: &'static str,
    frames: Vec<Vec<u8>>,
    reason: &'static str,
    /// `run` and `index` of the answer.
    address: (Value, Value),
}

fn case(about: &'static str, header: &Value, body: Option<Vec<u8>>, reason: &'static str) -> Case {
    let address = (header["run"].clone(), header["index"].clone());
    let frames = [Some(header.to_string().into_bytes()), body].into_iter().flatten().collect();
    Case { about, frames, reason, address }
}

fn raw(about: &'static str, frames: &[&[u8]], reason: &'static str) -> Case {
    Case {
        about,
        frames: frames.iter().map(|frame| frame.to_vec()).collect(),
        reason,
        address: (Value::Null, Value::Null),
    }
}

/// The same JSON with one field set.
fn with(value: &Value, field: &str, to: Value) -> Value {
    let mut value = value.clone();
    value[field] = to;
    value
}

fn without(value: &Value, field: &str) -> Value {
    let mut value = value.clone();
    value.as_object_mut().expect("a header").remove(field);
    value
}

/// Sends each case and checks answer and count; after each, `still_works` must hold.
fn refuse_all(daemon: &mut Instrument, sender: &Sender, cases: Vec<Case>, mut still_works: impl FnMut(&str)) {
    for Case { about, frames, reason, address: (run, index) } in cases {
        let mut expected = refusals(&daemon.http);
        *expected.entry(reason.into()).or_default() += 1;
        sender.send_frames(&frames);
        let answer = sender.answer();
        assert_eq!(answer["type"], "refused", "{about}: {answer}");
        assert_eq!(answer["reason"], reason, "{about}: {answer}");
        assert_eq!((&answer["run"], &answer["index"]), (&run, &index), "{about}: {answer}");
        assert!(!answer["message"].as_str().expect(about).is_empty(), "{about} has no explanation");
        assert_eq!(refusals(&daemon.http), expected, "{about}: counted once, by reason");
        still_works(about);
        assert!(daemon.program.is_alive(), "{about}");
    }
}

fn a_run(run: &str) -> PhantomRun {
    PhantomRun::new(run, 1, 1)
}

#[test]
fn a_run_that_cannot_be_decoded_does_not_open_and_the_next_one_does() {
    let room = tempfile::tempdir().unwrap();
    let mut daemon = Setup::new(room.path()).start();
    let sender = Sender::connect(&daemon.volumes);
    let run = a_run("run-1");
    let start = run.start();
    let affine = |place: usize, to: f64| {
        with(&start, "affine", {
            let mut affine = start["affine"].clone();
            affine[place / 4][place % 4] = json!(to);
            affine
        })
    };
    let event = |trial: u32, onset_s: f64| json!({"onset_s": onset_s, "duration_s": 3.0, "trial": trial});
    let cases = vec![
        case("a volume of a run that never started", &run.volume(0), Some(vec![0; VOLUME]), "unknown_run"),
        case("an event of such a run", &run.event(0), None, "unknown_run"),
        case("the end of such a run", &run.end(0), None, "unknown_run"),
        case("fewer slices than the mask", &with(&start, "shape", json!([64, 64, 35])), None, "geometry"),
        case("sides in another order", &with(&start, "shape", json!([36, 64, 64])), None, "geometry"),
        case("a head 3 mm to the right", &affine(3, start["affine"][0][3].as_f64().unwrap() + 3.0), None, "geometry"),
        case("left and right flipped", &affine(0, -3.0), None, "geometry"),
        case("another voxel size", &affine(5, 3.5), None, "geometry"),
        case(
            "1024³ voxels of 8 bytes",
            &with(&with(&start, "shape", json!([1024, 1024, 1024])), "dtype", json!("float64")),
            None,
            "too_large",
        ),
        case("a side of no voxels", &with(&start, "shape", json!([64, 64, 0])), None, "malformed"),
        case("two sides", &with(&start, "shape", json!([64, 64])), None, "malformed"),
        case("a negative side", &with(&start, "shape", json!([64, 64, -36])), None, "malformed"),
        case(
            "an affine of three rows",
            &with(&start, "affine", json!([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])),
            None,
            "malformed",
        ),
        case("an affine that is a projection", &affine(12, 1.0), None, "malformed"),
        case("a TR of 0", &with(&start, "tr_s", json!(0.0)), None, "malformed"),
        case("a TR of an hour", &with(&start, "tr_s", json!(3600.0)), None, "malformed"),
        case("a TR in words", &with(&start, "tr_s", json!("1.5")), None, "malformed"),
        case("no TR", &without(&start, "tr_s"), None, "malformed"),
        case("a voxel type that is none", &with(&start, "dtype", json!("int9")), None, "malformed"),
        case("a speed of 0", &with(&start, "speed", json!(0.0)), None, "malformed"),
        case("a trial twice", &with(&start, "events", json!([event(0, 1.0), event(0, 9.0)])), None, "malformed"),
        case("an onset before the session", &with(&start, "events", json!([event(0, -1e9)])), None, "malformed"),
        case("a session that climbs out of the journal", &with(&start, "session", json!("..")), None, "malformed"),
        case("no session", &without(&start, "session"), None, "malformed"),
        case("a second frame", &start, Some(vec![0; 8]), "malformed"),
    ];
    refuse_all(&mut daemon, &sender, cases, |_| {});
    let name = json!("a/b");
    let bad_name = Case {
        address: (name.clone(), Value::Null),
        ..case("a name with a slash", &with(&start, "run", name), None, "malformed")
    };
    refuse_all(&mut daemon, &sender, vec![bad_name], |_| {});
    let ready = sender.accepted(&start, None);
    assert_eq!(ready["next_index"], 0, "{ready}");
    let left_behind: Vec<_> = std::fs::read_dir(room.path().join("journal")).unwrap().collect();
    assert_eq!(left_behind.len(), 1, "only the run that opened has a folder: {left_behind:?}");
}

#[test]
fn a_wrong_message_inside_a_run_changes_nothing_and_the_next_volume_is_accepted() {
    let room = tempfile::tempdir().unwrap();
    let mut daemon = Setup::new(room.path()).start();
    let sender = Sender::connect(&daemon.volumes);
    let run = a_run("run-1");
    sender.accepted(&run.start_with_events(), None);
    let voxels = vec![7; VOLUME];
    // Volume 10 is left out for good; the run is then 18 s old.
    for index in (0..10).chain([11]) {
        sender.accepted(&run.volume(index), Some(&voxels));
    }
    let mut next = 12;
    let volume = run.volume(next);
    let filled = || Some(voxels.clone());
    let text = |value: &Value| value.to_string().into_bytes();
    let cases = vec![
        // First, while 12 is still the next index: 17 are left out.
        case("a jump of 17", &run.volume(next + 17), filled(), "index"),
        raw("an empty frame", &[b""], "malformed"),
        raw("no JSON", &[b"volume 12"], "malformed"),
        raw("bytes that are no text", &[&[0xff, 0xfe, 0x00]], "malformed"),
        raw("a JSON list", &[b"[]"], "malformed"),
        raw("nested too deeply", &[&[b'['; 10_000]], "malformed"),
        raw("a header of 1 MiB and a byte", &[&vec![b' '; (1 << 20) + 1]], "too_large"),
        case("no protocol", &without(&volume, "protocol"), filled(), "protocol"),
        case("another version", &with(&volume, "protocol", json!("mindeye-volume/2")), filled(), "protocol"),
        case("no type", &without(&volume, "type"), filled(), "malformed"),
        case("a type that is none", &with(&volume, "type", json!("frame")), filled(), "malformed"),
        case("an answer sent to us", &with(&volume, "type", json!("accepted")), None, "malformed"),
        case("a volume without voxels", &volume, None, "malformed"),
        Case {
            frames: vec![text(&volume), voxels.clone(), voxels.clone()],
            ..case("voxels in two frames", &volume, None, "malformed")
        },
        case("no shape", &without(&volume, "shape"), filled(), "malformed"),
        Case {
            address: (json!("run-1"), Value::Null),
            ..case("a negative index", &with(&volume, "index", json!(-1)), filled(), "malformed")
        },
        Case {
            address: (json!("run-1"), Value::Null),
            ..case("half an index", &with(&volume, "index", json!(12.5)), filled(), "malformed")
        },
        case("a run that never started", &with(&volume, "run", json!("run-2")), filled(), "unknown_run"),
        case("another run while this one is under way", &a_run("run-2").start(), None, "busy"),
        case("the same run with another TR", &with(&run.start_with_events(), "tr_s", json!(2.0)), None, "conflict"),
        case("the same run with other trials", &run.start(), None, "conflict"),
        case("another shape", &with(&volume, "shape", json!([64, 36, 64])), filled(), "geometry"),
        case("another voxel type", &with(&volume, "dtype", json!("uint16")), filled(), "dtype"),
        case("one byte too few", &volume, Some(vec![0; VOLUME - 1]), "size"),
        case("one byte too many", &volume, Some(vec![0; VOLUME + 1]), "size"),
        case("no bytes", &volume, Some(Vec::new()), "size"),
        case("the largest index", &run.volume(u32::MAX as usize), filled(), "index"),
        case("a gap filled late", &run.volume(10), filled(), "index"),
        case("other voxels under a known index", &run.volume(3), Some(vec![8; VOLUME]), "conflict"),
        case(
            "an event 16 s late",
            &with(&with(&run.event(0), "trial", json!(5)), "onset_s", json!(2.0)),
            None,
            "late_event",
        ),
        case("a correction 9 s late", &with(&run.event(0), "duration_s", json!(1.0)), None, "late_event"),
        case("an event without end", &with(&run.event(0), "duration_s", json!(-1.0)), None, "malformed"),
        case("an event without onset", &without(&run.event(0), "onset_s"), None, "malformed"),
        case("trial -1", &with(&run.event(0), "trial", json!(-1)), None, "malformed"),
        case("an event with voxels", &run.event(0), filled(), "malformed"),
        case("an end of no length", &without(&run.end(0), "volumes"), None, "malformed"),
    ];
    refuse_all(&mut daemon, &sender, cases, |about| {
        let answer = sender.ask(&run.volume(next), Some(&voxels));
        let accepted = header("accepted", json!({"run": "run-1", "index": next}));
        assert_eq!(answer, accepted, "the volume after: {about}");
        next += 1;
    });
    sender.accepted(&run.end(next), None);
    let cases = vec![
        case("a volume after the end", &run.volume(next), filled(), "run_closed"),
        case("an event after the end", &run.event(0), None, "run_closed"),
        case("the start of a run that has ended", &run.start_with_events(), None, "run_closed"),
    ];
    refuse_all(&mut daemon, &sender, cases, |_| {});
    sender.accepted(&a_run("run-2").start(), None);
}

#[test]
fn voxels_that_are_no_numbers_are_refused_by_place_and_the_index_stays_free() {
    let room = tempfile::tempdir().unwrap();
    let mut daemon = Setup::new(room.path()).start();
    let sender = Sender::connect(&daemon.volumes);
    for (run, dtype, bad) in [
        ("f32-nan", "float32", f32::NAN.to_le_bytes().to_vec()),
        ("f32-infinite", "float32", f32::NEG_INFINITY.to_le_bytes().to_vec()),
        ("f64-nan", "float64", f64::NAN.to_le_bytes().to_vec()),
    ] {
        let run = a_run(run);
        sender.accepted(&with(&run.start(), "dtype", json!(dtype)), None);
        let volume = with(&run.volume(0), "dtype", json!(dtype));
        let good = vec![0; 64 * 64 * 36 * bad.len()];
        let mut spoilt = good.clone();
        spoilt[1000 * bad.len()..][..bad.len()].copy_from_slice(&bad);
        refuse_all(&mut daemon, &sender, vec![case("a voxel", &volume, Some(spoilt), "non_finite")], |_| {});
        sender.accepted(&volume, Some(&good));
        sender.accepted(&run.end(1), None);
    }
}

#[test]
fn a_stopped_instrument_opens_no_run_lets_the_open_one_go_on_and_is_armed_again() {
    let room = tempfile::tempdir().unwrap();
    let mut daemon = Setup::new(room.path()).start();
    let sender = Sender::connect(&daemon.volumes);
    let (open, new) = (a_run("open"), a_run("new"));
    let voxels = vec![7; VOLUME];
    sender.accepted(&open.start(), None);

    assert_eq!(daemon.command("stop", "not the token"), 403);
    assert_eq!(daemon.command("launch", &daemon.token), 501);
    assert_eq!(daemon.command("stop", &daemon.token), 202);
    // The command takes its way beside the messages: asking until it has arrived changes nothing.
    eventually("the command", || (sender.ask(&new.start(), None)["reason"] == "not_ready").then_some(()));
    refuse_all(&mut daemon, &sender, vec![case("a new run", &new.start(), None, "not_ready")], |_| {});
    sender.accepted(&open.volume(0), Some(&voxels));
    sender.accepted(&open.end(1), None);

    assert_eq!(daemon.command("arm", &daemon.token), 202);
    eventually("the command", || (sender.ask(&new.start(), None)["type"] == "ready").then_some(()));
    sender.accepted(&new.volume(0), Some(&voxels));
}

#[test]
fn a_silent_run_keeps_others_out_until_it_has_been_idle() {
    let room = tempfile::tempdir().unwrap();
    // Far longer than two messages sent back to back are apart, far shorter than a test's patience.
    let config = format!("{UNHURRIED}[volumes]\nidle_run_s = 2.0\n");
    let daemon = Setup { config, ..Setup::new(room.path()) }.start();
    let sender = Sender::connect(&daemon.volumes);
    let (silent, other) = (a_run("silent"), a_run("other"));
    sender.send(&silent.start(), None);
    sender.send(&other.start(), None);
    // `ready` waits for the journal, a refusal does not: they may come in either order.
    let mut answers = [sender.answer(), sender.answer()].map(|answer| answer["type"].as_str().unwrap().to_owned());
    answers.sort();
    assert_eq!(answers, ["ready", "refused"]);
    eventually("the silent run gives way", || (sender.ask(&other.start(), None)["type"] == "ready").then_some(()));
    let answer = sender.ask(&silent.volume(0), Some(&vec![7; VOLUME]));
    assert_eq!(answer["reason"], "unknown_run", "{answer}");
}

#[test]
fn what_cannot_be_written_is_refused_and_wanted_again() {
    let room = tempfile::tempdir().unwrap();
    let mut daemon = Setup::new(room.path()).start();
    let sender = Sender::connect(&daemon.volumes);
    let run = a_run("run-1");
    let session = room.path().join("journal").join(SESSION);
    std::fs::create_dir_all(&session).unwrap();
    std::fs::write(session.join("run-1"), "a file where the run's folder should be").unwrap();
    refuse_all(&mut daemon, &sender, vec![case("a full disk", &run.start(), None, "storage")], |_| {});
    std::fs::remove_file(session.join("run-1")).unwrap();
    sender.accepted(&run.start(), None);
    sender.accepted(&run.volume(0), Some(&vec![7; VOLUME]));
}

#[test]
fn a_frame_over_the_limit_costs_its_sender_the_connection_and_nobody_else_anything() {
    let room = tempfile::tempdir().unwrap();
    let config = format!("{UNHURRIED}[volumes]\nmax_volume_mib = 1\n");
    let mut daemon = Setup { config, ..Setup::new(room.path()) }.start();
    let (scanner, stranger) = (Sender::connect(&daemon.volumes), Sender::connect(&daemon.volumes));
    let run = a_run("run-1");
    scanner.accepted(&run.start(), None);
    stranger.send(&run.volume(0), Some(&vec![0; (1 << 20) + 2]));
    // It reconnects by itself; what it sends then is judged as ever.
    eventually("a stranger that was heard again", || {
        stranger.send_frames(&[b"hello again".to_vec()]);
        (refusals(&daemon.http).get("malformed") > Some(&0)).then_some(())
    });
    assert!(daemon.program.is_alive());
    scanner.accepted(&run.volume(0), Some(&vec![7; VOLUME]));
}
