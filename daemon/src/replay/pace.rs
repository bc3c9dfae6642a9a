//! When each recorded volume is fed.

use super::ReplaySpeed;
use mindeye_config::{Clock, Moment};
use std::sync::Arc;

/// Waits as long between volumes as it took then.
pub(super) struct Pace {
    clock: Arc<dyn Clock>,
    speed: ReplaySpeed,
    begun: Option<(Moment, Moment)>,
}

impl Pace {
    pub(super) fn new(clock: Arc<dyn Clock>, speed: ReplaySpeed) -> Self {
        Self { clock, speed, begun: None }
    }

    pub(super) fn wait_for(&mut self, arrived: Moment) {
        if self.speed == ReplaySpeed::Max {
            return;
        }
        let now = self.clock.now();
        let (first_arrived, begun) = *self.begun.get_or_insert((arrived, now));
        // A restart in between starts the recorded clock anew; its volumes are then fed at once.
        std::thread::sleep((begun + arrived.since(first_arrived)).since(now));
    }
}
