//! The seed of a trial's noise: a function of what is decoded, never of when.

use mindeye_config::{Name, Sha256, sha256_of_bytes};

/// Seed for (bundle hash, seed, session, run, trial, candidate), contract section 4: the first 8 bytes of their SHA-256.
#[must_use]
pub fn noise_seed(bundle: &Sha256, seed: u64, session: &Name, run: &Name, trial: u32, candidate: u32) -> u64 {
    let text = format!("{bundle}/{seed}/{session}/{run}/{trial}/{candidate}");
    let digest = sha256_of_bytes(text.as_bytes());
    // A SHA-256 digest has 64 hexadecimal digits, of which 16 make a u64.
    u64::from_str_radix(&digest.0[..16], 16).expect("a digest is hexadecimal")
}
