//! What was sent and not yet accepted: it is kept, and sent again when the daemon comes back.

use mindeye_config::Moment;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What an answer refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// An event, by trial.
    Event(u32),
    /// A volume, by index.
    Volume(u32),
    /// The end of the run.
    End,
}

/// Frames of one message.
pub type Frames = Arc<Vec<Vec<u8>>>;

/// One message on its way.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Frames.
    pub frames: Frames,
    /// When the message was ready.
    pub ready: Moment,
    /// When it last left; `None` while it has to leave (again).
    pub sent: Option<Moment>,
}

/// Messages that wait for `accepted`, in the order in which they must leave.
#[derive(Debug, Default)]
pub struct SendWindow {
    pending: BTreeMap<Key, Pending>,
}

impl SendWindow {
    /// Keeps a message that is ready to leave.
    pub fn keep(&mut self, key: Key, frames: Frames, now: Moment) {
        self.pending.insert(key, Pending { frames, ready: now, sent: None });
    }

    /// Lets every message leave that has to, in order, until `transmit` says that no more can leave now. A later volume never
    /// overtakes an earlier one: the daemon would take it for a gap.
    pub fn flush(&mut self, now: Moment, mut transmit: impl FnMut(&Frames) -> bool) {
        for pending in self.pending.values_mut().filter(|pending| pending.sent.is_none()) {
            if !transmit(&pending.frames) {
                return;
            }
            pending.sent = Some(now);
        }
    }

    /// Lets an accepted message go and returns how long it had waited; `None` for a repeated answer.
    pub fn accepted(&mut self, key: Key, now: Moment) -> Option<Duration> {
        self.pending.remove(&key).map(|pending| now.since(pending.ready))
    }

    /// Lets volumes below `next_index` go, since the daemon has them; returns how many had waited.
    pub fn accepted_below(&mut self, next_index: u32) -> u32 {
        let waited = self.pending.len();
        self.pending.retain(|key, _| !matches!(key, Key::Volume(index) if *index < next_index));
        (waited - self.pending.len()) as u32
    }

    /// Whether a message left longer than `patience` ago and was not answered.
    #[must_use]
    pub fn is_overdue(&self, now: Moment, patience: Duration) -> bool {
        self.pending.values().filter_map(|pending| pending.sent).any(|sent| now.since(sent) > patience)
    }

    /// Every message has to leave again; returns how many had left before.
    pub fn send_again(&mut self) -> usize {
        self.pending.values_mut().filter_map(|pending| pending.sent.take()).count()
    }

    /// Messages that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether everything was accepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment(ms * 1_000_000)
    }

    fn window() -> SendWindow {
        let mut window = SendWindow::default();
        for (key, name) in [(Key::End, "end"), (Key::Volume(1), "v1"), (Key::Volume(0), "v0"), (Key::Event(7), "e7")] {
            window.keep(key, Arc::new(vec![name.as_bytes().to_vec()]), at(0));
        }
        window
    }

    fn left(window: &mut SendWindow, now: Moment, room: usize) -> Vec<String> {
        let mut left = Vec::new();
        window.flush(now, |frames| {
            let fits = left.len() < room;
            if fits {
                left.push(String::from_utf8(frames[0].clone()).unwrap());
            }
            fits
        });
        left
    }

    #[test]
    fn nothing_overtakes_what_could_not_leave() {
        let mut window = window();
        assert_eq!(left(&mut window, at(0), 2), ["e7", "v0"]);
        window.keep(Key::Volume(2), Arc::new(vec![b"v2".to_vec()]), at(1));
        assert_eq!(left(&mut window, at(2), 9), ["v1", "v2", "end"]);
        assert!(left(&mut window, at(3), 9).is_empty());
    }

    #[test]
    fn only_what_was_not_accepted_leaves_again_in_order() {
        let mut window = window();
        left(&mut window, at(0), 9);
        assert_eq!(window.accepted(Key::Volume(0), at(5)), Some(Duration::from_millis(5)));
        assert_eq!(window.accepted(Key::Volume(0), at(6)), None, "a repeated answer changes nothing");
        assert!(!window.is_overdue(at(100), Duration::from_millis(100)));
        assert!(window.is_overdue(at(101), Duration::from_millis(100)));
        assert_eq!(window.send_again(), 3);
        assert_eq!(left(&mut window, at(101), 9), ["e7", "v1", "end"]);
        assert!(!window.is_overdue(at(200), Duration::from_millis(100)));
    }
}
