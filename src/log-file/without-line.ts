// One line per event: leaves out of a batch what has its line already though PostgreSQL does not know it, since we are
// back after a crash, or since the row came back (a fail-over to an asynchronous replica).

import { isDeepStrictEqual } from 'node:util';
import type { QueuedEvent } from '../event/event.ts';
import type { BatchEvent } from '../flow/batch.ts';
import { FRESH, LOGGED } from '../flow/standing.ts';
import type { KnownLines } from './journal/known-lines.ts';
import { contentOf } from './rendering.ts';

/**
 * Sets those events logged of which a line with their very content is known: an id may have been used again.
 *
 * @param content what a line says of an event.
 * @returns the others.
 */
export async function withoutLine(
  events: readonly BatchEvent[],
  known: readonly KnownLines[],
  content: (event: QueuedEvent) => string,
): Promise<readonly BatchEvent[]> {
  let missing = events;
  for (const source of known) {
    const suspects = missing.filter(({ event }) => source.knows(event.id));
    if (suspects.length === 0) continue;
    const lines = await source.linesOf(new Set(suspects.map(({ event }) => event.id)));
    for (const item of suspects) {
      const expected = content(item.event);
      if (lines.get(item.event.id)?.some((line) => saysTheSame(contentOf(line), expected))) setLogged(item);
    }
    missing = missing.filter(({ standing }) => !standing.logged);
  }
  return missing;
}

/**
 * Whether two lines, without their stamps, are of one event: they may have been rendered under different
 * `expand_json_columns`, or by a version that knows more fields of its type.
 */
function saysTheSame(one: string, other: string): boolean {
  if (one === other) return true;
  const [left, right] = [columnsOf(one), columnsOf(other)];
  if (left === null || right === null || left.size !== right.size) return false;
  for (const [name, value] of left) if (!right.has(name) || !isSameValue(value, right.get(name))) return false;
  return true;
}

/** An object and the text that it was made of are the same. */
function isSameValue(one: unknown, other: unknown): boolean {
  if (typeof one === typeof other) return isDeepStrictEqual(one, other);
  const [text, object] = typeof one === 'string' ? [one, other] : [other, one];
  return typeof text === 'string' && typeof object === 'object' && isDeepStrictEqual(parse(text), object);
}

/** The columns that are not null: an empty one is a field of the type, or left out. */
function columnsOf(content: string): Map<string, unknown> | null {
  const columns = parse(`{${content.slice(1)}`);
  if (typeof columns !== 'object' || columns === null) return null;
  return new Map(Object.entries(columns).filter(([, value]) => value !== null));
}

/** Strings, and numbers, of which the long ones would lose digits. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;
const EXACT_CHARS = 15;

/** Parses JSON; a long number becomes its text, so that no two are taken for the same. */
function parse(text: string): unknown {
  try {
    return JSON.parse(
      text.replace(TOKEN, (token) => (token.length > EXACT_CHARS && token[0] !== '"' ? `"#${token}"` : token)),
    );
  } catch {
    return null;
  }
}

/** Its line is in the file. */
export function setLogged(item: BatchEvent): void {
  item.standing = item.standing === FRESH ? LOGGED : { ...item.standing, logged: true, unlogged: false };
}
