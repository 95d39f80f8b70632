// The page of `run --http`: asks the process each second and shows what it says. Whatever comes from there is set as
// text, never as markup: events hold what strangers wrote. Elements are kept and changed in place, so that the focus
// stays where it is.

import { drawCurves, newest, newestTick, takeCurves } from './curves.js';
import { count, rate, span } from './figures.js';

const ASK_MS = 1_000;
const PATIENCE_MS = 5_000;
/** sessionStorage: gone with the tab, sent by no browser of its own accord. */
const TOKEN_KEY = 'tailrace-token';

const element = (id) => document.getElementById(id);
let lastAnswer = null;
let mayChange = false;

/** Makes an element with a class and a text. */
function make(tag, className = '', text = '') {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  made.textContent = text;
  return made;
}

/** Writes only what has changed. */
function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// Figures of now.

const tiles = new Map();
function showTile(name, text) {
  let value = tiles.get(name);
  if (value === undefined) {
    value = make('dd');
    const tile = make('div');
    tile.append(make('dt', '', name), value);
    element('tiles').append(tile);
    tiles.set(name, value);
  }
  say(value, text);
}

function showTiles({ queue, totals }) {
  showTile('Logged', rate(newest('logged')));
  showTile('Delivered', rate(newest('delivered')));
  showTile('In the queue', queue === null ? '–' : `${queue.queued_is_minimum ? '> ' : ''}${count(queue.queued)}`);
  showTile('Oldest', span(queue?.oldest_seconds));
  showTile('Left by configuration', queue === null ? '–' : count(queue.left));
  showTile('Logged since the start', count(totals.logged));
}

// Destinations.

const STATES = {
  ok: 'good',
  retrying: 'warn',
  rate_limited: 'warn',
  asked_to_wait: 'warn',
  paused: 'warn',
  disabled: 'warn',
};
const rows = new Map();

/** As `tailrace status` says it: `open, probe in 42 s`. */
function stateText({ state, until_seconds: until }) {
  if (state === 'open') return until ? `open, probe in ${span(until)}` : 'open, probing';
  if (state === 'asked_to_wait') return until ? `asked to wait ${span(until)}` : 'asked to wait, probing';
  return state.replaceAll('_', ' ');
}

function makeRow(name) {
  const item = make('li');
  const head = make('div');
  const state = make('span', 'badge');
  head.append(make('h3', '', name), state);
  const button = make('button');
  button.type = 'button';
  const list = make('dl');
  const facts = ['Waiting', 'Retrying', 'Parked', 'Oldest', 'Rate'].map((title) => {
    const fact = make('div');
    const value = make('dd');
    fact.append(make('dt', '', title), value);
    list.append(fact);
    return value;
  });
  const error = make('p', 'error');
  item.append(head, button, list, error);
  const row = { item, state, button, facts, error, paused: false };
  // Not `disabled`: that would take the focus away.
  button.addEventListener('click', () => {
    if (button.getAttribute('aria-disabled') !== 'true') change(name, row);
  });
  return row;
}

function showDestinations(destinations) {
  const names = new Set(destinations.map(({ destination }) => destination));
  for (const [name, { item }] of rows) {
    if (names.has(name)) continue;
    item.remove();
    rows.delete(name);
  }
  for (const each of destinations) {
    let row = rows.get(each.destination);
    if (row === undefined) {
      row = makeRow(each.destination);
      rows.set(each.destination, row);
      element('destinations').append(row.item);
    }
    row.state.className = `badge ${STATES[each.state] ?? 'bad'}`;
    say(row.state, stateText(each));
    const { waiting, retrying, parked, oldest_seconds, per_second } = each;
    const facts = [...[waiting, retrying, parked].map((value) => (value == null ? '–' : count(value)))];
    for (const [at, text] of [...facts, span(oldest_seconds), rate(per_second)].entries()) say(row.facts[at], text);
    row.error.hidden = each.last_error == null;
    say(row.error, each.last_error == null ? '' : `Last error: ${each.last_error}`);
    row.paused = each.state === 'paused';
    row.button.hidden = !mayChange || each.destination.startsWith('(');
    say(row.button, row.paused ? 'Resume' : 'Pause');
    row.button.setAttribute('aria-label', `${row.paused ? 'Resume' : 'Pause'} ${each.destination}`);
  }
  element('no-destinations').hidden = destinations.length > 0;
}

async function change(name, row) {
  const verb = row.paused ? 'resume' : 'pause';
  row.button.setAttribute('aria-disabled', 'true');
  try {
    const answer = await ask(`/api/${verb}?destination=${encodeURIComponent(name)}`, 'POST');
    const { message } = await answer.json();
    say(element('said'), answer.ok ? `${name}: ${verb}d` : `${name} could not be ${verb}d: ${message}`);
    showProblem(answer.ok ? null : `Could not ${verb} ${name}: ${message}`);
    if (answer.ok) await refresh();
  } catch {
    showProblem(`Could not ${verb} ${name}: no answer.`);
  } finally {
    row.button.removeAttribute('aria-disabled');
  }
}

// What is wrong.

let ownProblem = null;
let processProblems = [];
function showProblem(text) {
  ownProblem = text;
  showProblems();
}

function showProblems() {
  const texts = [...(ownProblem === null ? [] : [ownProblem]), ...processProblems];
  const list = element('problems');
  list.hidden = texts.length === 0;
  const shown = [...list.children].map((item) => item.textContent);
  if (JSON.stringify(shown) !== JSON.stringify(texts))
    list.replaceChildren(...texts.map((text) => make('li', '', text)));
}

// The newest lines.

function showLines({ lines, log, heads_only }) {
  const place =
    log === null
      ? 'This process writes no log file now.'
      : `${log.path ?? 'No file is open'}; rotated ${count(log.rotations)} times since the start`;
  say(element('log'), `${place}${heads_only && lines.length > 0 ? '; with a token whole lines are shown' : ''}`);
  const list = element('lines');
  const shown = [...list.children].map((item) => item.textContent);
  if (shown.length === lines.length && shown.every((text, at) => text === lines[at])) return;
  list.replaceChildren(...lines.map((line) => make('li', '', line)));
  const box = list.parentElement;
  if (!box.matches(':focus-within, :hover')) box.scrollTop = box.scrollHeight;
}

// Asking.

function ask(path, method = 'GET') {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  return fetch(path, { method, headers, cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
}

function show(state) {
  mayChange = state.may_change;
  takeCurves(state);
  const isWell = state.problems.length === 0;
  element('role').className = `badge ${isWell ? 'good' : 'bad'}`;
  say(element('role'), state.role);
  const epoch = state.epoch === null ? '' : `, epoch ${state.epoch}`;
  say(element('about'), `${state.version}, up ${span((Date.now() - state.started_at) / 1_000)}${epoch}`);
  processProblems = state.problems;
  showProblems();
  showTiles(state);
  drawCurves();
  showDestinations(state.destinations);
  showLines(state);
  element('hint').hidden = mayChange;
  element('figures').hidden = false;
}

function wantToken(isWrong) {
  element('figures').hidden = true;
  element('sign-in').hidden = false;
  if (isWrong) {
    sessionStorage.removeItem(TOKEN_KEY);
    say(element('sign-in-why'), 'That token is not one of this process.');
  }
  say(element('role'), 'locked');
}

async function refresh() {
  const hadToken = sessionStorage.getItem(TOKEN_KEY) !== null;
  try {
    const answer = await ask(`/api/state?after=${newestTick()}`);
    lastAnswer = new Date();
    element('connection').hidden = true;
    document.body.classList.remove('stale');
    element('forget').hidden = !hadToken || answer.status === 401;
    if (answer.status === 401) return wantToken(hadToken);
    const state = await answer.json();
    if (!answer.ok) throw new Error(state.message);
    element('sign-in').hidden = true;
    show(state);
  } catch (error) {
    const since =
      lastAnswer === null ? 'nothing has come yet' : `the figures are those of ${lastAnswer.toLocaleTimeString()}`;
    const why = error instanceof TypeError ? '' : ` (${error.message})`;
    say(element('connection'), `The process does not answer${why}: ${since}. Trying again each second.`);
    element('connection').hidden = false;
    document.body.classList.add('stale');
  }
}

element('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN_KEY, element('token').value.trim());
  element('token').value = '';
  refresh();
});
element('forget').addEventListener('click', () => {
  sessionStorage.removeItem(TOKEN_KEY);
  location.reload();
});

async function goOn() {
  // A tab that nobody sees asks nothing.
  if (!document.hidden && (element('sign-in').hidden || sessionStorage.getItem(TOKEN_KEY) !== null)) await refresh();
  setTimeout(goOn, ASK_MS);
}
goOn();
