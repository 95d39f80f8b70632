// An explanation for a person: a line for each entry of the configuration with what was met and what was not, then what
// would be sent.

import type { StatementPreview } from '../../destinations/preview.ts';
import type { ExplainedDestination, Explanation } from '../../dry-run/explanation.ts';
import { many } from '../../lib/quantity.ts';
import { visible } from '../../lib/visible.ts';
import type { Condition } from '../../router/explain-match.ts';
import type { Source } from './sources.ts';

export interface WholeExplanation extends Explanation {
  readonly source: Source;
  /** The configuration file. */
  readonly config: string;
  /** It is the configuration that was put in force last; null = PostgreSQL was not asked. */
  readonly in_force: boolean | null;
}

export interface TextOptions {
  readonly hasLogFile: boolean;
  /** Characters of a body or a value that are shown. */
  readonly maxBody: number;
}

/** A list of wanted words beyond this is cut. */
const MAX_WANTED = 8;

/** Where an event was found, for a sentence. */
export function placeOf(source: Source): string {
  switch (source.from) {
    case 'queue':
      return 'in the queue';
    case 'file':
      return `${source.file}:${source.line}`;
    case 'stdin':
      return `standard input:${source.line}`;
    default:
      return source satisfies never;
  }
}

/** Several lines of text, each with its newline. */
export function renderExplanation(whole: WholeExplanation, options: TextOptions): string {
  const { event, source, config, in_force, destinations } = whole;
  const name = event.id === null ? 'an event without an id, 0 stands for it' : `event ${event.id}`;
  const force = in_force === null ? '' : in_force ? ', in force' : ', not in force yet';
  return [
    `${name} (${quoted(event.event_type, 'without a type')}, mail_class ${quoted(event.mailclass, 'empty')}), ${placeOf(source)}, under ${config}${force}`,
    ...(options.hasLogFile ? [] : ['  there is no log file: it gets no line']),
    ...destinations.flatMap((each) => entry(each, options)),
    `  => ${outcome(whole)}`,
    '',
  ].join('\n');
}

function outcome({ outcome, destinations }: Explanation): string {
  const keysOf = (action: ExplainedDestination['action']): string[] =>
    destinations.filter((each) => each.action === action).map(({ destination }) => destination);
  const sent = keysOf('send');
  const waiting = keysOf('wait');
  const ways = [
    ...(sent.length > 0 ? [`goes to ${sent.join(' and to ')}`] : []),
    ...(waiting.length > 0 ? [`waits for ${waiting.join(' and for ')}`] : []),
  ].join(', and ');
  switch (outcome) {
    case 'delivered':
      return ways;
    case 'delivered_and_left':
      return `${ways}, and stays in the queue`;
    case 'dropped':
      return 'is thrown away: deleted from the queue, sent nowhere';
    case 'left':
      return 'stays in the queue';
    case 'nothing_to_do':
      return 'is sent nowhere: it was delivered there already, or waits for tailrace retry';
    case 'file_only':
      return 'the configuration has no destinations: its line in the log file is all, then its row is deleted';
    default:
      return outcome satisfies never;
  }
}

function entry(each: ExplainedDestination, options: TextOptions): string[] {
  const mark = each.verdict === 'taken' ? '*' : ' ';
  const first = `${mark} ${each.entry}. ${each.destination}${traits(each)}: ${verdict(each)}`;
  const conditions = each.conditions.map(
    (condition) => `       ${condition.matched ? 'yes' : 'no '}  ${why(condition)}`,
  );
  return [first, ...conditions, ...preview(each, options).map((line) => `       ${line}`.trimEnd())];
}

function traits({ type, destination, continues, enabled, paused }: ExplainedDestination): string {
  const known = [
    ...(destination.startsWith(type) ? [] : [type]),
    ...(continues ? ['continue'] : []),
    ...(enabled ? [] : ['disabled']),
    ...(paused === true ? ['paused'] : []),
  ];
  return known.length > 0 ? ` (${known.join(', ')})` : '';
}

function verdict({ verdict, taken_by, action, standing, enabled }: ExplainedDestination): string {
  if (verdict === 'other') return 'does not match';
  if (verdict === 'behind') return `would match, but entry ${taken_by} takes the event and does not continue`;
  const known = standing?.state === 'failed' ? ` again (failed ${times(standing.attempts)}: ${standing.error})` : '';
  switch (action) {
    case 'send':
      return `matches, and gets it${known}`;
    case 'wait':
      return `matches; the event waits, since the destination is ${enabled ? 'paused' : 'disabled'}`;
    case 'has_it':
      return 'matches, and has it already: it is not sent again';
    case 'parked':
      return `matches; given up there, waits for tailrace retry${standing?.state === 'parked' ? ` (${standing.error})` : ''}`;
    case 'once':
      return 'matches; an entry above sends it to the same destination, which gets it once';
    case 'drop':
      return 'matches, and throws it away';
    case 'drop_nothing':
      return 'matches, and has no effect, since other entries want it';
    case 'leave':
      return 'matches, and leaves it in the queue';
    case null:
      return 'matches';
    default:
      return action satisfies never;
  }
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);

/** `mail_class is "newsletter", wanted "password-reset"`. */
function why({ key, found, current_name, wanted, matched }: Condition): string {
  if (key === 'all') return 'all events';
  const now = current_name === null ? '' : `, now called "${current_name}"`;
  const is = `${key} is ${quoted(found, 'empty')}${now}`;
  if (matched && wanted.length === 1) return is;
  const shown = wanted.slice(0, MAX_WANTED).map((word) => `"${word}"`);
  const more = wanted.length > MAX_WANTED ? [`${wanted.length - MAX_WANTED} more`] : [];
  return `${is}, ${matched ? 'one of' : 'wanted'} ${[...shown, ...more].join(matched ? ', ' : ' or ')}`;
}

function preview({ would_send, action }: ExplainedDestination, options: TextOptions): string[] {
  if (would_send === null) return [];
  const would = action === 'wait' ? 'would be sent then' : 'would be sent';
  if (would_send.kind === 'statement') return [`${would}:`, ...statement(would_send, options)];
  const { method, url, through, headers, body, batch_max_events } = would_send;
  const shared = batch_max_events === null ? '' : `, with up to ${many(batch_max_events, 'event')} in one array`;
  return [
    `${would}${shared}:`,
    `  ${method} ${url}${through === null ? '' : ` through ${through}`}`,
    ...headers.map(([name, value]) => `  ${name}: ${visible(value)}`),
    '',
    `  ${cut(visible(body), options)}`,
  ];
}

function statement({ server, sql, table, parameters, notes }: StatementPreview, options: TextOptions): string[] {
  const width = Math.max(0, ...parameters.map(({ column }) => column.length));
  // An INSERT names its empty columns; nobody wants to read fifty NULLs.
  const shown = table === null ? parameters : parameters.filter(({ value }) => value !== null);
  const empty = parameters.length - shown.length;
  return [
    `  on ${server}`,
    ...(sql === null ? [`  INSERT INTO ${table}`] : sql.split('\n').map((line) => `  ${line}`)),
    ...shown.map(
      ({ column, value }) => `    ${column.padEnd(width)}  ${value === null ? 'NULL' : cut(visible(value), options)}`,
    ),
    ...(empty > 0 ? [`    and ${empty} more, NULL`] : []),
    ...notes.map((note) => `  note: ${note}`),
  ];
}

const quoted = (text: string | null, empty: string): string => (text === null ? empty : `"${visible(text)}"`);

function cut(text: string, { maxBody }: TextOptions): string {
  const characters = text.length > maxBody ? Array.from(text) : [];
  if (characters.length <= maxBody) return text;
  return `${characters.slice(0, maxBody).join('')}… (${many(characters.length - maxBody, 'more character')}; --json shows all)`;
}
