//! The planted gallery finds the phantom's scenes: a voxel in the wrong place anywhere between door and answer would end that.
//!
//! The null hypothesis is that each scene's rank is uniform over the 300 of the gallery, independently from trial to trial.
//! The distribution of the sum of 12 ranks follows by convolution, without sampling.

use mindeye_tests::instrument::Setup;
use mindeye_tests::listener::Listener;
use mindeye_tests::phantom_run::PhantomRun;
use mindeye_tests::sender::Sender;
use mindeye_tests::{engine, say, skip};

const TRIALS: u32 = 12;
const POOL: usize = 300;

/// Rank of each trial's scene, 1 is best.
fn ranks(run: &PhantomRun) -> Vec<usize> {
    let room = tempfile::tempdir().unwrap();
    let daemon = Setup::new(room.path()).start();
    let mut listener = Listener::connect(&daemon.results);
    run.play(&Sender::connect(&daemon.volumes));
    let rank = |answer: serde_json::Value| {
        assert_eq!(answer["target_scores"]["pool_size"], POOL, "{answer}");
        answer["target_scores"]["rank"].as_u64().expect("a rank") as usize
    };
    listener.finals(TRIALS.into()).into_iter().map(|heard| rank(heard.json)).collect()
}

/// P(sum of `ranks.len()` uniform ranks ≤ the sum of `ranks`).
fn p_of_rank_sum(ranks: &[usize], pool: usize) -> f64 {
    let mut chance = vec![1.0];
    for _ in ranks {
        let mut next = vec![0.0; chance.len() + pool];
        for (sum, p) in chance.iter().enumerate() {
            (1..=pool).for_each(|rank| next[sum + rank] += p / pool as f64);
        }
        chance = next;
    }
    chance[..=ranks.iter().sum()].iter().sum()
}

#[test]
fn the_rank_sum_distribution_is_that_of_dice() {
    // Two dice: 1, 3 and 36 of 36 throws are at most 2, 3 and 12.
    for (throw, expected) in [([1, 1], 1.0), ([1, 2], 3.0), ([6, 6], 36.0)] {
        assert!((p_of_rank_sum(&throw, 6) - expected / 36.0).abs() < 1e-12, "{throw:?}");
    }
}

#[test]
fn scenes_are_found_and_with_left_and_right_swapped_they_are_not() {
    if engine() == "mock" {
        return skip("the planted vectors are those of the real backbone, and no ONNX Runtime is there to compute it");
    }
    let run = PhantomRun::new("run-1", TRIALS, 11);
    let found = ranks(&run);
    let p = p_of_rank_sum(&found, POOL);
    say(&format!("ranks of {POOL}: {found:?}, p = {p:.1e}"));
    assert!(p < 0.001, "ranks {found:?} of {POOL}: p = {p}");

    let mut mirrored = run.named("mirrored");
    mirrored.volumes.iter_mut().for_each(|volume| mirror_x(volume));
    let found = ranks(&mirrored);
    let p = p_of_rank_sum(&found, POOL);
    say(&format!("mirrored: {found:?}, p = {p:.2}"));
    assert!(p > 0.01, "mirrored volumes must not decode: ranks {found:?} of {POOL}: p = {p}");
}

/// Turns each row of 64 int16 voxels round.
fn mirror_x(volume: &mut [u8]) {
    for row in volume.chunks_exact_mut(64 * 2) {
        row.reverse();
        // Reversed bytes are reversed voxels of swapped bytes.
        row.chunks_exact_mut(2).for_each(<[u8]>::reverse);
    }
}
