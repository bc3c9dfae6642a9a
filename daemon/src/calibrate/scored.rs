//! Trials scored as they would be live: at their due volume, with the newest estimate there was.

use crate::blind::StimulusImage;
use crate::journal::RecordedRun;
use crate::pipeline::{Recipe, RunInfo, RunWorker, VolumeWork, Work, recorded_work};
use crate::protocol::{EventFields, RunStart};
use crate::scanner::ScanSource;
use mindeye_config::{Clock, Failure, Moment, Name, Timings};
use mindeye_decode::confidence::Scored;
use mindeye_decode::{Decoder, Gallery};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Runs on their way through preprocessing, backbone and gallery.
pub(super) struct Session<'a> {
    recipe: &'a Recipe,
    gallery: &'a Gallery,
    scorer: &'a mut Decoder,
    clock: &'a dyn Clock,
    trials: Vec<Scored>,
}

impl<'a> Session<'a> {
    pub(super) fn new(recipe: &'a Recipe, gallery: &'a Gallery, scorer: &'a mut Decoder, clock: &'a dyn Clock) -> Self {
        Self { recipe, gallery, scorer, clock, trials: Vec::new() }
    }

    /// The trials so far.
    pub(super) fn into_trials(self) -> Vec<Scored> {
        self.trials
    }

    /// A run as its journal has it.
    pub(super) fn play_recorded(&mut self, recorded: &RecordedRun) -> Result<(), Failure> {
        let run = Arc::new(RunInfo { start: recorded.start.clone(), dir: recorded.dir.clone(), front_end: None });
        let mut worker = RunWorker::new(self.recipe, run).map_err(Failure::data)?;
        let images = crate::blind::images(recorded);
        for work in recorded_work(recorded) {
            match work {
                Work::Volume(volume) => self.volume(&mut worker, &volume, &images)?,
                Work::Event(event) => {
                    worker.set_event(&event).map_err(Failure::data)?;
                }
                Work::Open { .. } | Work::Close => {}
            }
        }
        Ok(())
    }

    /// A run as a simulated scanner has it.
    pub(super) fn play_source(&mut self, source: &mut dyn ScanSource) -> Result<(), Failure> {
        let run = Arc::new(RunInfo { start: announcement(source)?, dir: std::path::PathBuf::new(), front_end: None });
        let mut worker = RunWorker::new(self.recipe, run).map_err(Failure::data)?;
        let images = images(source.events());
        for index in 0..source.volume_count() {
            let volume = volume_of(source, index);
            self.volume(&mut worker, &volume, &images)?;
        }
        Ok(())
    }

    fn volume(
        &mut self,
        worker: &mut RunWorker,
        volume: &VolumeWork,
        images: &BTreeMap<u32, StimulusImage>,
    ) -> Result<(), Failure> {
        for due in worker.volume(volume, self.clock).map_err(Failure::data)?.due {
            let Some(beta) = due.beta else { continue };
            let retrieval = self.scorer.retrieve(&beta.zscored, &mut Timings::default()).map_err(Failure::data)?;
            let shown = images.get(&due.trial).and_then(|image| self.gallery.find(image.0.as_str()));
            self.trials.push(Scored { retrieval, shown });
        }
        Ok(())
    }
}

fn announcement(source: &dyn ScanSource) -> Result<RunStart, Failure> {
    let name = Name::new("held-out").map_err(Failure::other)?;
    Ok(RunStart {
        session: name.clone(),
        run: name,
        tr_s: source.tr_s(),
        shape: source.grid().dim,
        affine: source.grid().affine,
        dtype: source.dtype(),
        expected_volumes: Some(source.volume_count()),
        dummy_volumes: None,
        slice_timing_s: None,
        events: source.events().to_vec(),
        speed: None,
    })
}

fn images(events: &[EventFields]) -> BTreeMap<u32, StimulusImage> {
    events.iter().filter_map(|event| Some((event.trial, event.image.clone()?))).collect()
}

fn volume_of(source: &mut dyn ScanSource, index: u32) -> VolumeWork {
    VolumeWork {
        index,
        gap_before: 0,
        start_s: f64::from(index) * source.tr_s(),
        nominal: true,
        dtype: source.dtype(),
        voxels: Arc::new(source.volume(index)),
        arrived: Moment(0),
        arrived_unix_s: 0.0,
        received: Duration::ZERO,
    }
}
