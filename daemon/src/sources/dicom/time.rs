//! When a volume was acquired, as seconds since its own series' time: the differences that analysis needs, no dates.

use super::DicomFile;
use super::elements::{ACQUISITION_DATE, ACQUISITION_DATE_TIME, ACQUISITION_TIME, SERIES_DATE, SERIES_TIME};

const DAY_S: f64 = 86_400.0;

/// Acquisition start in seconds after the series' time; `None` where the file does not say. May be negative: Siemens stamps a
/// series when it is stored.
pub(super) fn acquired_s(file: &DicomFile, stamp: Option<Stamp>) -> Option<f64> {
    let series = Stamp {
        day: file.top.text(SERIES_DATE).and_then(parse_date),
        second: file.top.text(SERIES_TIME).and_then(parse_time)?,
    };
    stamp.map(|stamp| stamp.seconds_after(series))
}

/// Acquisition time of a classic file.
pub(super) fn classic_stamp(file: &DicomFile) -> Option<Stamp> {
    let top = &file.top;
    match top.text(ACQUISITION_TIME).and_then(parse_time) {
        Some(second) => Some(Stamp { day: top.text(ACQUISITION_DATE).and_then(parse_date), second }),
        None => top.text(ACQUISITION_DATE_TIME).and_then(Stamp::parse),
    }
}

/// A day and a second of it, on the scanner's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stamp {
    /// Days since some day; `None` where only the time of day is known.
    pub(super) day: Option<i64>,
    /// Seconds since midnight.
    pub(super) second: f64,
}

impl Stamp {
    /// `YYYYMMDDHHMMSS.FFFFFF` (DT). An offset from UTC at its end would be the same in the whole series and is ignored.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (date, time) = text.split_at_checked(8)?;
        let time = time.split(['+', '-', '&']).next()?;
        Some(Self { day: Some(parse_date(date)?), second: parse_time(time)? })
    }

    /// Seconds from `earlier` to this. Without dates, the shorter way around midnight.
    pub(super) fn seconds_after(self, earlier: Self) -> f64 {
        let seconds = self.second - earlier.second;
        match (self.day, earlier.day) {
            (Some(day), Some(earlier)) => (day - earlier) as f64 * DAY_S + seconds,
            _ if seconds < -DAY_S / 2.0 => seconds + DAY_S,
            _ if seconds > DAY_S / 2.0 => seconds - DAY_S,
            _ => seconds,
        }
    }
}

/// Slice times in seconds after the earliest slice, one per frame.
pub(super) fn slice_times(stamps: &[Stamp]) -> Vec<f64> {
    let since: Vec<f64> = stamps.iter().map(|stamp| stamp.seconds_after(stamps[0])).collect();
    let earliest = since.iter().copied().fold(0.0, f64::min);
    since.iter().map(|time| time - earliest).collect()
}

/// Days since 1 March of year 0 (a calendar that puts the leap day last).
fn parse_date(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok().map(i64::from);
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    if text.len() != 8 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    Some(365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day)
}

/// `HHMMSS.FFFFFF` (TM), minutes and seconds optional.
fn parse_time(text: &str) -> Option<f64> {
    let (whole, _) = text.split_once('.').unwrap_or((text, ""));
    let is_time = matches!(whole.len(), 2 | 4 | 6) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_time {
        return None;
    }
    let number =
        |range: std::ops::Range<usize>| whole.get(range).map_or(Some(0.0), |digits| digits.parse::<f64>().ok());
    let seconds = text.get(4..).map_or(Some(0.0), |seconds| seconds.parse::<f64>().ok().or(Some(0.0)))?;
    Some(number(0..2)? * 3600.0 + number(2..4)? * 60.0 + seconds).filter(|second| *second <= DAY_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_subtracted_across_midnight_and_leap_days() {
        let at = |text| Stamp::parse(text).unwrap();
        for (later, earlier, seconds) in [
            ("20171021090130.045000", "20171021090126.845000", 3.2),
            ("20240301000000.500000", "20240229235959.500000", 1.0),
            ("20250101000001", "20241231235959", 2.0),
            ("20220711120906.225000+0100", "20220711120906", 0.225),
        ] {
            // 1e-6: microseconds of a day in f64 are exact to 1e-11.
            assert!((at(later).seconds_after(at(earlier)) - seconds).abs() < 1e-6, "{later} - {earlier}");
        }
        let time = |second| Stamp { day: None, second };
        assert_eq!(time(1.0).seconds_after(time(86_399.0)), 2.0);
        assert_eq!(time(86_399.0).seconds_after(time(1.0)), -2.0);
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "2017", "20171399120000", "20171021xx0000", "2017102109012", "é0171021090126"] {
            assert_eq!(Stamp::parse(text), None, "{text}");
        }
    }
}
