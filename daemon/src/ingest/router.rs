//! The thread that owns the ROUTER socket: receive, judge, pass on, answer.

use super::{
    Command, CommitItem, Committed, FrontEndDesk, Intake, Reply, RunStartVerdict, Save, Saved, Verdict, VolumeVerdict,
};
use crate::journal::{InputContent, InputRecord, RecordedRun, read_run, recorded_bundle, run_dir};
use crate::pipeline::{RunInfo, VolumeWork, Work, labelled};
use crate::protocol::{EventMessage, Message, Reason, Refusal, RunEnd, RunStart, VolumeHeader, parse};
use crate::publish::PublishEvent;
use crate::vitals::Vitals;
use crossbeam_channel::{Receiver, Sender};
use mindeye_config::{Clock, Moment, Name};
use mindeye_preprocess::Event;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Frames of the longest message, identity included; more are read and refused.
const MAX_FRAMES: usize = 3;
/// How often the loop looks whether the daemon stops, in milliseconds.
const POLL_MS: i64 = 100;

/// What the router is connected to.
pub struct RouterParts {
    /// Bound ROUTER socket.
    pub socket: zmq::Socket,
    /// Bound PULL socket that gets an empty message when `committed` or `commands` has something.
    pub wake: zmq::Socket,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Folder of all journals.
    pub journal: PathBuf,
    /// Bundle label for `ready`.
    pub bundle: String,
    /// Engine for `ready`.
    pub engine: String,
    /// To the committer.
    pub commits: Sender<CommitItem>,
    /// From the committer.
    pub committed: Receiver<Committed>,
    /// From the pages.
    pub commands: Receiver<Command>,
    /// To the preprocess thread; when it is full the scanner has to wait.
    pub work: Sender<Work>,
    /// To the publish thread.
    pub publish: Sender<PublishEvent>,
    /// Calibrations for the runs to come.
    pub front_ends: Arc<FrontEndDesk>,
    /// Counters.
    pub vitals: Arc<Vitals>,
    /// Set when the daemon stops.
    pub stop: Arc<AtomicBool>,
}

/// The door's thread.
pub struct Router {
    parts: RouterParts,
    intake: Intake,
    run: Option<Arc<RunInfo>>,
    sequence: u64,
}

impl Router {
    /// A door with no run open.
    #[must_use]
    pub fn new(parts: RouterParts, intake: Intake) -> Self {
        Self { parts, intake, run: None, sequence: 0 }
    }

    /// Takes up the run that an earlier process left open, if this bundle can go on with it; else says why not.
    pub fn restore(&mut self, recorded: RecordedRun) {
        if let Err(refusal) = self.take_up(recorded) {
            self.tell(PublishEvent::Trouble(format!("an interrupted run is left alone: {refusal}")));
        }
    }

    fn take_up(&mut self, recorded: RecordedRun) -> Result<(), Refusal> {
        self.intake.admits(&recorded.start)?;
        self.check_bundle(&recorded)?;
        self.intake.restore(&recorded);
        self.reopen(recorded);
        Ok(())
    }

    /// Another bundle would make other betas of the same run.
    fn check_bundle(&self, recorded: &RecordedRun) -> Result<(), Refusal> {
        let refuse = |reason, message| Err(Refusal::new(reason, message).of_run(recorded.start.run.as_str()));
        let ours = labelled(&self.parts.bundle, self.parts.front_ends.current().as_deref());
        match recorded_bundle(&recorded.dir) {
            Ok(Some(bundle)) if bundle != ours => refuse(
                Reason::Conflict,
                format!("run `{}` was begun with bundle {bundle}, this is {ours}", recorded.start.run),
            ),
            Ok(_) => Ok(()),
            Err(error) => refuse(Reason::Storage, error.to_string()),
        }
    }

    /// Works until the daemon stops.
    pub fn run(mut self) {
        while !self.parts.stop.load(Ordering::Relaxed) {
            let mut items = [self.parts.wake.as_poll_item(zmq::POLLIN), self.parts.socket.as_poll_item(zmq::POLLIN)];
            if zmq::poll(&mut items, POLL_MS).is_err() {
                continue;
            }
            let [woken, message] = [items[0].is_readable(), items[1].is_readable()];
            if woken {
                self.answer_what_is_safe();
                self.obey();
            }
            if message {
                self.receive();
            }
        }
    }

    fn receive(&mut self) {
        let Ok(frames) = receive_frames(&self.parts.socket) else { return };
        let arrived = self.parts.clock.now();
        let Some((identity, frames)) = frames.split_first() else { return };
        if let Err(refusal) = self.judge(identity, frames, arrived) {
            self.refuse(identity, refusal);
        }
    }

    fn judge(&mut self, to: &[u8], frames: &[Vec<u8>], arrived: Moment) -> Result<(), Refusal> {
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        match parse(&frames)? {
            Message::RunStart(start) => self.run_start(to, start, arrived),
            Message::Volume(header, voxels) => self.volume(to, header, voxels, arrived),
            Message::Event(message) => self.event(to, message, arrived),
            Message::RunEnd(end) => self.run_end(to, end, arrived),
        }
    }

    // === messages

    fn run_start(&mut self, to: &[u8], start: Box<RunStart>, arrived: Moment) -> Result<(), Refusal> {
        self.recall(&start, arrived)?;
        let before = self.run.clone();
        match self.intake.run_start(&start, arrived)? {
            RunStartVerdict::Resume { next_index } => {
                let reply = self.ready(&start.run, next_index);
                self.commit(CommitItem::Answer { to: to.to_vec(), reply });
            }
            RunStartVerdict::New => {
                if before.is_some() {
                    self.pass_on(Work::Close);
                }
                self.open(start.as_ref().clone(), None);
                let reply = self.ready(&start.run, 0);
                self.save(Some((to, reply)), InputContent::RunStart(start), Arc::default(), arrived);
            }
        }
        Ok(())
    }

    /// Looks up whether an earlier process knew the run: it may have ended, or go on.
    fn recall(&mut self, start: &RunStart, now: Moment) -> Result<(), Refusal> {
        let is_open = self.intake.open_run().is_some_and(|open| open.run == start.run && open.session == start.session);
        let dir = run_dir(&self.parts.journal, &start.session, &start.run);
        if is_open || self.intake.is_stopped() || !dir.join(crate::journal::INPUT_FILE).exists() {
            return Ok(());
        }
        match read_run(&dir) {
            Ok(run) if run.has_ended() => self.intake.remember_closed(&start.session, &start.run),
            Ok(run) => {
                self.intake.make_way(now).map_err(|refusal| refusal.of_run(start.run.as_str()))?;
                if self.run.is_some() {
                    self.pass_on(Work::Close);
                }
                self.take_up(run)?;
            }
            Err(crate::journal::JournalError::Empty { .. }) => {}
            Err(error) => return Err(Refusal::new(Reason::Storage, error.to_string()).of_run(start.run.as_str())),
        }
        Ok(())
    }

    fn volume(&mut self, to: &[u8], header: VolumeHeader, voxels: &[u8], arrived: Moment) -> Result<(), Refusal> {
        let verdict = self.intake.volume(&header, voxels, arrived)?;
        let reply = Reply::AcceptedVolume { run: header.run.to_string(), index: header.index };
        match verdict {
            VolumeVerdict::Repeat => self.commit(CommitItem::Answer { to: to.to_vec(), reply }),
            VolumeVerdict::SaveAgain => {
                self.save(Some((to, reply)), InputContent::Volume(header), Arc::new(voxels.to_vec()), arrived);
            }
            VolumeVerdict::New { gap_before, start_s, nominal } => {
                let voxels = Arc::new(voxels.to_vec());
                self.parts.vitals.volume_accepted(arrived, gap_before);
                let (index, dtype) = (header.index, header.dtype);
                self.save(Some((to, reply)), InputContent::Volume(header), voxels.clone(), arrived);
                let received = self.parts.clock.now().since(arrived);
                let arrived_unix_s = self.parts.clock.unix_s();
                self.pass_on(Work::Volume(VolumeWork {
                    index,
                    gap_before,
                    start_s,
                    nominal,
                    dtype,
                    voxels,
                    arrived,
                    arrived_unix_s,
                    received,
                }));
            }
        }
        Ok(())
    }

    fn event(&mut self, to: &[u8], message: EventMessage, arrived: Moment) -> Result<(), Refusal> {
        let verdict = self.intake.event(&message, arrived)?;
        let reply = Reply::AcceptedEvent { run: message.run.to_string(), trial: message.event.trial };
        if verdict == Verdict::Repeat {
            self.commit(CommitItem::Answer { to: to.to_vec(), reply });
            return Ok(());
        }
        self.tell_stimulus(&message);
        let event = &message.event;
        self.pass_on(Work::Event(Event { trial: event.trial, onset_s: event.onset_s, duration_s: event.duration_s }));
        self.save(Some((to, reply)), InputContent::Event(message), Arc::default(), arrived);
        Ok(())
    }

    fn run_end(&mut self, to: &[u8], end: RunEnd, arrived: Moment) -> Result<(), Refusal> {
        let verdict = self.intake.run_end(&end)?;
        let reply = Reply::AcceptedEnd { run: end.run.to_string(), volumes: end.volumes };
        if verdict == Verdict::Repeat {
            self.commit(CommitItem::Answer { to: to.to_vec(), reply });
            return Ok(());
        }
        self.save(Some((to, reply)), InputContent::RunEnd(end), Arc::default(), arrived);
        self.pass_on(Work::Close);
        self.forget_run();
        Ok(())
    }

    fn forget_run(&mut self) {
        self.run = None;
        self.parts.front_ends.set_run_is_open(false);
    }

    // === runs

    fn open(&mut self, start: RunStart, recorded: Option<Arc<RecordedRun>>) {
        let dir = run_dir(&self.parts.journal, &start.session, &start.run);
        self.parts.front_ends.set_run_is_open(true);
        let run = Arc::new(RunInfo { start, dir, front_end: self.parts.front_ends.current() });
        self.run = Some(run.clone());
        self.tell(PublishEvent::Open { run: run.clone(), restored: recorded.is_some() });
        self.pass_on(Work::Open { run, recorded });
    }

    fn reopen(&mut self, recorded: RecordedRun) {
        let newest = recorded.records.iter().map(|(record, _)| record.sequence).max();
        self.sequence = self.sequence.max(newest.map_or(0, |newest| newest + 1));
        let recorded = Arc::new(recorded);
        self.open(recorded.start.clone(), Some(recorded.clone()));
        for (record, _) in &recorded.records {
            if let InputContent::Event(message) = &record.content {
                self.tell_stimulus(message);
            }
        }
    }

    fn tell_stimulus(&self, message: &EventMessage) {
        let Some(run) = self.run.clone() else { return };
        let (trial, image) = (message.event.trial, message.event.image.clone());
        self.tell(PublishEvent::Stimulus { run, trial, image, condition: message.event.condition });
    }

    fn ready(&self, run: &Name, next_index: u32) -> Reply {
        Reply::Ready {
            run: run.to_string(),
            bundle: labelled(&self.parts.bundle, self.run.as_ref().and_then(|run| run.front_end.as_deref())),
            engine: self.parts.engine.clone(),
            next_index,
        }
    }

    // === journal

    /// Commands given while no run is open are kept in a journal of their own, above all sessions.
    fn save(&mut self, answer: Option<(&[u8], Reply)>, content: InputContent, voxels: Arc<Vec<u8>>, arrived: Moment) {
        let arrived_unix_s = self.parts.clock.unix_s();
        let record = InputRecord { sequence: self.sequence, arrived, arrived_unix_s, content };
        self.sequence += 1;
        let dir = self.run.as_ref().map_or(&self.parts.journal, |run| &run.dir);
        self.commit(CommitItem::Save(Box::new(Save {
            answer: answer.map(|(to, reply)| (to.to_vec(), reply)),
            dir: Arc::new(dir.clone()),
            run: self.run.as_ref().map(|run| run.start.run.clone()),
            record,
            voxels,
        })));
    }

    fn answer_what_is_safe(&mut self) {
        while self.parts.wake.recv_msg(zmq::DONTWAIT).is_ok() {}
        while let Ok(committed) = self.parts.committed.try_recv() {
            match committed {
                Committed::Safe { answer, saved } => {
                    if let Some(Saved { content: InputContent::Volume(header), took }) = saved.as_deref() {
                        self.tell(PublishEvent::Journalled { index: header.index, took: *took });
                    }
                    answer.iter().for_each(|(to, reply)| self.send(to, reply));
                }
                Committed::Failed { save, error } => self.not_saved(&save, &error),
            }
        }
    }

    /// What could not be saved is refused, and wanted again.
    fn not_saved(&mut self, save: &Save, error: &str) {
        self.tell(PublishEvent::Trouble(error.to_owned()));
        let (Some(run), Some((to, _))) = (&save.run, &save.answer) else { return };
        let refusal = Refusal::new(Reason::Storage, error).of_run(run.as_str());
        let refusal = match &save.record.content {
            InputContent::Volume(header) => {
                self.intake.mark_unsaved(run, header.index);
                refusal.of_volume(header.index)
            }
            InputContent::Event(message) => {
                self.intake.forget_event(run, message.event.trial);
                refusal.of_trial(message.event.trial)
            }
            InputContent::RunStart(_) => {
                self.intake.forget_run(run);
                self.forget_run();
                self.pass_on(Work::Close);
                refusal
            }
            InputContent::RunEnd(_) | InputContent::Command(_) => refusal,
        };
        self.refuse(to, refusal);
    }

    // === commands

    fn obey(&mut self) {
        while let Ok(command) = self.parts.commands.try_recv() {
            let arrived = self.parts.clock.now();
            match command {
                Command::Arm | Command::Stop => {
                    self.intake.set_stopped(command == Command::Stop);
                    self.tell(PublishEvent::Stopped(command == Command::Stop));
                }
                Command::Blank | Command::Unblank => self.tell(PublishEvent::Blanked(command == Command::Blank)),
                Command::LoadFrontEnd => {
                    let Some(label) = self.parts.front_ends.take_up() else { continue };
                    let said = format!("{} {label}", command.key());
                    self.save(None, InputContent::Command(said), Arc::default(), arrived);
                    continue;
                }
            }
            // The page was answered by HTTP.
            self.save(None, InputContent::Command(command.key().into()), Arc::default(), arrived);
        }
    }

    // === outlets. The threads behind these channels outlive the router; a closed channel means that the daemon stops.

    fn commit(&self, item: CommitItem) {
        let _ = self.parts.commits.send(item);
    }

    fn pass_on(&self, work: Work) {
        let _ = self.parts.work.send(work);
        self.parts.vitals.set_queue_depth(self.parts.work.len());
    }

    fn tell(&self, event: PublishEvent) {
        let _ = self.parts.publish.send(event);
    }

    fn refuse(&self, to: &[u8], refusal: Refusal) {
        self.parts.vitals.refused(refusal.reason);
        self.send(to, &Reply::Refused(refusal));
    }

    /// A peer that is gone, or does not read, gets nothing; it asks again after its reconnect.
    fn send(&self, to: &[u8], reply: &Reply) {
        let json = reply.to_json().to_string();
        let _ = self.parts.socket.send_multipart([to, json.as_bytes()], zmq::DONTWAIT);
    }
}

/// One message, identity first. Frames beyond the longest message are taken from the socket and forgotten; the message
/// is then refused for its number of frames.
fn receive_frames(socket: &zmq::Socket) -> zmq::Result<Vec<Vec<u8>>> {
    let mut frames = Vec::with_capacity(MAX_FRAMES + 1);
    loop {
        let frame = socket.recv_msg(zmq::DONTWAIT)?;
        if frames.len() <= MAX_FRAMES {
            frames.push(frame.to_vec());
        }
        if !frame.get_more() {
            return Ok(frames);
        }
    }
}
