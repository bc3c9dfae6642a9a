// The two latency charts as plain elements: what each step of the last trial took, and each trial's total, both against the deadline.

import { element, milliseconds, say } from './words.js';

/// In the order of the pipeline, with what each step does in plain words.
const STEPS = {
  receive: 'take in the volume', journal: 'write it to disk', queue: 'wait in line', motion: 'find head motion', resample: 'pick brain points',
  glm: 'estimate the response', zscore: 'compare with training', backbone: 'brain to image space', retrieval: 'search the gallery',
  prior: 'refine in image space', low_level: 'layout and colours', unet: 'draw details', vae: 'develop the picture', publish: 'send it out',
};

/// Fills `chart` with one row per step that ran and one for the total. Lengths are linear in time; the line is the deadline
/// (a trial that never became due has none).
export function drawSteps(chart, trial) {
  const { timings_ms: timings } = trial;
  const deadlineMs = deadlineMsOf(trial);
  const names = Object.keys(STEPS).filter((step) => step in timings);
  const fullMs = 1.06 * Math.max(deadlineMs ?? 0, ...Object.values(timings));
  const rows = names.map((step) => stepRow(step, STEPS[step], timings[step], deadlineMs, fullMs));
  if ('total' in timings) rows.push(stepRow('total', 'all of it', timings.total, deadlineMs, fullMs));
  chart.replaceChildren(...(rows.length ? rows : [element('p', { className: 'quiet', text: 'no step was run' })]));
  say('latency-caption', `of trial ${trial.trial}${deadlineMs === null ? '' : `; dashed line: the deadline, ${milliseconds(deadlineMs)}`}`);
}

function stepRow(step, meaning, ms, deadlineMs, fullMs) {
  const bar = element('div', { className: 'bar', testid: 'latency-bar' });
  bar.dataset.step = step;
  bar.dataset.mood = deadlineMs !== null && ms > deadlineMs ? 'alarm' : 'calm';
  bar.style.width = percent(ms / fullMs);
  const line = element('div', { className: 'deadline' });
  line.hidden = deadlineMs === null;
  line.style.left = percent((deadlineMs ?? 0) / fullMs);
  const row = element('div', { className: step === 'total' ? 'step total' : 'step' }, [
    element('span', { className: 'name', text: step.replace('_', ' ') }),
    element('span', { className: 'meaning', text: meaning }),
    element('div', { className: 'track' }, [line, bar]),
    element('span', { className: 'value', text: milliseconds(ms) }),
  ]);
  row.setAttribute('role', 'row');
  for (const cell of row.children) cell.setAttribute('role', 'cell');
  return row;
}

/// Fills `chart` with one column per trial, newest at the right; a missed deadline differs in colour, texture and mark.
export function drawHistory(chart, history) {
  const deadlineMs = Math.max(0, ...history.map(deadlineMsOf)); // the same for all trials of a run
  const fullMs = 1.15 * Math.max(deadlineMs, 1, ...history.map((trial) => trial.timings_ms.total ?? 0));
  const line = element('div', { className: 'deadline' }, [element('span', { text: `deadline ${milliseconds(deadlineMs)}` })]);
  line.hidden = deadlineMs === 0;
  line.style.bottom = percent(deadlineMs / fullMs);
  chart.replaceChildren(line, ...history.map((trial) => column(trial, fullMs)));
  const missed = history.filter((trial) => trial.deadline_met === false).length;
  chart.setAttribute('aria-label', `last ${history.length} trials: ${missed} missed the deadline of ${milliseconds(deadlineMs)}`);
}

function column(trial, fullMs) {
  const bar = element('div', { className: 'column', testid: 'latency-column' });
  const totalMs = trial.timings_ms.total ?? 0;
  bar.dataset.mood = trial.deadline_met === false ? 'alarm' : 'calm';
  bar.style.height = percent(totalMs / fullMs);
  bar.title = `trial ${trial.trial}: ${milliseconds(totalMs)}, ${trial.effort}`;
  return bar;
}

function deadlineMsOf({ deadline_s: seconds = null }) {
  return seconds === null ? null : 1000 * seconds;
}

function percent(fraction) {
  return `${(100 * Math.min(fraction, 1)).toFixed(2)}%`;
}
