// Draws one revision of one trial: the three pictures, the best matches, and what was said about them.

import { count, element, find, milliseconds, percentage, say } from './words.js';

const EFFORTS = {
  full: 'full: the complete picture',
  fast: 'fast: complete, in fewer steps',
  blurry: 'blurry: layout and colours only',
  retrieval: 'retrieval only: no picture drawn',
  skipped: 'skipped: no answer',
};
const REASONS = {
  restart: 'its deadline passed while the daemon restarted',
  no_volumes: 'no brain volume in its window',
  late: 'nothing was ready by the deadline',
  run_ended: 'the run ended before it was due',
  engine: 'the engine failed',
};
const MATCHES = 5;

/// Draws `known.trial` over whatever stood there; nothing of an earlier trial or revision survives.
export function drawTrial({ trial, picture }) {
  drawHeading(trial);
  drawStimulus(trial);
  drawRetrieved(trial);
  drawReconstructed(trial, picture);
  drawMatches(trial);
  drawRank(trial);
}

/// Back to a page without a trial.
export function clearTrial() {
  for (const box of ['stimulus', 'retrieved', 'reconstructed']) putText(box, '');
  for (const caption of ['stimulus-caption', 'retrieved-caption', 'reconstructed-caption', 'rank', 'chance']) say(caption, '');
  for (const chip of ['in-time', 'revision', 'confidence']) say(chip, null);
  say('trial', 'No trial yet');
  find('retrieval-list').replaceChildren();
}

function drawHeading(trial) {
  say('trial', `Trial ${trial.trial}`);
  say('in-time', inTime(trial)).dataset.mood = trial.deadline_met ? 'calm' : 'alarm';
  say('revision', trial.final ? null : '… in the making');
  say('confidence', confidence(trial));
}

const VERDICTS = { abstained: ', not sure enough to answer', absent: ', none of these pictures' };

/// Without a calibration in the bundle nobody knows how sure a list is, and the page says so.
function confidence({ confidence: share, answer = null, retrieval }) {
  if (share !== null) return `confidence ${percentage(share)}${VERDICTS[answer] ?? ''}`;
  return retrieval.length > 0 ? 'confidence not calibrated' : null;
}

/// Only the final answer has met its deadline or not.
function inTime({ final: isFinal, deadline_met: met, deadline_s = null, effort, timings_ms: { total } }) {
  if (!isFinal) return null;
  const verdict = met ? '✓ in time' : effort === 'skipped' ? '▲ no answer in time' : '▲ late';
  return total === undefined || deadline_s === null ? verdict : `${verdict}: ${milliseconds(total)} of ${milliseconds(1000 * deadline_s)}`;
}

function drawStimulus({ image, pool_contains_stimulus: inPool }) {
  if (image === null) putText('stimulus', 'not told to the daemon');
  else if (inPool === false) putText('stimulus', 'not in the gallery, so not shown here');
  else putThumb('stimulus', image, `shown: ${image}`);
  say('stimulus-caption', image ?? '');
}

function drawRetrieved(trial) {
  const [best] = trial.retrieval;
  if (!best) putText('retrieved', trial.effort === 'skipped' ? 'no answer for this trial' : 'no match was looked up');
  else putThumb('retrieved', best.id, `retrieved: ${best.id}`);
  say('pool-caption', trial.pool_size ? `the best match of ${trial.pool_size} known pictures` : 'the best match in a gallery');
  const match = trial.image === null || !best ? '' : best.id === trial.image ? ' ✓ the shown one' : ' ✗ another one';
  say('retrieved-caption', best ? `${best.id}${match}` : '');
}

function drawReconstructed(trial, picture) {
  if (picture) putPicture('reconstructed', URL.createObjectURL(picture), `reconstructed, effort ${trial.effort}`, URL.revokeObjectURL);
  else if (trial.picture_bytes > 0) putText('reconstructed', 'the picture was damaged on its way here');
  else if (!trial.final) putText('reconstructed', 'being drawn');
  else putText('reconstructed', REASONS[trial.reason] ?? trial.reason ?? 'no picture for this trial');
  say('reconstructed-caption', picture || trial.final ? EFFORTS[trial.effort] ?? trial.effort : '').dataset.effort = trial.effort;
}

function drawMatches(trial) {
  const matches = trial.retrieval.slice(0, MATCHES);
  const best = Math.max(...matches.map((match) => match.score), 1e-9);
  find('retrieval-list').replaceChildren(...matches.map((match) => matchRow(match, best, match.id === trial.image)));
}

function matchRow({ id, score, rank }, best, isShown) {
  const bar = element('div', { className: 'bar' });
  bar.style.width = `${Math.max(0, (100 * score) / best).toFixed(1)}%`;
  const row = element('li', { className: isShown ? 'shown' : '', testid: 'match' }, [
    element('span', { className: 'place', text: String(rank) }),
    thumb(id, ''),
    element('span', { className: 'id', text: isShown ? `${id} ◀ shown` : id }),
    element('span', { className: 'value', text: score.toFixed(3) }),
    element('div', { className: 'track' }, [bar]),
  ]);
  return row;
}

function drawRank({ target_scores: target, chance, retrieval, pool_size: pool }) {
  const compared = retrieval.length ? `${count(pool, 'picture')} compared` : '';
  say('rank', target ? `Shown one: rank ${target.rank} of ${target.pool_size}` : '');
  say('chance', target && chance !== null ? `rank 1 by chance: ${percentage(chance)}` : compared);
}

function putText(box, text) {
  find(box).replaceChildren(element('p', { text }));
}

function putThumb(box, id, alt) {
  putPicture(box, thumbAddress(id), alt, () => {});
}

/// A new element for a new picture: one whose `src` changes keeps showing the old picture until the new one has come.
function putPicture(box, src, alt, done) {
  if (find(box).firstElementChild?.getAttribute('src') === src) return;
  const picture = element('img', { testid: `${box}-picture` });
  picture.onload = () => done(src);
  picture.onerror = () => { done(src); picture.replaceWith(element('p', { text: `no picture for “${alt}”` })); };
  Object.assign(picture, { alt, src });
  find(box).replaceChildren(picture);
}

function thumb(id, alt) {
  return Object.assign(element('img', { className: 'thumb' }), { alt, src: thumbAddress(id) });
}

function thumbAddress(id) {
  return `/api/v1/gallery/${encodeURIComponent(id)}`;
}
