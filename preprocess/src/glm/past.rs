//! The sums as they were at an earlier volume: what a timely computation had, made again from the history.

use super::Glm;
use super::statistics::Statistics;
use crate::design::Design;

/// Statistics of the first volumes of a run, summed in order. A beta that is asked for after its volume has passed (a
/// late or corrected event) rests on these. They take one pass over those volumes: 288 volumes of 15,724 voxels with 25
/// entries each are 110 million multiply-adds, about a tenth of a second.
pub(crate) struct Past {
    pub(super) design: Design,
    volumes: usize,
    pub(super) statistics: Vec<Statistics>,
}

impl Past {
    /// Of no volume yet.
    pub(crate) fn of(glm: &Glm) -> Self {
        Self { design: glm.planned.clone(), volumes: 0, statistics: Vec::new() }
    }

    pub(super) fn until(glm: &Glm, volumes: usize) -> Self {
        let mut past = Self::of(glm);
        past.advance(glm, volumes);
        past
    }

    /// Goes on to `volumes` volumes; starts anew if that is fewer, or if the design has other columns there.
    pub(super) fn advance(&mut self, glm: &Glm, volumes: usize) {
        let last = glm.history.volumes()[..volumes].last();
        let design = last.map_or_else(|| glm.planned.clone(), |v| glm.planned.lasting_until(v.acquisition.start_s));
        if self.statistics.is_empty() || volumes < self.volumes || !design.has_same_columns_as(&self.design) {
            self.start(glm, design);
        }
        for (group, statistics) in glm.groups.iter().zip(&mut self.statistics) {
            let mut y = vec![0.0; statistics.voxels()];
            for volume in &glm.history.volumes()[self.volumes..volumes] {
                let Some(row) = volume.row else { continue };
                group.deviation_of(&glm.history, row, &mut y);
                statistics.add_row(group.row(&self.design, &glm.trials, glm.kind, &volume.acquisition), &y);
            }
        }
        self.volumes = volumes;
    }

    fn start(&mut self, glm: &Glm, design: Design) {
        let slots = design.trial_slot(glm.trials.len());
        let empty = glm.groups.iter().map(|group| Statistics::new(group.statistics.voxels(), slots, glm.lags));
        *self = Self { design, volumes: 0, statistics: empty.collect() };
    }
}
