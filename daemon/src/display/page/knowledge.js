// What the page knows, and whether it may still be shown as live. Pure: the caller brings the time, nothing here touches the document.

const HISTORY_TRIALS = 40;
const HISTORY_VOLUMES = 60;
const STALE_AFTER_S = 2; // until the first status brings the daemon's own `stale_after_s`
const SCANNER_SILENT_TRS = 3;

/// Everything heard since the socket opened. `now`: milliseconds of one monotonic clock, as everywhere in this file.
export function nothingKnown(now) {
  return {
    linkOpen: false, linkSince: now, heardAt: now,
    status: null, statusAt: now,
    volume: null,
    volumes: [], // the last volumes of the run, oldest first
    trial: null, picture: null, trialAt: now,
    history: [], // latest revision of each trial of the run, oldest first
  };
}

/// A reopened socket starts from nothing: the daemon sends its latest status and trial again.
/// A lost one keeps what was known, so that the operator can still read it, greyed.
export function linkChanged(known, open, now) {
  if (open) Object.assign(known, nothingKnown(now));
  if (known.linkOpen !== open) known.linkSince = now;
  known.linkOpen = open;
}

/// Takes in one message; true when the trial on display has changed.
export function hear(known, message, picture, now) {
  known.heardAt = now;
  switch (message.type) {
    case 'status': Object.assign(known, { status: message, statusAt: now }); return false;
    case 'volume': hearVolume(known, message); return false;
    case 'trial': return hearTrial(known, message, picture, now);
    default: return false; // later versions may say more
  }
}

function hearVolume(known, volume) {
  if (known.volume && !sameRun(known.volume, volume)) known.volumes = [];
  known.volume = volume;
  known.volumes.push(volume);
  if (known.volumes.length > HISTORY_VOLUMES) known.volumes.shift();
}

/// A revision stands for its trial completely: what it does not carry is not shown, whoever carried it before.
function hearTrial(known, trial, picture, now) {
  if (known.trial && !sameRun(known.trial, trial)) known.history = [];
  remember(known.history, trial);
  if (known.trial && isOlder(trial, known.trial)) return false;
  Object.assign(known, { trial, picture, trialAt: now });
  return true;
}

function remember(history, trial) {
  const place = history.findIndex((entry) => entry.trial === trial.trial);
  if (place < 0) history.push(trial);
  else if (trial.revision >= history[place].revision) history[place] = trial;
  if (history.length > HISTORY_TRIALS) history.shift();
}

function isOlder(a, b) {
  return sameRun(a, b) && (a.trial < b.trial || (a.trial === b.trial && a.revision < b.revision));
}

function sameRun(a, b) {
  return a.session === b.session && a.run === b.run;
}

/// Why the pictures must not be taken for live: `{mood: 'alarm'|'notice', headline, detail}`, or null when they may.
/// The first reason wins, the worst first. `deaf` says that the daemon's own state is not known any more either.
export function staleness(known, now) {
  const reason = noLink(known, now) ?? silence(known, now) ?? notRunning(known) ?? scannerSilent(known, now) ?? otherRun(known);
  if (!reason) return null;
  const detail = known.trial ? `${reason.detail} The pictures are old: trial ${known.trial.trial}.` : reason.detail;
  return { ...reason, detail };
}

function noLink({ linkOpen, linkSince }, now) {
  if (linkOpen) return null;
  const detail = `No connection to the daemon for ${seconds(now - linkSince)}; trying again.`;
  return { mood: 'alarm', deaf: true, headline: 'Not live: no connection', detail };
}

function silence({ status, heardAt }, now) {
  const limitS = status?.stale_after_s ?? STALE_AFTER_S;
  if (now - heardAt <= 1000 * limitS) return null;
  const detail = `Connected, but nothing heard for ${seconds(now - heardAt)}.`;
  return { mood: 'alarm', deaf: true, headline: 'Not live: daemon silent', detail };
}

/// In these states a run is open and answers are made; what went wrong in a degraded one is said elsewhere on the page.
const ANSWERING = ['running', 'degraded'];

const NOT_RUNNING = {
  starting: { mood: 'notice', headline: 'Starting', detail: 'The networks are being loaded and checked.' },
  ready: { mood: 'notice', headline: 'Ready', detail: 'No run is open; waiting for the scanner.' },
  catching_up: { mood: 'notice', headline: 'Catching up', detail: 'An interrupted run is being fed again; answers are late.' },
  stopped: { mood: 'alarm', headline: 'Not live: stopped', detail: 'The daemon has stopped.' },
};

function notRunning({ status }) {
  if (!status) return { mood: 'notice', headline: 'Connected', detail: 'Waiting for the first word of the daemon.' };
  if (ANSWERING.includes(status.state)) return null;
  return NOT_RUNNING[status.state] ?? { mood: 'alarm', headline: 'Not live', detail: `The daemon says “${status.state}”.` };
}

function scannerSilent(known, now) {
  const ageS = volumeAgeS(known, now);
  if (ageS === null || ageS <= scannerLimitS(known)) return null;
  return { mood: 'alarm', headline: 'Not live: scanner silent', detail: `The last brain volume came ${ageS.toFixed(0)} s ago.` };
}

function scannerLimitS({ status }) {
  const trS = (status.tr_s ?? 0) / (status.speed ?? 1);
  return Math.max(SCANNER_SILENT_TRS * trS, status.stale_after_s);
}

function otherRun({ status, trial }) {
  if (!trial || sameRun(trial, status)) return null;
  return { mood: 'notice', headline: 'New run', detail: `Waiting for the first trial of ${status.session} · ${status.run}.` };
}

/// Seconds since the daemon received its last volume, or null before the first.
export function volumeAgeS({ status, statusAt }, now) {
  const age = status?.last_volume_age_s ?? null;
  return age === null ? null : age + (now - statusAt) / 1000;
}

/// Trials published so far in the run, whatever the effort.
export function publishedTrials(status) {
  return Object.values(status.trials).reduce((sum, count) => sum + count, 0);
}

function seconds(ms) {
  return `${Math.floor(ms / 1000)} s`;
}
