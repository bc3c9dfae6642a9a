//! `scanner`: a recorded run or a phantom, played as a scanner would.

use super::args::{EmitKind, ScannerArgs};
use super::{positive, stop_on_signals};
use crate::scanner::emit::{AfniEmitter, DicomEmitter, DicomKind, EmitError, EmitPace, Emitter, PynealEmitter, emit};
use crate::scanner::{
    NiftiSource, ParticipantSource, PhantomSource, Played, ScanSource, Scanner, ScannerError, ScannerOptions,
};
use mindeye_config::{Clock, Failure, Name, SystemClock};
use mindeye_participants::bold::BoldRun;
use mindeye_participants::schedule::{RUNS, SESSIONS};
use mindeye_participants::{Participant, ParticipantError};
use mindeye_preprocess::AffineSource;
use mindeye_preprocess::phantom::{Phantom, PhantomConfig};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Plays the run to its end.
pub(super) fn run(args: ScannerArgs) -> Result<(), Failure> {
    let clock = SystemClock::start();
    let stop = stop_on_signals()?;
    let mut source = source(&args)?;
    if args.emit != EmitKind::Native {
        return play_as(&args, source.as_mut(), clock.as_ref(), &stop);
    }
    let options = scanner_options(&args, clock.as_ref())?;
    eprintln!("playing run {} of session {} to {}", options.run, options.session, options.connect);
    let context = zmq::Context::new();
    let scanner = Scanner::connect(&context, options, source.as_mut(), clock, stop).map_err(scanner_failure)?;
    let played = scanner.play().map_err(scanner_failure)?;
    eprintln!("{}", summary(&played));
    Ok(())
}

/// Plays the run as another program would send it.
fn play_as(
    args: &ScannerArgs,
    source: &mut dyn ScanSource,
    clock: &dyn Clock,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let pace = EmitPace { speed: positive("--speed", args.speed)?, volumes: args.volumes };
    let context = zmq::Context::new();
    let mut emitter = emitter(args, &context, clock)?;
    eprintln!("playing to {}", args.connect);
    let volumes = emit(source, emitter.as_mut(), pace, clock, stop).map_err(emit_failure)?;
    eprintln!("{volumes} volumes sent");
    Ok(())
}

fn emitter(args: &ScannerArgs, context: &zmq::Context, clock: &dyn Clock) -> Result<Box<dyn Emitter>, Failure> {
    // A series of its own for every start: milliseconds tell them apart.
    let dicom = |kind| DicomEmitter::new(kind, Path::new(&args.connect), args.series, (clock.unix_s() * 1e3) as u64);
    Ok(match args.emit {
        EmitKind::Native => return Err(Failure::other("native volumes have a sender of their own")),
        EmitKind::DicomMosaic => Box::new(dicom(DicomKind::Mosaic)),
        EmitKind::DicomXa => Box::new(dicom(DicomKind::Enhanced)),
        EmitKind::Pyneal => {
            let patience_ms = (positive("--patience-s", args.patience_s)? * 1e3).min(f64::from(i32::MAX)) as i32;
            Box::new(PynealEmitter::connect(context, &args.connect, patience_ms).map_err(emit_failure)?)
        }
        EmitKind::Afni => Box::new(AfniEmitter::new(&args.connect, &args.afni_data)),
    })
}

fn emit_failure(error: EmitError) -> Failure {
    match error {
        EmitError::VoxelType { .. } => Failure::data(error),
        EmitError::Peer { .. } => Failure::unavailable(error),
    }
}

fn source(args: &ScannerArgs) -> Result<Box<dyn ScanSource>, Failure> {
    if let Some(name) = &args.participant {
        return participant(name, args.participant_session, args.participant_run);
    }
    let Some(bold) = &args.bold else {
        let config = PhantomConfig { trials: args.trials, seed: args.seed, ..PhantomConfig::default() };
        return Ok(Box::new(PhantomSource::new(Phantom::new(config))));
    };
    for path in [Some(bold), args.events.as_ref()].into_iter().flatten() {
        if !path.exists() {
            return Err(Failure::usage(format!("{} does not exist", path.display())));
        }
    }
    let tr_s = args.tr_s.map(|tr_s| positive("--tr-s", tr_s)).transpose()?;
    let source = NiftiSource::read(bold, tr_s, args.events.as_deref()).map_err(Failure::data)?;
    if source.affine_source() == AffineSource::Pixdim {
        eprintln!("note: {} says neither by sform nor by qform where the head is", bold.display());
    }
    Ok(Box::new(source))
}

/// `session` and `run` from 1.
fn participant(name: &str, session: usize, run: usize) -> Result<Box<dyn ScanSource>, Failure> {
    let (sessions, runs) = (SESSIONS + 1, RUNS);
    if !(1..=sessions).contains(&session) || !(1..=runs).contains(&run) {
        let flags = "--participant-session and --participant-run";
        let message = format!("{flags} go to {sessions} and {runs} from 1, found {session} and {run}");
        return Err(Failure::usage(message));
    }
    let participant = Participant::built_in(name).map_err(|error| match error {
        ParticipantError::Preset(error) => Failure::usage(error),
        other => Failure::other(other),
    })?;
    Ok(Box::new(ParticipantSource::new(BoldRun::new(Arc::new(participant), session - 1, run - 1))))
}

fn scanner_options(args: &ScannerArgs, clock: &dyn Clock) -> Result<ScannerOptions, Failure> {
    let run = args.run.clone().unwrap_or_else(|| format!("run-{:.0}", clock.unix_s()));
    Ok(ScannerOptions {
        connect: args.connect.clone(),
        session: Name::new(&args.session).map_err(Failure::usage)?,
        run: Name::new(&run).map_err(Failure::usage)?,
        speed: positive("--speed", args.speed)?,
        volumes: args.volumes,
        // 300 MB of the phantom's volumes.
        in_flight: 1024,
        patience: Duration::from_secs_f64(positive("--patience-s", args.patience_s)?),
    })
}

fn scanner_failure(error: ScannerError) -> Failure {
    match error {
        ScannerError::Refused { .. } => Failure::data(error),
        ScannerError::Socket { .. } | ScannerError::Silent { .. } => Failure::unavailable(error),
    }
}

fn summary(played: &Played) -> String {
    let mut sorted = played.accepted_after_ms.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| crate::bench::percentile(&sorted, share).unwrap_or(f64::NAN);
    format!(
        "{} volumes and {} events accepted, {} messages sent again; accepted after {:.1} ms (p50), {:.1} ms (p99)",
        played.volumes,
        played.events,
        played.sent_again,
        at(0.50),
        at(0.99)
    )
}
