//! Writes what `tests/oracle/participants_truth.py` recomputes: a picture, its channels, voxels' drives, responses, noise.
//!
//! ```text
//! cargo run -p mindeye-participants --example participant_truth -- OUT.json
//! ```

use mindeye_participants::Participant;
use mindeye_participants::betas::BetaSource;
use mindeye_participants::bold::BoldRun;
use mindeye_participants::encoding::Stimulus;
use mindeye_participants::picture::{Collection, Picture, PictureId, SIDE, WORLD};
use mindeye_participants::schedule::RUNS;
use serde_json::{Value, json};
use std::sync::Arc;

/// Voxels that are told, places in the mask.
const VOXELS: [usize; 6] = [10, 11, 500, 1200, 2500, 3900];
/// Sessions whose noise is told: 3,750 trials.
const SESSIONS: usize = 5;

fn main() {
    let out = std::env::args().nth(1).expect("usage: truth OUT.json");
    let participant = Arc::new(Participant::built_in("sub-01").expect("a built-in participant"));
    let id = PictureId { collection: Collection::Train, number: 7 };
    let stimulus = Stimulus::of(WORLD, id);
    let run = BoldRun::new(participant.clone(), 0, 0);
    let truth = json!({
        "rgb": Picture::of(WORLD, id, SIDE).rgb,
        "channels": stimulus.channels(),
        "voxels": VOXELS.map(|v| voxel(&participant, &stimulus, &run, v)),
        "times_s": times_s(),
        "noise": noise(&participant),
        "beta": participant.mixture().beta,
        "noise_factor": participant.head().noise,
    });
    std::fs::write(&out, truth.to_string()).expect("a writable file");
}

fn times_s() -> Vec<f64> {
    (0..40).map(|t| f64::from(t) * 0.9).collect()
}

fn voxel(participant: &Participant, stimulus: &Stimulus, run: &BoldRun, v: usize) -> Value {
    let (tuning, site) = (&participant.encoder().tunings()[v], &participant.anatomy().sites()[v]);
    let height = |t: f64| run.response_heights(t).map_or(0.0, |heights| heights[v]);
    let linear = participant.mask().voxels()[v];
    json!({
        "linear_index": linear,
        "centre_deg": site.centre_deg,
        "radius_deg": site.radius_deg,
        "weights": tuning.channels.to_vec(),
        "exponent": tuning.exponent,
        "drives": participant.encoder().drives(stimulus)[v],
        "stretch": run.hrf_stretch()[v],
        "heights": times_s().into_iter().map(height).collect::<Vec<_>>(),
    })
}

/// Errors of betas that are not in the head's answer, percent: [sessions x runs][trials][voxels told].
fn noise(participant: &Participant) -> Vec<Vec<Vec<f32>>> {
    let source = BetaSource::new(participant);
    let silent = vec![0.0; participant.mask().len()];
    let of_run = |session: usize, run: usize| {
        let betas = source.run(session, run, &|_| silent.clone());
        let (day, shown) = (participant.day_state(session), participant.schedule().run(session, run));
        let error = |trial: usize| {
            let answer = participant.answer(&silent, &participant.trial_state(session, run, trial, shown[trial]), &day);
            VOXELS.map(|v| betas[[trial, v]] - answer[v]).to_vec()
        };
        (0..shown.len()).map(error).collect::<Vec<_>>()
    };
    (0..SESSIONS).flat_map(|s| (0..RUNS).map(move |r| (s, r))).map(|(s, r)| of_run(s, r)).collect()
}
