// The operator's page: what is known becomes what is seen, and what is old is never seen as new.

import { drawHistory, drawSteps } from './charts.js';
import { follow } from './feed.js';
import { hear, linkChanged, nothingKnown, publishedTrials, staleness, volumeAgeS } from './knowledge.js';
import { drawMotion } from './motion.js';
import { clearTrial, drawTrial } from './trial.js';
import { ago, count, element, find, percentage, say } from './words.js';

const TICK_MS = 200;
const STATE_MOODS = { running: 'calm', ready: 'calm', starting: 'notice', catching_up: 'notice', degraded: 'alarm', stopped: 'alarm' };

const known = nothingKnown(performance.now());

follow({
  onLink(open) {
    linkChanged(known, open, performance.now());
    if (open) { clearTrial(); clearCharts(); }
    draw();
  },
  onMessage(message, picture) {
    if (hear(known, message, picture, performance.now())) drawTrial(known);
    if (message.type === 'trial') drawCharts();
    if (message.type === 'volume' || message.type === 'status') drawMotion(known.volumes, known.status?.registration ?? null);
    draw();
  },
});
setInterval(draw, TICK_MS);

/// Everything that changes with time or status; the pictures themselves are drawn only when a trial comes.
function draw() {
  const now = performance.now();
  const reason = staleness(known, now);
  drawFreshness(reason);
  drawConnection();
  drawState(known.status, reason);
  drawAge(now);
  if (!known.status) return;
  drawRun(known.status);
  drawWarnings(known.status);
  drawCounts(known.status);
  drawScore(known.status.score);
  drawScanner(now);
  drawSystem(known.status);
}

function drawFreshness(reason) {
  Object.assign(find('live').dataset, { stale: String(reason !== null), mood: reason?.mood ?? 'calm' });
  const banner = find('stale-banner');
  banner.hidden = reason === null;
  document.title = reason ? `${reason.headline} · MindEye live` : 'MindEye live';
  if (!reason) return;
  banner.dataset.mood = reason.mood;
  sayIfNew('stale-headline', reason.headline);
  sayIfNew('stale-detail', reason.detail);
}

function drawConnection() {
  sayIfNew('connection', known.linkOpen ? '● connected' : '✕ no connection').dataset.mood = known.linkOpen ? 'calm' : 'alarm';
}

function drawState(status, reason) {
  const state = status && !reason?.deaf ? status.state : 'unknown';
  const mood = STATE_MOODS[state] ?? 'alarm';
  const mark = { calm: '●', notice: '◐', alarm: '▲' }[mood];
  sayIfNew('state', `${mark} ${state.replace('_', ' ')}`).dataset.mood = mood;
}

function drawRun({ session, run, tr_s, speed }) {
  const pace = speed !== 1 ? ` · played ${speed}× faster` : '';
  sayIfNew('session', run === null ? 'no run yet' : `session ${session} · run ${run} · one volume per ${tr_s} s${pace}`);
}

function drawWarnings({ state, trouble, warning, bundle_origin, bundle_note, estimator_mismatch }) {
  find('random-init-warning').hidden = bundle_origin !== 'random-init';
  sayIfNew('bundle-note', bundle_note ?? '');
  find('trouble').hidden = state !== 'degraded';
  sayIfNew('trouble-text', trouble ?? '');
  find('imbalance').hidden = !warning;
  sayIfNew('imbalance-text', warning ?? '');
  find('estimator-mismatch').hidden = estimator_mismatch === null;
  sayIfNew('estimator-mismatch-text', estimator_mismatch ?? '');
}

function drawCounts(status) {
  const published = publishedTrials(status);
  const missed = status.deadlines_missed;
  sayIfNew('deadlines', published === 0 ? '–' : `${published - missed} of ${published}${missed ? ` · ▲ ${missed} missed` : ''}`)
    .dataset.mood = missed ? 'alarm' : 'calm';
  const efforts = Object.entries(status.trials).filter(([, number]) => number > 0);
  sayIfNew('efforts', efforts.map(([effort, number]) => `${number} ${effort}`).join(', '));
  sayIfNew('queue-depth', String(status.queue_depth));
  find('queue').dataset.mood = status.queue_depth > 1 ? 'notice' : 'calm';
}

function drawScore({ trials, top1, mean_rank, pool_size, chance_top1 }) {
  if (!trials) return;
  sayIfNew('score-figure', percentage(top1));
  sayIfNew('score-caption', `chance ${percentage(chance_top1)} · ${count(trials, 'trial')} · mean rank ${mean_rank.toFixed(1)} of ${pool_size}`);
  const bar = element('div', { className: 'bar' });
  bar.style.width = `${100 * top1}%`;
  const mark = element('div', { className: 'chance-mark' });
  mark.style.left = `${100 * chance_top1}%`;
  find('score-gauge').replaceChildren(bar, mark);
}

function drawScanner(now) {
  const { volumes_accepted: accepted, volume_gaps: gaps, volumes_refused: refused } = known.status;
  const ageS = volumeAgeS(known, now);
  sayIfNew('scanner-figure', ageS === null ? 'no volume' : `${ageS.toFixed(1)} s ago`);
  sayIfNew('scanner-caption', `${count(accepted, 'volume')} · ${count(gaps, 'gap')} · ${refused} refused`);
  find('scanner').dataset.mood = gaps || refused ? 'notice' : 'calm';
}

function drawSystem({ engine, bundle, bundle_note, bundle_origin, clock }) {
  sayIfNew('engine', engine);
  const note = bundle_origin === 'random-init' ? null : bundle_note; // the warning has it already
  sayIfNew('bundle', [bundle, clock && `${clock} clock`, note].filter(Boolean).join(' · '));
}

function drawAge(now) {
  const { trial, trialAt } = known;
  if (!trial) return sayIfNew('trial-story', '');
  const answered = trial.onset_to_publish_s !== null && trial.effort !== 'skipped';
  const after = !answered ? '' : `answered ${trial.onset_to_publish_s.toFixed(1)} s after the picture came on, `;
  sayIfNew('trial-story', `${after}here ${ago(now - trialAt)}`);
}

function drawCharts() {
  drawSteps(find('latency-chart'), known.trial);
  drawHistory(find('latency-history'), known.history);
}

function clearCharts() {
  for (const chart of ['latency-chart', 'latency-history']) find(chart).replaceChildren();
}

/// Text set only when it differs, so that screen readers are not told the same thing five times a second.
function sayIfNew(testid, text) {
  const target = find(testid);
  if (target.textContent !== text) target.textContent = text;
  return target;
}
