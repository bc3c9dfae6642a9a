//! When each volume was acquired, on the run's own clock.

/// Seconds after the acquisition start of volume 0, from stamps where there are any.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timeline {
    tr_s: f64,
    first_stamp: Option<(u32, f64)>,
    newest: Option<(u32, f64)>,
}

impl Timeline {
    /// A run with no volume yet.
    #[must_use]
    pub fn new(tr_s: f64) -> Self {
        Self { tr_s, first_stamp: None, newest: None }
    }

    /// Acquisition start of volume `index` with the scanner's stamp `acquired_s`, and whether it is nominal.
    ///
    /// Without a stamp it is index x TR. Where volume 0 has none, the first stamped volume stands at its index x TR. A time
    /// that does not lie after the previous volume's is not believed: the volume then stands one TR per index after it.
    pub fn note(&mut self, index: u32, acquired_s: Option<f64>) -> (f64, bool) {
        let (claimed_s, nominal) = self.claimed(index, acquired_s);
        let (start_s, nominal) = match self.newest {
            Some((newest, newest_s)) if claimed_s <= newest_s => {
                (newest_s + f64::from(index.saturating_sub(newest).max(1)) * self.tr_s, true)
            }
            _ => (claimed_s, nominal),
        };
        self.newest = Some((index, start_s));
        (start_s, nominal)
    }

    fn claimed(&mut self, index: u32, acquired_s: Option<f64>) -> (f64, bool) {
        let Some(stamp_s) = acquired_s else { return (f64::from(index) * self.tr_s, true) };
        let (first, first_s) = *self.first_stamp.get_or_insert((index, stamp_s));
        (f64::from(first) * self.tr_s + (stamp_s - first_s), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_count_from_volume_0_and_missing_ones_are_nominal() {
        let mut timeline = Timeline::new(1.5);
        assert_eq!(timeline.note(0, Some(100.0)), (0.0, false));
        assert_eq!(timeline.note(1, Some(101.51)), (101.51 - 100.0, false));
        assert_eq!(timeline.note(2, None), (3.0, true));
        let mut late = Timeline::new(2.0);
        assert_eq!(late.note(3, Some(50.0)), (6.0, false), "volumes 0 to 2 were lost");
        assert_eq!(late.note(5, Some(10.0)), (10.0, true), "the scanner's clock was set back");
        assert_eq!(late.note(6, Some(60.0)), (16.0, false), "it is believed again as soon as it can be");
    }
}
