//! Resident memory of a process, watched from outside.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of a page on Linux x86-64 and arm64 with 4 KiB pages.
const PAGE: u64 = 4096;

/// A thread that samples resident memory.
pub(super) struct MemoryWatch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<f64>>,
}

impl MemoryWatch {
    /// Samples process `id` every `interval`.
    pub(super) fn start(id: u32, interval: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut samples = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                samples.extend(resident_mib(id));
                std::thread::sleep(interval);
            }
            samples
        });
        Self { stop, thread }
    }

    /// The samples in MiB.
    pub(super) fn stop(self) -> Vec<f64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn resident_mib(id: u32) -> Option<f64> {
    let path = PathBuf::from(format!("/proc/{id}/statm"));
    let text = std::fs::read_to_string(path).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some((pages * PAGE) as f64 / f64::from(1 << 20))
}
