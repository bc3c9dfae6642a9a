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

/// One message on its way.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Frames.
    pub frames: Arc<Vec<Vec<u8>>>,
    /// When it was last sent.
    pub sent: Moment,
    /// When it was first sent.
    pub first_sent: Moment,
}

/// Messages that wait for `accepted`, in the order in which they must be sent again.
#[derive(Debug, Default)]
pub struct SendWindow {
    pending: BTreeMap<Key, Pending>,
}

impl SendWindow {
    /// Keeps a message that is being sent now.
    pub fn keep(&mut self, key: Key, frames: Arc<Vec<Vec<u8>>>, now: Moment) {
        self.pending.insert(key, Pending { frames, sent: now, first_sent: now });
    }

    /// Lets an accepted message go and returns how long it had been on its way; `None` for a repeated answer.
    pub fn accepted(&mut self, key: Key, now: Moment) -> Option<Duration> {
        self.pending.remove(&key).map(|pending| now.since(pending.first_sent))
    }

    /// Lets volumes below `next_index` go: the daemon has them.
    pub fn accepted_below(&mut self, next_index: u32) {
        self.pending.retain(|key, _| !matches!(key, Key::Volume(index) if *index < next_index));
    }

    /// Whether the oldest message has waited longer than `patience`.
    #[must_use]
    pub fn is_overdue(&self, now: Moment, patience: Duration) -> bool {
        self.pending.values().any(|pending| now.since(pending.sent) > patience)
    }

    /// Every message that waits, marked as sent now: events first, then volumes in order, then the end.
    pub fn send_again(&mut self, now: Moment) -> Vec<Arc<Vec<Vec<u8>>>> {
        for pending in self.pending.values_mut() {
            pending.sent = now;
        }
        self.pending.values().map(|pending| pending.frames.clone()).collect()
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

    #[test]
    fn only_what_was_not_accepted_is_sent_again_in_order() {
        let mut window = SendWindow::default();
        let frames = |text: &str| Arc::new(vec![text.as_bytes().to_vec()]);
        let at = |ms: u64| Moment(ms * 1_000_000);
        for (key, name) in [(Key::End, "end"), (Key::Volume(1), "v1"), (Key::Volume(0), "v0"), (Key::Event(7), "e7")] {
            window.keep(key, frames(name), at(0));
        }
        assert_eq!(window.accepted(Key::Volume(0), at(5)), Some(Duration::from_millis(5)));
        assert_eq!(window.accepted(Key::Volume(0), at(6)), None, "a repeated answer changes nothing");
        assert!(!window.is_overdue(at(100), Duration::from_millis(100)));
        assert!(window.is_overdue(at(101), Duration::from_millis(100)));
        let again: Vec<Vec<u8>> = window.send_again(at(101)).iter().map(|frames| frames[0].clone()).collect();
        assert_eq!(again, [b"e7".to_vec(), b"v1".to_vec(), b"end".to_vec()]);
        assert!(!window.is_overdue(at(200), Duration::from_millis(100)));
    }
}
