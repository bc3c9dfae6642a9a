// The head-motion card: how far the head moved from volume to volume, how well the run lies on the bundle's reference, how
// steady the signal is.

import { count, element, find, say } from './words.js';

const FD_LIMIT_MM = 0.5; // Power et al. 2012: volumes above are commonly censored
const FULL_MM = 1; // height of the chart; a larger displacement fills its column

/// Fills the card from the last volumes, oldest first.
export function drawMotion(volumes, registration) {
  const newest = volumes.at(-1) ?? null;
  const isMeasured = newest?.motion != null;
  const displacement = newest?.framewise_displacement ?? null;
  say('motion-figure', displacement === null ? '–' : `${displacement.toFixed(2)} mm`);
  find('motion').dataset.mood = registration?.go === false || displacement > FD_LIMIT_MM ? 'notice' : 'calm';
  find('motion-chart').replaceChildren(...(isMeasured ? [limitLine(), ...volumes.map(column)] : []));
  find('motion-chart').setAttribute('aria-label', spoken(volumes));
  say('motion-caption', newest === null ? 'no volume yet' : isMeasured ? steadiness(newest) : 'not measured: this bundle takes the head to lie still');
  say('registration', registration && registered(registration));
}

function limitLine() {
  const line = element('div', { className: 'deadline' }, [element('span', { text: `${FD_LIMIT_MM} mm` })]);
  line.style.bottom = `${100 * FD_LIMIT_MM / FULL_MM}%`;
  return line;
}

function column({ index, framewise_displacement: displacement }) {
  const bar = element('div', { className: 'column', testid: 'motion-column' });
  bar.dataset.mood = displacement > FD_LIMIT_MM ? 'alarm' : 'calm';
  bar.style.height = `${100 * Math.min((displacement ?? 0) / FULL_MM, 1)}%`;
  bar.title = `volume ${index}: ${displacement === null ? 'the first' : `${displacement.toFixed(3)} mm`}`;
  return bar;
}

function spoken(volumes) {
  const above = volumes.filter(({ framewise_displacement: displacement }) => displacement > FD_LIMIT_MM).length;
  return `last ${count(volumes.length, 'volume')}: ${above} above ${FD_LIMIT_MM} mm`;
}

function steadiness({ spikes, tsnr, motion_converged: converged }) {
  const snr = tsnr === null ? '' : ` · tSNR ${tsnr.toFixed(0)}`;
  return `${count(spikes, 'spike')}${snr}${converged === false ? ' · ▲ estimate did not settle' : ''}`;
}

function registered({ go, shift_mm: shift, turn_deg: turn, objections }) {
  const place = `head ${shift.toFixed(1)} mm, ${turn.toFixed(1)}° from the bundle's reference`;
  return go ? `● go: ${place}` : `▲ no-go: ${objections.join('; ')}`;
}
