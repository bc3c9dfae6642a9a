//! What of a message that cannot be read is worth echoing in its refusal: run, index and trial, each where it makes sense.

use super::Refusal;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The refusal with what could be read of the header's address. Lists and tables in its place are passed over, never kept.
pub(super) fn addressed(refusal: Refusal, header: &[u8]) -> Refusal {
    let address: Address = serde_json::from_slice(header).unwrap_or_default();
    Refusal { run: address.run.text(), index: address.index.whole(), trial: address.trial.whole(), ..refusal }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Address {
    run: Echo,
    index: Echo,
    trial: Echo,
}

#[derive(Default)]
enum Echo {
    Text(String),
    Whole(u32),
    #[default]
    Nothing,
}

impl Echo {
    /// No name is longer than 64 characters.
    fn text(self) -> Option<String> {
        if let Self::Text(text) = self { Some(text.chars().take(64).collect()) } else { None }
    }

    fn whole(self) -> Option<u32> {
        if let Self::Whole(number) = self { Some(number) } else { None }
    }
}

impl<'de> Deserialize<'de> for Echo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EchoVisitor)
    }
}

struct EchoVisitor;

impl<'de> Visitor<'de> for EchoVisitor {
    type Value = Echo;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<Echo, E> {
        Ok(Echo::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Echo, E> {
        Ok(u32::try_from(number).map_or(Echo::Nothing, Echo::Whole))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Echo, E> {
        Ok(Echo::Nothing)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Echo, E> {
        Ok(Echo::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Echo, E> {
        Ok(Echo::Nothing)
    }

    fn visit_unit<E>(self) -> Result<Echo, E> {
        Ok(Echo::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Echo, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Echo::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Echo, A::Error> {
        while table.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Echo::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reason;
    use super::*;

    #[test]
    fn only_what_makes_sense_is_echoed() {
        let long = format!(r#"{{"run":"{}"}}"#, "x".repeat(100));
        let cases = [
            (r#"{"run":"r1","index":7,"trial":2}"#, Some("r1".into()), Some(7), Some(2)),
            (r#"{"run":3,"index":"7","trial":-2}"#, None, None, None),
            (r#"{"run":null,"index":[1,[2]],"trial":{"a":{}}}"#, None, None, None),
            (r#"{"run":true,"index":7.5,"trial":4294967296}"#, None, None, None),
            (r#"{"run":"r1","index":7"#, None, None, None),
            (long.as_str(), Some("x".repeat(64)), None, None),
        ];
        for (header, run, index, trial) in cases {
            let refusal = addressed(Refusal::new(Reason::Malformed, ""), header.as_bytes());
            assert_eq!((refusal.run, refusal.index, refusal.trial), (run, index, trial), "{header}");
        }
    }
}
