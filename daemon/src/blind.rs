//! What the participant saw: a type that preprocessing and decoding cannot name.

use mindeye_config::Name;
use serde::{Deserialize, Serialize};

/// Identifier of a stimulus picture. Only scoring and display read it; it enters no beta, embedding, list or seed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StimulusImage(pub Name);

/// The pictures that a recorded run's announcement and events name, by trial; the last word on a trial counts.
#[must_use]
pub fn images(recorded: &crate::journal::RecordedRun) -> std::collections::BTreeMap<u32, StimulusImage> {
    let told = recorded.records.iter().filter_map(|(record, _)| match &record.content {
        crate::journal::InputContent::Event(message) => Some(&message.event),
        _ => None,
    });
    let mut images = std::collections::BTreeMap::new();
    for event in recorded.start.events.iter().chain(told) {
        match &event.image {
            Some(image) => images.insert(event.trial, image.clone()),
            None => images.remove(&event.trial),
        };
    }
    images
}
