//! Measures how long a DICOM file that is complete takes to become a volume in the ring. It asserts nothing about time.
//!
//! `MINDEYE_BENCH_OUT=FILE cargo test -p mindeye-tests --test ingest_latency -- --ignored`

use mindeye_daemon::scanner::emit::{DicomEmitter, DicomKind, EmittedRun};
use mindeye_daemon::sources::dicom::read_dicom;
use mindeye_preprocess::VoxelType;
use mindeye_preprocess::phantom::{Phantom, PhantomConfig};
use mindeye_tests::listener::Listener;
use mindeye_tests::sources::{export, ways};
use serde_json::{Value, json};
use std::time::Duration;

const VOLUMES: u32 = 300;
/// Between two volumes: no queue builds up, as at any TR.
const PAUSE: Duration = Duration::from_millis(60);

fn statistics(mut ms: Vec<f64>) -> Value {
    ms.sort_by(f64::total_cmp);
    let at = |share: f64| ms[((ms.len() - 1) as f64 * share).round() as usize];
    json!({"p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99), "max_ms": at(1.0), "n": ms.len()})
}

#[test]
#[ignore = "measures, for benches/results"]
fn file_complete_to_volume_in_the_ring() {
    let room = tempfile::tempdir().unwrap();
    let daemon = ways(room.path())[0].setup(room.path(), "").start();
    let mut listener = Listener::connect(&daemon.results);
    let mut phantom = Phantom::new(PhantomConfig { trials: 2, seed: 1, ..PhantomConfig::default() });
    let emitter = DicomEmitter::new(DicomKind::Mosaic, room.path(), 1, 1);
    let run = EmittedRun { grid: phantom.grid().clone(), dtype: VoxelType::Int16, tr_s: 1.5, volumes: VOLUMES };
    let (mut arrived_ms, mut parsed_ms, mut bytes) = (Vec::new(), Vec::new(), 0);
    for index in 0..VOLUMES {
        let voxels: Vec<u8> = phantom.volume(index % 18).iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
        let file = emitter.file(&run, index, &voxels).unwrap();
        bytes = file.len();
        let before = listener.now();
        assert_eq!(read_dicom(&file).unwrap().voxels, voxels);
        parsed_ms.push(listener.now().since(before).as_secs_f64() * 1e3);
        std::fs::write(export(room.path()).join(format!("001_000001_{:06}.dcm", index + 1)), &file).unwrap();
        let complete = listener.now();
        // The daemon publishes a volume when it is in the ring: this is later than that by a message.
        let heard = listener.until("a volume", |heard| heard.topic == "volume" && heard.json["index"] == index);
        arrived_ms.push(heard.at.since(complete).as_secs_f64() * 1e3);
        std::thread::sleep(PAUSE);
    }
    // The first volume opens the run and its journal.
    let report = json!({
        "volume": "64x64x36 int16 mosaic", "file_bytes": bytes,
        "file_complete_to_ring": statistics(arrived_ms.split_off(1)), "first_volume_ms": arrived_ms[0],
        "read_dicom": statistics(parsed_ms),
    });
    let text = serde_json::to_string_pretty(&report).unwrap();
    match std::env::var_os("MINDEYE_BENCH_OUT") {
        Some(path) => std::fs::write(path, text).unwrap(),
        None => mindeye_tests::say(&text),
    }
}
