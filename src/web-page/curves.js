// The curves of the last five minutes, drawn as SVG.

import { count, rate, span } from './figures.js';

/** The process keeps as many. */
const SECONDS = 300;

/** Seconds for which a value is one of now. */
const FRESH = 10;
/** A curve of nothing but zeros lies on the ground. */
const LEAST = 1e-9;

const CURVES = [
  {
    title: 'Events a second',
    text: rate,
    series: [
      ['logged', 'logged'],
      ['delivered', 'delivered'],
    ],
  },
  {
    title: 'Time to delivery',
    text: span,
    series: [
      ['half within', 'latency_p50'],
      ['99 % within', 'latency_p99'],
    ],
  },
  { title: 'Sync of the log file', text: span, series: [['99 % within', 'sync_p99']] },
  { title: 'Rows in the queue', text: (value) => (value == null ? '–' : count(value)), series: [['rows', 'queued']] },
];
const WIDTH = SECONDS - 1;
const HEIGHT = 60;
const CLASSES = ['first', 'second'];

function makeSvg(tag, attributes) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const figures = CURVES.map(({ title, text, series }) => {
  const figure = document.createElement('figure');
  const caption = document.createElement('figcaption');
  const heading = document.createElement('b');
  heading.textContent = title;
  const peak = document.createElement('span');
  peak.className = 'muted';
  const head = document.createElement('div');
  head.className = 'head';
  head.append(heading, peak);
  caption.append(head);
  const svg = makeSvg('svg', { viewBox: `0 -2 ${WIDTH} ${HEIGHT + 4}`, preserveAspectRatio: 'none', role: 'img' });
  svg.append(makeSvg('line', { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }));
  const parts = series.map(([name, curve], at) => {
    const key = document.createElement('span');
    key.className = `key ${CLASSES[at]}`;
    const path = makeSvg('path', { class: CLASSES[at] });
    caption.append(key);
    svg.append(path);
    return { name, curve, key, path };
  });
  figure.append(caption, svg);
  document.getElementById('curves').append(figure);
  return { title, text, svg, peak, parts };
});

/** Which process the seconds are of, the number of the newest one, and their values by curve. */
let seen = { startedAt: 0, tick: -1, curves: {} };

/** The newest second that is known, to be asked for what came after it. */
export const newestTick = () => seen.tick;

/** A curve's value of the newest second. */
export const newest = (curve) => seen.curves[curve]?.at(-1);

/** Takes in what came after; two answers may hold the same seconds. */
export function takeCurves({ started_at, tick, curves }) {
  const isNew = started_at !== seen.startedAt || tick < seen.tick;
  const joined = {};
  for (const [name, values] of Object.entries(curves)) {
    const known = isNew ? [] : (seen.curves[name] ?? []);
    const doubled = isNew ? 0 : Math.max(0, seen.tick - (tick - values.length));
    joined[name] = [...known, ...values.slice(doubled)].slice(-SECONDS);
  }
  seen = { startedAt: started_at, tick, curves: joined };
}

export function drawCurves() {
  for (const { title, text, svg, peak, parts } of figures) {
    const most = Math.max(LEAST, ...parts.flatMap(({ curve }) => seen.curves[curve] ?? []));
    peak.textContent = most > LEAST ? `peak ${text(most)}` : '';
    for (const { name, curve, key, path } of parts) {
      const values = seen.curves[curve] ?? [];
      path.setAttribute('d', pathOf(values, most));
      key.textContent = `${name} ${text(values.slice(-FRESH).findLast((value) => value !== null))}`;
    }
    const told = parts.map(({ key }) => key.textContent).join(', ');
    svg.setAttribute('aria-label', `${title}: ${told} ${peak.textContent}`);
  }
}

/** The newest second is at the right. A gap stays a gap; a second alone is a dot. */
function pathOf(values, most) {
  const first = SECONDS - values.length;
  let drawn = '';
  let isDown = false;
  for (const [at, value] of values.entries()) {
    if (value !== null) {
      const place = `${first + at} ${(HEIGHT * (1 - value / most)).toFixed(1)}`;
      drawn += isDown ? `L${place}` : `M${place}h0.01`;
    }
    isDown = value !== null;
  }
  return drawn;
}
