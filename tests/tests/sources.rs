//! One suite for every way in: the whole run arrives as it was sent, in order, once, and nothing else does.

use mindeye_daemon::journal::RecordedRun;
use mindeye_preprocess::phantom::{Phantom, PhantomConfig};
use mindeye_preprocess::{VoxelType, write_volume};
use mindeye_tests::instrument::{Instrument, Setup, UNHURRIED};
use mindeye_tests::listener::Listener;
use mindeye_tests::sources::{Way, ended_run, export, recorded, runs, volumes, ways};
use mindeye_tests::{eventually, http};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// Trials at 9 and 15 s, and 12 s more, at a TR of 1.5 s.
const VOLUMES: usize = 18;
/// A run ends after its last volume, where the protocol has no word for the end.
const EXPECTED: &str = "expected_volumes = 18\n";

fn phantom() -> Phantom {
    Phantom::new(PhantomConfig { trials: 2, seed: 1, ..PhantomConfig::default() })
}

/// Values of voxels, whatever their type.
fn values(run: &RecordedRun, voxels: &[u8]) -> Vec<f64> {
    let width = run.start.dtype.bytes();
    let value = |bytes: &[u8]| match bytes {
        [a, b] => f64::from(i16::from_le_bytes([*a, *b])),
        _ => f64::from_le_bytes(bytes.try_into().unwrap()),
    };
    voxels.chunks_exact(width).map(value).collect()
}

fn assert_is_the_phantom(run: &RecordedRun, way: &str) {
    let mut phantom = phantom();
    assert!(run.start.grid().corner_distance_mm(phantom.grid()) < 1e-3, "{}: {:?}", way, run.start.affine);
    assert_eq!(run.start.tr_s, 1.5, "{}", way);
    let volumes = volumes(run);
    let indexes: Vec<usize> = volumes.iter().map(|(index, ..)| *index as usize).collect();
    assert_eq!(indexes, (0..VOLUMES).collect::<Vec<_>>(), "{}: every volume once, in order", way);
    for (index, _, voxels) in &volumes {
        let sent: Vec<f64> = phantom.volume(*index).iter().map(|voxel| f64::from(*voxel)).collect();
        assert!(values(run, voxels) == sent, "{}: volume {index} has other voxels", way);
    }
}

/// Files that are no volumes, and connections that break off, beside the run.
fn disturb(way: &Way, room: &Path, setup: &Setup) {
    let export = export(room);
    match way.kind {
        "dicom-folder" => {
            std::fs::write(export.join("notes.txt"), "not DICOM at all, however long one reads on. ".repeat(9))
                .unwrap();
            std::fs::write(export.join("empty.dcm"), "").unwrap();
        }
        "afni" => {
            let address = |key: &str| {
                setup.config.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim_matches('"').to_owned()
            };
            let say = |address: String, bytes: &[u8]| TcpStream::connect(address).unwrap().write_all(bytes).unwrap();
            say(address("afni_data = "), b"no word on the control channel\0");
            say(address("afni_control = "), b"shm:memory:1000\0");
        }
        _ => {}
    }
}

fn ignored(daemon: &Instrument, reason: &str) -> bool {
    let metrics = http::get(&daemon.http, "/metrics").1;
    metrics.contains(&format!("mindeye_source_ignored_total{{reason=\"{reason}\"}}"))
}

#[test]
fn every_source_brings_the_whole_run_and_nothing_else() {
    for place in 0..4 {
        let room = tempfile::tempdir().unwrap();
        let way = &ways(room.path())[place];
        let setup = way.setup(room.path(), EXPECTED);
        let daemon = setup.start();
        disturb(way, room.path(), &setup);
        way.play(&["--series", "3"]);
        assert_is_the_phantom(&ended_run(&setup.journal(), 1), way.emit);
        // The scanner is started again: the next series is the next run.
        way.play(&["--series", "4"]);
        assert_is_the_phantom(&ended_run(&setup.journal(), 2), way.emit);
        match way.kind {
            "dicom-folder" => eventually("both files to be explained", || {
                (ignored(&daemon, "foreign") && ignored(&daemon, "truncated")).then_some(())
            }),
            "afni" => assert!(ignored(&daemon, "malformed") && ignored(&daemon, "foreign")),
            _ => {}
        }
        daemon.stop();
    }
}

#[test]
fn any_bytes_through_real_sockets_leave_the_daemon_at_work() {
    let (pyneal, afni) = (Strange::new("pyneal"), Strange::new("afni"));
    let cases = (prop::collection::vec(any::<u8>(), 0..3000), 0usize..4);
    let mut runner = TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) });
    let tried = runner.run(&cases, |(bytes, valid)| {
        // A valid beginning brings the bytes deeper.
        let geometry =
            &b"ACQUISITION_TYPE 3D+t\nXYMATRIX 8 8 8\nXYFOV 9 9 9\nZDELTA 1\nXYZAXES R-L A-P I-S\nXYZFIRST 1 1 1\0"[..];
        let begin = [&b""[..], b"ACQUISITION_TYPE 3D+t\n", geometry, &[0]][valid];
        afni.say("afni_control = ", b"tcp:localhost:7953\0");
        std::thread::sleep(Duration::from_millis(30));
        afni.say("afni_data = ", &[begin, &bytes].concat());
        let socket = zmq::Context::new().socket(zmq::PAIR).unwrap();
        socket.set_linger(100).unwrap();
        socket.connect(&pyneal.address("pyneal_bind = ")).unwrap();
        socket.send_multipart([bytes.as_slice(), begin], 0).unwrap();
        for stranger in [&pyneal, &afni] {
            prop_assert_eq!(http::get(&stranger.daemon.http, "/healthz").0, 200);
        }
        Ok(())
    });
    tried.unwrap();
    for stranger in [pyneal, afni] {
        eventually("nonsense to be counted", || ignored(&stranger.daemon, "malformed").then_some(()));
        stranger.daemon.stop();
    }
}

/// A daemon that is talked to by strangers.
struct Strange {
    daemon: Instrument,
    config: String,
    _room: tempfile::TempDir,
}

impl Strange {
    fn new(kind: &str) -> Self {
        let room = tempfile::tempdir().unwrap();
        let way = ways(room.path()).into_iter().find(|way| way.kind == kind).unwrap();
        let setup = way.setup(room.path(), "");
        Self { daemon: setup.start(), config: setup.config, _room: room }
    }

    fn address(&self, key: &str) -> String {
        self.config.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim_matches('"').to_owned()
    }

    fn say(&self, key: &str, bytes: &[u8]) {
        // The receiver may hang up in the middle of nonsense.
        let _ = TcpStream::connect(self.address(key)).unwrap().write_all(bytes);
    }
}

#[test]
fn trials_of_an_events_file_are_decoded_from_dicom_files() {
    let room = tempfile::tempdir().unwrap();
    let way = &ways(room.path())[0];
    let events = room.path().join("events.tsv");
    std::fs::write(&events, "onset\tduration\n9\t3\n15\t3\n").unwrap();
    let daemon = way.setup(room.path(), &format!("{EXPECTED}events = {events:?}\n")).start();
    let mut listener = Listener::connect(&daemon.results);
    way.play(&[]);
    for trial in 0..2 {
        let answer = listener.final_of(trial).json;
        assert_eq!((&answer["effort"], &answer["clock"]), (&"full".into(), &"acquisition".into()), "trial {trial}");
    }
}

#[test]
fn times_come_from_the_header_where_it_has_them() {
    for (place, has_stamps) in [(0, true), (1, true), (2, false), (3, false)] {
        let room = tempfile::tempdir().unwrap();
        let way = &ways(room.path())[place];
        let setup = way.setup(room.path(), "expected_volumes = 4\n");
        let _daemon = setup.start();
        way.play(&["--volumes", "4"]);
        let run = ended_run(&setup.journal(), 1);
        for (index, acquired_s, _) in volumes(&run) {
            // 1e-6 s: stamps have microseconds.
            let is_right = acquired_s.map(|stamp| (stamp - f64::from(index) * 1.5).abs() < 1e-6);
            assert_eq!(is_right, has_stamps.then_some(true), "{}: {acquired_s:?}", way.emit);
        }
    }
}

#[test]
fn a_burst_of_dicom_files_in_any_order_loses_none() {
    let room = tempfile::tempdir().unwrap();
    let way = &ways(room.path())[0];
    let setup = way.setup(room.path(), "expected_volumes = 8\n");
    // Written elsewhere first, then moved in at once, newest first, one of them twice.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut scanner = mindeye_tests::programs::daemon("scanner");
    scanner.args(["--emit", "dicom-mosaic", "--phantom", "--trials", "2", "--speed", "1000", "--volumes", "8"]);
    assert_eq!(mindeye_tests::programs::run(scanner.arg("--connect").arg(elsewhere.path())).status, Some(0));
    let folder = std::fs::read_dir(elsewhere.path()).unwrap().next().unwrap().unwrap().path();
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let daemon = setup.start();
    let export = export(room.path());
    std::fs::copy(&files[2], export.join("again.dcm")).unwrap();
    for file in files.iter().rev() {
        std::fs::copy(file, export.join(file.file_name().unwrap())).unwrap();
    }
    let run = ended_run(&setup.journal(), 1);
    assert_eq!(volumes(&run).iter().map(|(index, ..)| *index).collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    assert!(ignored(&daemon, "duplicate"));
}

#[test]
fn nifti_files_dropped_into_a_folder_are_a_run() {
    let room = tempfile::tempdir().unwrap();
    let export = export(room.path());
    let config = format!("{UNHURRIED}[source]\nkind = \"nifti-folder\"\nfolder = {export:?}\ntr_s = 1.5\n{EXPECTED}");
    let setup = Setup { config, ..Setup::new(room.path()) };
    let daemon = setup.start();
    let mut phantom = phantom();
    let grid = phantom.grid().clone();
    for index in 0..VOLUMES as u32 {
        let voxels: Vec<u8> = phantom.volume(index).iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
        let path = export.join(format!("run-1_{:04}.nii", index + 1));
        write_volume(&path, &grid, VoxelType::Int16, &voxels).unwrap();
    }
    std::fs::write(export.join("run-1_0099.nii"), "no header").unwrap();
    std::fs::write(export.join("readme.txt"), "no volume").unwrap();
    assert_is_the_phantom(&ended_run(&setup.journal(), 1), "nifti");
    eventually("both files to be explained", || {
        (ignored(&daemon, "foreign") && ignored(&daemon, "truncated")).then_some(())
    });
}

#[test]
fn a_daemon_that_is_killed_takes_up_the_series_from_the_folder() {
    let room = tempfile::tempdir().unwrap();
    let way = &ways(room.path())[1];
    let setup = way.setup(room.path(), EXPECTED);
    let daemon = setup.start();
    let mut listener = Listener::connect(&daemon.results);
    // 18 volumes in 6.75 s: the kill comes in the middle, and files go on coming while nobody watches.
    let scanner = mindeye_tests::programs::Program::start(&mut way.scanner("4"));
    let _ = listener.until("volume 4", |heard| heard.topic == "volume" && heard.json["index"] == 4);
    daemon.program.kill();
    let _daemon = setup.start();
    assert_is_the_phantom(&ended_run(&setup.journal(), 1), way.emit);
    assert_eq!(runs(&setup.journal()).len(), 1, "it is the same run");
    assert_eq!(scanner.finish().0, Some(0));
}

/// Every byte that came out of a session, with a word on where.
fn everything_written(room: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![room.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found.push((format!("the name of {path:?}"), path.as_os_str().as_encoded_bytes().to_vec()));
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((format!("{path:?}"), std::fs::read(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn a_patients_name_in_every_header_and_path_comes_out_nowhere() {
    let room = tempfile::tempdir().unwrap();
    for emit in [0, 1] {
        let way = &ways(room.path())[emit];
        let setup = way.setup(room.path(), "expected_volumes = 12\nprotocol = \"DEMO\"\n");
        let results = room.path().join(format!("results-{emit}.jsonl"));
        let mut setup = setup;
        setup.flags = vec!["--results-file".into(), results.into()];
        let daemon = setup.start();
        let mut listener = Listener::connect(&daemon.results);
        way.play(&["--volumes", "12", "--series", "5"]);
        let run = ended_run(&setup.journal(), 1 + emit);
        assert_eq!(volumes(&run).len(), 12);
        let exported = everything_written(&export(room.path()));
        assert!(
            exported.iter().any(|(_, bytes)| bytes.windows(7).any(|word| word == b"PLANTED")),
            "nothing was planted"
        );
        // Files that are refused have names and headers as well.
        let files = export(room.path()).join("PLANTED_NAME.dcm");
        std::fs::write(&files, "PLANTED").unwrap();
        eventually("the file to be given up", || ignored(&daemon, "truncated").then_some(()));
        let _ = listener.until("a status", |heard| heard.topic == "status");
        let said: Vec<String> = listener.heard.iter().map(|heard| heard.json.to_string()).collect();
        let pages = ["/metrics", "/api/v1/latest", "/"].map(|page| http::get(&daemon.http, page).1);
        assert!(!said.iter().chain(&pages).any(|text| text.contains("PLANTED")));
        let (status, lines) = stop_and_listen(daemon);
        assert_eq!(status, Some(0));
        assert!(!lines.is_empty() && !lines.iter().any(|line| line.contains("PLANTED")), "{lines:#?}");
        std::fs::remove_dir_all(export(room.path())).unwrap();
    }
    for (place, bytes) in everything_written(room.path()) {
        let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
        assert!(!has(b"PLANTED") && !has(b"19700101") && !has(b"20260101"), "{place}");
    }
    assert!(recorded(&runs(&room.path().join("journal"))[0]).has_ended());
}

fn stop_and_listen(daemon: Instrument) -> (Option<i32>, Vec<String>) {
    let Instrument { program, .. } = daemon;
    program.ask_to_end();
    program.finish()
}
