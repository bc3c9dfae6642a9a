//! The one writer of input journals: it saves what waits in one batch, synchronises once, and only then releases the answers.
//!
//! Cost per volume of 64x64x36 int16: one checksum and one write of 295 kB; the synchronisation is shared by the batch.

use super::Reply;
use crate::journal::{AppendFile, INPUT_FILE, InputContent, InputRecord, JournalError};
use crossbeam_channel::{Receiver, Sender};
use mindeye_config::{Clock, Moment, Name};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A record to save and the answer that waits for it.
#[derive(Debug, Clone)]
pub struct Save {
    /// ROUTER identity of the sender, and its answer once the record is safe.
    pub answer: Option<(Vec<u8>, Reply)>,
    /// Folder of the journal.
    pub dir: Arc<PathBuf>,
    /// Run, if one is open.
    pub run: Option<Name>,
    /// The record.
    pub record: InputRecord,
    /// Voxels of a volume.
    pub voxels: Arc<Vec<u8>>,
}

/// Work for the committer, in order.
#[derive(Debug, Clone)]
pub enum CommitItem {
    /// Save, then answer.
    Save(Box<Save>),
    /// Answer once everything before it is safe.
    Answer {
        /// ROUTER identity of the sender.
        to: Vec<u8>,
        /// The answer.
        reply: Reply,
    },
}

/// What became of one item.
#[derive(Debug)]
pub enum Committed {
    /// Safe: send this answer.
    Safe {
        /// ROUTER identity of the sender, and the answer.
        answer: Option<(Vec<u8>, Reply)>,
        /// What was saved; nothing for a repeat.
        saved: Option<Box<Saved>>,
    },
    /// Not saved: refuse it and want it again.
    Failed {
        /// The item.
        save: Box<Save>,
        /// What the journal said.
        error: String,
    },
}

/// A record that is on the disk.
#[derive(Debug)]
pub struct Saved {
    /// What it holds.
    pub content: InputContent,
    /// Time from its last byte.
    pub took: Duration,
}

/// The writer's state.
pub struct Committer {
    clock: Arc<dyn Clock>,
    batch_records: usize,
    open: Option<(Arc<PathBuf>, AppendFile)>,
    bytes: Vec<u8>,
}

impl Committer {
    /// A writer that saves at most `batch_records` at once.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, batch_records: usize) -> Self {
        Self { clock, batch_records, open: None, bytes: Vec::new() }
    }

    /// Works until `items` closes. `wake` is called after each batch whose results were sent.
    pub fn run(mut self, items: &Receiver<CommitItem>, results: &Sender<Committed>, wake: impl Fn()) {
        while let Ok(first) = items.recv() {
            let mut batch = vec![first];
            batch.extend(items.try_iter().take(self.batch_records - 1));
            for result in self.commit(batch) {
                // The receiver is gone only when the daemon stops; answers have no reader then.
                let _ = results.send(result);
            }
            wake();
        }
    }

    /// Saves a batch; items of different runs are synchronised one run after the other.
    pub fn commit(&mut self, batch: Vec<CommitItem>) -> Vec<Committed> {
        let mut results = Vec::with_capacity(batch.len());
        let mut rest = batch.as_slice();
        while !rest.is_empty() {
            let (same_run, others) = rest.split_at(first_run_length(rest));
            self.commit_one_run(same_run, &mut results);
            rest = others;
        }
        results
    }

    fn commit_one_run(&mut self, items: &[CommitItem], results: &mut Vec<Committed>) {
        let outcome = self.write(items);
        let now = self.clock.now();
        results.extend(items.iter().map(|item| match (item, &outcome) {
            (CommitItem::Answer { to, reply }, _) => {
                Committed::Safe { answer: Some((to.clone(), reply.clone())), saved: None }
            }
            (CommitItem::Save(save), Ok(())) => saved(save, now),
            (CommitItem::Save(save), Err(error)) => Committed::Failed { save: save.clone(), error: error.to_string() },
        }));
    }

    fn write(&mut self, items: &[CommitItem]) -> Result<(), JournalError> {
        self.bytes.clear();
        let mut dir = None;
        for item in items {
            let CommitItem::Save(save) = item else { continue };
            save.record.encode(&save.voxels, &mut self.bytes);
            dir = Some(&save.dir);
        }
        let Some(dir) = dir else { return Ok(()) };
        let bytes = std::mem::take(&mut self.bytes);
        let written = self.file(dir).and_then(|file| file.commit(&bytes));
        self.bytes = bytes;
        if written.is_err() {
            // After a failed write or synchronisation the file is opened anew, which cuts what is torn.
            self.open = None;
        }
        written
    }

    fn file(&mut self, dir: &Arc<PathBuf>) -> Result<&mut AppendFile, JournalError> {
        if self.open.as_ref().is_none_or(|(open, _)| open != dir) {
            self.open = Some((dir.clone(), AppendFile::create(&dir.join(INPUT_FILE))?));
        }
        let (_, file) = self.open.as_mut().expect("opened above");
        Ok(file)
    }
}

fn saved(save: &Save, now: Moment) -> Committed {
    let saved = Saved { content: save.record.content.clone(), took: now.since(save.record.arrived) };
    Committed::Safe { answer: save.answer.clone(), saved: Some(Box::new(saved)) }
}

/// Number of items at the start that go into one run's file.
fn first_run_length(items: &[CommitItem]) -> usize {
    let mut dir = None;
    items
        .iter()
        .position(|item| match item {
            CommitItem::Save(save) => *dir.get_or_insert(&save.dir) != &save.dir,
            CommitItem::Answer { .. } => false,
        })
        .unwrap_or(items.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::read_run;
    use crate::protocol::RunEnd;
    use mindeye_config::ManualClock;

    fn save(dir: &std::path::Path, run: &str, sequence: u64) -> CommitItem {
        let content = InputContent::RunEnd(RunEnd { run: Name::new(run).unwrap(), volumes: 1 });
        CommitItem::Save(Box::new(Save {
            answer: Some((vec![1], Reply::AcceptedEnd { run: run.into(), volumes: 1 })),
            dir: Arc::new(dir.join(run)),
            run: Name::new(run).ok(),
            record: InputRecord { sequence, arrived: Moment(0), arrived_unix_s: 0.0, content },
            voxels: Arc::new(Vec::new()),
        }))
    }

    #[test]
    fn a_batch_over_two_runs_lands_in_two_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut committer = Committer::new(ManualClock::new(), 8);
        let results =
            committer.commit(vec![save(dir.path(), "a", 0), save(dir.path(), "a", 1), save(dir.path(), "b", 2)]);
        assert!(results.iter().all(|result| matches!(result, Committed::Safe { .. })));
        for (run, records) in [("a", 2), ("b", 1)] {
            let raw = crate::journal::read_records(&dir.path().join(run).join(INPUT_FILE)).unwrap().0;
            assert_eq!(raw.len(), records, "{run}");
        }
        assert!(read_run(&dir.path().join("a")).is_err(), "a journal without run_start is no run");
    }

    #[test]
    fn what_cannot_be_written_fails_by_name_and_the_next_batch_is_tried_anew() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "a file where the run's folder should be").unwrap();
        let mut committer = Committer::new(ManualClock::new(), 8);
        let results = committer.commit(vec![save(dir.path(), "a", 0)]);
        assert!(matches!(&results[0], Committed::Failed { error, .. } if error.contains("/a")));
        std::fs::remove_file(dir.path().join("a")).unwrap();
        let results = committer.commit(vec![save(dir.path(), "a", 0)]);
        assert!(matches!(&results[0], Committed::Safe { saved: Some(_), .. }));
    }
}
