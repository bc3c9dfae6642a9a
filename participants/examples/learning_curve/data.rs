//! Responses, embeddings and betas of one participant, made on all cores and kept from call to call where asked.

use mindeye_participants::betas::BetaSource;
use mindeye_participants::encoding::Stimulus;
use mindeye_participants::picture::{Collection, Factors, Picture, PictureId, SIDE, WORLD};
use mindeye_participants::schedule::{
    NOVEL_PICTURES, NOVEL_SESSION, RUNS, SESSIONS, Shown, TEST_PICTURES, TRAIN_PICTURES,
};
use mindeye_participants::stand_in::{StandIn, TOKEN_DIM, TOKENS};
use mindeye_participants::{DayState, Participant};
use ndarray::{Array2, Axis};
use rayon::prelude::*;

/// Pictures of the whole design: train, then test, then novel.
pub(crate) fn pictures() -> Vec<PictureId> {
    let of = |collection, count| (0..count).map(move |number| PictureId { collection, number });
    of(Collection::Train, TRAIN_PICTURES)
        .chain(of(Collection::Test, TEST_PICTURES))
        .chain(of(Collection::Novel, NOVEL_PICTURES))
        .collect()
}

/// Place of a picture in [`pictures`].
pub(crate) fn place(picture: PictureId) -> usize {
    let before = match picture.collection {
        Collection::Train => 0,
        Collection::Test => TRAIN_PICTURES,
        Collection::Novel => TRAIN_PICTURES + TEST_PICTURES,
        Collection::Reference => unreachable!("reference pictures are never shown"),
    };
    (before + picture.number) as usize
}

/// What does not depend on the participant.
pub(crate) struct World {
    pub(crate) stimuli: Vec<Stimulus>,
    /// f32[pictures, tokens x width].
    pub(crate) embeddings: Array2<f32>,
}

impl World {
    pub(crate) fn new() -> Self {
        let pictures = pictures();
        let stand_in = StandIn::default();
        let one = |id: &PictureId| {
            let (factors, picture) = (Factors::of(WORLD, *id), Picture::of(WORLD, *id, SIDE));
            (Stimulus::new(&factors, &picture), stand_in.tokens(&factors, &picture))
        };
        let (stimuli, rows): (Vec<Stimulus>, Vec<Vec<f32>>) = pictures.par_iter().map(one).unzip();
        let embeddings =
            Array2::from_shape_vec((pictures.len(), TOKENS * TOKEN_DIM), rows.concat()).expect("equal rows");
        Self { stimuli, embeddings }
    }

    /// Responses of a participant to all pictures, f32[pictures, voxels].
    pub(crate) fn responses(&self, participant: &Participant) -> Array2<f32> {
        let rows: Vec<Vec<f32>> = self.stimuli.par_iter().map(|s| participant.encoder().response(s)).collect();
        Array2::from_shape_vec((rows.len(), participant.mask().len()), rows.concat()).expect("equal rows")
    }
}

/// Betas of a collection in the order of the design.
pub(crate) struct Betas {
    /// Place in [`pictures`] of what each trial showed.
    pub(crate) picture: Vec<usize>,
    pub(crate) session: Vec<usize>,
    pub(crate) shown: Vec<Shown>,
    /// Percent signal change, f32[trials, voxels].
    pub(crate) values: Array2<f32>,
}

/// The trials of all sessions that show `collection`.
pub(crate) fn betas(source: &BetaSource<'_>, responses: &Array2<f32>, collection: Collection) -> Betas {
    let sessions = if collection == Collection::Novel { NOVEL_SESSION..NOVEL_SESSION + 1 } else { 0..SESSIONS };
    let runs: Vec<(usize, usize)> = sessions.flat_map(|s| (0..RUNS).map(move |r| (s, r))).collect();
    let of_run = |(session, run): &(usize, usize)| {
        let response = |picture| responses.row(place(picture)).to_vec();
        let values = source.run(*session, *run, &response);
        let shown = source.participant().schedule().run(*session, *run);
        let wanted: Vec<usize> = (0..shown.len()).filter(|t| shown[*t].picture.collection == collection).collect();
        let kept: Vec<Shown> = wanted.iter().map(|t| shown[*t]).collect();
        (values.select(Axis(0), &wanted), *session, kept)
    };
    let parts: Vec<_> = runs.par_iter().map(of_run).collect();
    let trials: usize = parts.iter().map(|(_, _, shown)| shown.len()).sum();
    let mut out = Betas {
        picture: Vec::new(),
        session: Vec::new(),
        shown: Vec::new(),
        values: Array2::zeros((trials, source.participant().mask().len())),
    };
    for (values, session, shown) in parts {
        let first = out.picture.len();
        out.values.slice_mut(ndarray::s![first..first + shown.len(), ..]).assign(&values);
        out.picture.extend(shown.iter().map(|s| place(s.picture)));
        out.session.extend(shown.iter().map(|_| session));
        out.shown.extend(shown);
    }
    out
}

/// States of all days.
pub(crate) fn days(participant: &Participant) -> Vec<DayState> {
    (0..participant.schedule().sessions()).map(|session| participant.day_state(session)).collect()
}
