//! A folder whose files are handed over when they may be whole: told by the system where it tells, looked for where it does not.
//!
//! A file is tried when its writer closes it, and again whenever it has grown; its reader says whether it was whole. Changes
//! made by another host on a network mount are not told, so the folder is looked through as well: every `poll` without
//! notices, once a second with them. 5,000 files are looked through in some milliseconds.

use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};
use mindeye_config::{Clock, Moment, SourceConfig};
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often the folder is looked through where the system tells of changes.
const SAFETY_SCAN: Duration = Duration::from_secs(1);
/// Folders below folders that are followed.
const MAX_DEPTH: usize = 8;

/// How a folder is watched.
#[derive(Debug, Clone, Copy)]
pub struct WatchRules {
    /// Time between two looks where the system does not tell of changes.
    pub poll: Duration,
    /// A file that is not whole and has not grown for this long is given up.
    pub settle: Duration,
    /// Whether the system is asked to tell of changes.
    pub notices: bool,
}

impl WatchRules {
    /// The rules of `config`, whose times are checked to be positive.
    #[must_use]
    pub fn new(config: &SourceConfig) -> Self {
        let (poll, settle) = (config.poll_ms / 1e3, config.settle_s);
        Self { poll: Duration::from_secs_f64(poll), settle: Duration::from_secs_f64(settle), notices: true }
    }
}

/// A watched folder.
pub struct FolderWatch {
    root: PathBuf,
    clock: Arc<dyn Clock>,
    rules: WatchRules,
    notices: Receiver<notify::Result<Event>>,
    /// Tells as long as it lives; `None` where the system cannot.
    watcher: Option<RecommendedWatcher>,
    /// Files that were there at the start or were handed over.
    known: HashSet<PathBuf>,
    waiting: BTreeMap<PathBuf, Waiting>,
    scanned: Moment,
}

/// A file that is not known to be whole.
struct Waiting {
    size: u64,
    grown: Moment,
    /// Size at the last try.
    tried: Option<u64>,
}

impl FolderWatch {
    /// Begins to watch `root`; files that are there already are left alone.
    ///
    /// # Errors
    /// When `root` is no folder that can be read.
    pub fn new(root: &Path, clock: Arc<dyn Clock>, rules: WatchRules) -> std::io::Result<Self> {
        std::fs::read_dir(root)?;
        let (told, notices) = unbounded();
        // The receiver is gone only when the watch is; a notice has no reader then.
        let watcher = notify::recommended_watcher(move |notice| drop(told.send(notice)));
        let mut watcher = watcher.ok().filter(|_| rules.notices);
        if watcher.as_mut().is_some_and(|watcher| watcher.watch(root, RecursiveMode::Recursive).is_err()) {
            watcher = None;
        }
        let scanned = clock.now();
        let known = files_below(root).into_iter().collect();
        Ok(Self { root: root.to_owned(), clock, rules, notices, watcher, known, waiting: BTreeMap::new(), scanned })
    }

    /// Files to try now; waits at most `patience` for the first.
    pub fn next(&mut self, patience: Duration) -> Vec<PathBuf> {
        let mut closed = HashSet::new();
        self.listen(patience, &mut closed);
        if self.clock.now().since(self.scanned) >= self.scan_interval() {
            self.scan();
        }
        self.ripe(&closed)
    }

    /// `path` was whole, or will never be of use.
    pub fn finished(&mut self, path: &Path) {
        self.waiting.remove(path);
    }

    /// Gives up files that are not whole and do not grow; returns how many.
    pub fn give_up(&mut self) -> usize {
        let (now, settle, before) = (self.clock.now(), self.rules.settle, self.waiting.len());
        self.waiting.retain(|_, file| now.since(file.grown) <= settle);
        before - self.waiting.len()
    }

    fn scan_interval(&self) -> Duration {
        if self.watcher.is_some() { SAFETY_SCAN } else { self.rules.poll }
    }

    fn listen(&mut self, patience: Duration, closed: &mut HashSet<PathBuf>) {
        // While a file waits, its growth is looked at as often as a folder without notices.
        let until_scan = self.scan_interval().saturating_sub(self.clock.now().since(self.scanned));
        let wait = if self.waiting.is_empty() { patience.min(until_scan) } else { patience.min(self.rules.poll) };
        let mut notice = match self.notices.recv_timeout(wait) {
            Ok(notice) => Some(notice),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(wait);
                None
            }
        };
        while let Some(told) = notice {
            self.hear(told, closed);
            notice = self.notices.try_recv().ok();
        }
    }

    fn hear(&mut self, told: notify::Result<Event>, closed: &mut HashSet<PathBuf>) {
        let Ok(event) = told else { return self.scan() };
        if event.need_rescan() {
            self.scan();
        }
        let is_closed = matches!(event.kind, EventKind::Access(AccessKind::Close(AccessMode::Write)));
        if !(is_closed || matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_))) {
            return;
        }
        for path in event.paths {
            // A file that was handed over already is not read again for its padding.
            if self.known.contains(&path) && !self.waiting.contains_key(&path) {
                continue;
            }
            self.look_at(&path);
            if is_closed {
                closed.insert(path);
            }
        }
    }

    fn scan(&mut self) {
        self.scanned = self.clock.now();
        for path in files_below(&self.root) {
            if !self.known.contains(&path) {
                self.look_at(&path);
            }
        }
        let waiting: Vec<PathBuf> = self.waiting.keys().cloned().collect();
        waiting.iter().for_each(|path| self.look_at(path));
    }

    /// Takes note of a file's size. Links, folders and what is gone are no files.
    fn look_at(&mut self, path: &Path) {
        let Some(size) = std::fs::symlink_metadata(path).ok().filter(|file| file.is_file()).map(|file| file.len())
        else {
            self.waiting.remove(path);
            return;
        };
        let now = self.clock.now();
        self.known.insert(path.to_owned());
        let file = self.waiting.entry(path.to_owned()).or_insert(Waiting { size, grown: now, tried: None });
        if file.size != size {
            *file = Waiting { size, grown: now, tried: file.tried };
        }
    }

    fn ripe(&mut self, closed: &HashSet<PathBuf>) -> Vec<PathBuf> {
        let paths: Vec<PathBuf> = self.waiting.keys().cloned().collect();
        paths.iter().for_each(|path| self.look_at(path));
        let mut ripe = Vec::new();
        for (path, file) in &mut self.waiting {
            if file.tried != Some(file.size) || closed.contains(path) {
                file.tried = Some(file.size);
                ripe.push(path.clone());
            }
        }
        ripe
    }
}

/// All regular files below `root`; folders that cannot be read are passed over.
pub(super) fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                Ok(kind) if kind.is_dir() && depth < MAX_DEPTH => folders.push((entry.path(), depth + 1)),
                _ => {}
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use mindeye_config::SystemClock;
    use std::io::Write;

    fn watch(root: &Path, notices: bool) -> FolderWatch {
        let rules = WatchRules { poll: Duration::from_millis(5), settle: Duration::from_millis(200), notices };
        FolderWatch::new(root, SystemClock::start(), rules).unwrap()
    }

    /// Files handed over within some seconds, until there are `count`.
    fn collect(watch: &mut FolderWatch, count: usize) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for _ in 0..400 {
            found.extend(watch.next(Duration::from_millis(10)));
            if found.len() >= count {
                break;
            }
        }
        found.sort();
        found
    }

    #[test]
    fn new_files_are_found_with_and_without_notices_and_old_ones_left_alone() {
        for notices in [true, false] {
            let root = tempfile::tempdir().unwrap();
            std::fs::write(root.path().join("old"), "old").unwrap();
            let mut watch = watch(root.path(), notices);
            let below = root.path().join("a/b");
            std::fs::create_dir_all(&below).unwrap();
            let files = [root.path().join("a/1"), below.join("2")];
            files.iter().for_each(|file| std::fs::write(file, "new").unwrap());
            let mut found = collect(&mut watch, 2);
            found.dedup();
            assert_eq!(found, files, "notices {notices}");
            files.iter().for_each(|file| watch.finished(file));
            assert!(watch.next(Duration::from_millis(20)).is_empty(), "handed over once");
        }
    }

    #[test]
    fn a_growing_file_is_tried_again_and_given_up_when_it_stops() {
        let root = tempfile::tempdir().unwrap();
        let mut watch = watch(root.path(), false);
        let path = root.path().join("1");
        let mut file = std::fs::File::create(&path).unwrap();
        for part in 0..3 {
            file.write_all(b"more").unwrap();
            assert_eq!(collect(&mut watch, 1), std::slice::from_ref(&path), "part {part}");
        }
        assert!(watch.next(Duration::from_millis(20)).is_empty(), "it has not grown");
        std::thread::sleep(Duration::from_millis(250));
        assert_eq!(watch.give_up(), 1);
    }
}
