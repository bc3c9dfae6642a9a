//! A real stream under a causal policy: Haxby's categories, volume by volume. Skips without the recording.

mod glm_support;
mod haxby_support;

use glm_support::Random;
use haxby_support::{Haxby, block_bootstrap, choose};
use mindeye_config::ZscorePolicy;

#[test]
fn haxby_streamed_under_a_causal_policy_is_decoded_volume_by_volume() {
    let Some(haxby) = Haxby::read() else {
        eprintln!("skipped: haxby_pymvpa is not beside the repository");
        return;
    };
    let (policy, left_out) = choose(&haxby, &[ZscorePolicy::NeutralOffset], &[1, 4], &[1.0]);
    let answers = haxby.test(policy);
    let mut random = Random::new(1);
    let (share, interval) = block_bootstrap(&answers, || random.uniform());
    eprintln!("{policy:?}, left out {left_out:.3}, test {share:.3} in {interval:.3?} of {} volumes", answers.len());
    assert_eq!(answers.len(), 4 * 8 * 9);
    // 0.38 is the bound; the interval must also lie above the 0.36 of a causal mean without rest.
    assert!(share >= 0.38 && interval[0] > 0.36, "{share:.3} in {interval:.3?}");
}
