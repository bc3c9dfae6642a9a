//! A synthetic participant in the simulated scanner.

use super::ScanSource;
use crate::blind::StimulusImage;
use crate::protocol::EventFields;
use mindeye_config::Name;
use mindeye_participants::bold::BoldRun;
use mindeye_preprocess::{Grid, VoxelType};

/// A run of a synthetic participant.
pub struct ParticipantSource {
    run: BoldRun,
    events: Vec<EventFields>,
}

impl ParticipantSource {
    /// Plays `run`; its trials name the pictures shown.
    #[must_use]
    pub fn new(run: BoldRun) -> Self {
        let named = |shown: &mindeye_participants::schedule::Shown| Name::new(&shown.picture.to_string()).ok();
        let trials = run.trials();
        let fields = trials.iter().map(|(event, shown)| EventFields {
            onset_s: event.onset_s,
            duration_s: event.duration_s,
            trial: event.trial,
            image: named(shown).map(StimulusImage),
            condition: None,
        });
        Self { events: fields.collect(), run }
    }
}

impl ScanSource for ParticipantSource {
    fn grid(&self) -> &Grid {
        self.run.grid()
    }

    fn dtype(&self) -> VoxelType {
        VoxelType::Int16
    }

    fn tr_s(&self) -> f64 {
        self.run.tr_s()
    }

    fn volume_count(&self) -> u32 {
        self.run.volume_count()
    }

    fn volume(&mut self, index: u32) -> Vec<u8> {
        self.run.volume(index).iter().flat_map(|voxel| voxel.to_le_bytes()).collect()
    }

    fn events(&self) -> &[EventFields] {
        &self.events
    }
}
