// How the page says things: numbers with their units, elements with their text. Text never becomes markup.

/// 0.4 ms, 61 ms, 12.3 s.
export function milliseconds(ms) {
  if (ms >= 10000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
}

/// 0.33 %, 9.1 %, 82 %.
export function percentage(fraction) {
  const value = 100 * fraction;
  return `${value.toFixed(value < 1 ? 2 : value < 10 ? 1 : 0)} %`;
}

/// 1 trial, 2 trials.
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/// How long ago, for a caption that ticks.
export function ago(ms) {
  const s = Math.floor(ms / 1000);
  return s < 1 ? 'just now' : s < 60 ? `${s} s ago` : `${Math.floor(s / 60)} min ${s % 60} s ago`;
}

/// A new element; `testid` is the name by which tests find it.
export function element(tag, { className = '', testid = null, text = null } = {}, children = []) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (testid) made.dataset.testid = testid;
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

/// The element of the page with this `data-testid`.
export function find(testid) {
  return document.querySelector(`[data-testid="${testid}"]`);
}

/// Sets the text of an element of the page; null hides it.
export function say(testid, text) {
  const target = find(testid);
  target.hidden = text === null;
  target.textContent = text ?? '';
  return target;
}
