//! The participants are frozen: parameters, pictures and responses are those that the mixture was set with.

use mindeye_config::sha256_of_bytes;
use mindeye_participants::parameters::digest;
use mindeye_participants::picture::{Collection, Picture, PictureId, SIDE, WORLD};
use serde::Deserialize;

#[derive(Deserialize)]
struct Frozen {
    parameters: String,
    pictures: String,
    responses: Vec<Responses>,
}

#[derive(Deserialize)]
struct Responses {
    participant: String,
    values: Vec<f32>,
}

fn frozen() -> Frozen {
    toml::from_str(include_str!("../../config/participants/frozen.toml")).unwrap()
}

/// Pictures that stand for all.
fn pictures() -> impl Iterator<Item = PictureId> {
    let collections = [Collection::Train, Collection::Test, Collection::Novel, Collection::Reference];
    collections.into_iter().flat_map(|collection| (0..25).map(move |number| PictureId { collection, number }))
}

#[test]
fn parameters_are_those_that_were_frozen() {
    let found = digest().unwrap();
    assert_eq!(found.0, frozen().parameters, "the mixture is set once; a change makes every published figure void");
}

#[test]
fn pictures_are_equal_bytes() {
    assert_eq!(painted(), frozen().pictures);
}

fn painted() -> String {
    let bytes: Vec<u8> = pictures().flat_map(|id| Picture::of(WORLD, id, SIDE).rgb).collect();
    sha256_of_bytes(&bytes).0
}

/// The text of `frozen.toml`, for the one time that it is written: `cargo test ... -- --ignored --nocapture`.
#[test]
#[ignore = "prints what would be frozen and judges nothing"]
#[expect(clippy::print_stdout, reason = "what it prints is its purpose")]
fn what_would_be_frozen() {
    println!("parameters = \"{}\"\npictures = \"{}\"", digest().unwrap(), painted());
    let reference = mindeye_participants::reference_stimuli();
    for name in mindeye_participants::parameters::names() {
        println!("\n[[responses]]\nparticipant = \"{name}\"\nvalues = {:?}", golden(name, &reference));
    }
}

#[test]
fn responses_are_those_of_the_frozen_model() {
    let reference = mindeye_participants::reference_stimuli();
    let told: Vec<String> = frozen().responses.into_iter().map(|frozen| frozen.participant).collect();
    assert_eq!(told, mindeye_participants::parameters::names());
    for frozen in frozen().responses {
        let found = golden(&frozen.participant, &reference);
        for (found, expected) in found.iter().zip(&frozen.values) {
            // 2e-3 of an SD: sums in f32 whose order and whose exponential may differ between machines.
            assert!((found - expected).abs() < 2e-3, "{}: {found:?} against {:?}", frozen.participant, frozen.values);
        }
        assert_eq!(found.len(), frozen.values.len());
    }
}

/// Responses of every five hundredth voxel to the first test picture.
fn golden(name: &str, reference: &[mindeye_participants::encoding::Stimulus]) -> Vec<f32> {
    use mindeye_participants::encoding::Stimulus;
    use mindeye_participants::parameters::{Head, Mixture};
    let head = Head::built_in(name).unwrap();
    let participant = mindeye_participants::Participant::new(head, Mixture::built_in().unwrap(), reference).unwrap();
    let picture = Stimulus::of(WORLD, PictureId { collection: Collection::Test, number: 0 });
    participant.encoder().response(&picture).into_iter().step_by(500).map(|r| (r * 1e4).round() / 1e4).collect()
}
