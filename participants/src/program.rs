//! `mindeye-participants`: looks at the pictures, lists the participants, writes their runs.

use crate::bids::write_run;
use crate::bold::BoldRun;
use crate::parameters::{Head, digest, names};
use crate::picture::{Collection, Picture, PictureId, SIDE, WORLD, contact_sheet};
use crate::schedule::{RUNS, SESSIONS};
use crate::{Participant, ParticipantError};
use clap::{Parser, Subcommand};
use mindeye_config::Failure;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Synthetic participants: pictures, and brains that see them (docs/participants.md).
#[derive(Debug, Parser)]
#[command(name = "mindeye-participants", version, about)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the participants and the digest of their parameters
    List,
    /// Paint a contact sheet of pictures (PNG)
    Sheet {
        /// The PNG file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// train, test or novel
        #[arg(long, default_value = "train")]
        collection: String,
        /// Pictures
        #[arg(long, default_value_t = 100)]
        count: u32,
        /// Pixels per side of each
        #[arg(long, default_value_t = SIDE)]
        side: usize,
    },
    /// Write runs as a BIDS dataset with its truth
    Bids {
        /// sub-01 to sub-06
        #[arg(long)]
        participant: String,
        /// Session from 1; 41 shows the second test set
        #[arg(long, default_value_t = 1)]
        session: usize,
        /// Runs of the session, from the first
        #[arg(long, default_value_t = RUNS)]
        runs: usize,
        /// The dataset's folder
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// Does what the command line says.
///
/// # Errors
/// [`Failure`] with the status to end with.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.verb {
        Verb::List => list(),
        Verb::Sheet { out, collection, count, side } => sheet(&out, &collection, count, side),
        Verb::Bids { participant, session, runs, out } => bids(&participant, session, runs, &out),
    }
}

#[expect(clippy::print_stdout, reason = "a table is what was asked for")]
fn list() -> Result<(), Failure> {
    println!("participant\tvoxels\ttr_s\thrf_stretch\tamplitude_percent\tnoise");
    for name in names() {
        let h = Head::built_in(name).map_err(Failure::other)?;
        println!("{name}\t{}\t{}\t{}\t{}\t{}", h.voxels, h.tr_s, h.hrf_stretch, h.amplitude_percent, h.noise);
    }
    println!("digest\t{}", digest().map_err(Failure::other)?);
    Ok(())
}

fn sheet(out: &Path, collection: &str, count: u32, side: usize) -> Result<(), Failure> {
    let collection =
        [Collection::Train, Collection::Test, Collection::Novel].into_iter().find(|c| c.name() == collection);
    let collection = collection.ok_or_else(|| Failure::usage("--collection must be train, test or novel"))?;
    if count == 0 || side == 0 {
        return Err(Failure::usage(format!("--count and --side must be 1 or more, found {count} and {side}")));
    }
    let picture = |number| Picture::of(WORLD, PictureId { collection, number }, side);
    let pictures: Vec<Picture> = (0..count).map(picture).collect();
    let columns = f64::from(count).sqrt().ceil() as usize;
    let bytes = contact_sheet(&pictures, columns).png().map_err(Failure::other)?;
    std::fs::write(out, bytes).map_err(|error| Failure::other(format!("{}: {error}", out.display())))
}

fn bids(name: &str, session: usize, runs: usize, out: &Path) -> Result<(), Failure> {
    if !(1..=SESSIONS + 1).contains(&session) || !(1..=RUNS).contains(&runs) {
        let found = format!("found session {session} and {runs} runs");
        return Err(Failure::usage(format!(
            "--session goes from 1 to {}, --runs from 1 to {RUNS}; {found}",
            SESSIONS + 1
        )));
    }
    let participant = Arc::new(participant(name)?);
    for run in 0..runs {
        let mut scan = BoldRun::new(participant.clone(), session - 1, run);
        let bold = write_run(out, name, session - 1, run, &mut scan).map_err(Failure::other)?;
        eprintln!("run {} of {runs}: {}", run + 1, bold.display());
    }
    Ok(())
}

fn participant(name: &str) -> Result<Participant, Failure> {
    Participant::built_in(name).map_err(|error| match error {
        ParticipantError::Preset(error) => Failure::usage(error),
        other => Failure::other(other),
    })
}
