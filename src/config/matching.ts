// Which events a rule is for, and which rules can never get any because those above them take everything.

import { canonicalType, EVENT_TYPES, findEventType } from '../event/catalog.ts';
import type { MatchConfig } from './config.ts';
import type { Finding, Path } from './problem.ts';
import type { MatchesInput } from './shape.ts';
import { didYouMean } from './suggest.ts';

/** A rule in its place in the file. */
export interface Rule {
  readonly at: number;
  readonly matches: MatchConfig;
  /** It takes nothing from the rules below it. */
  readonly continues: boolean;
}

/** Reads a `matches`: canonical types, everything in lower case. */
export function readMatches(input: MatchesInput): MatchConfig {
  const types = list(input.event_type);
  const classes = list(input.mail_class);
  return {
    eventTypes: types && new Set(types.map(canonicalType)),
    mailClasses: classes && new Set(classes.map((name) => name.toLowerCase())),
  };
}

/** Words in a `matches` that are probably slips: types nobody knows, and values that say the same twice. */
export function findDoubtfulWords(input: MatchesInput, path: Path): Finding[] {
  const unknown = (list(input.event_type) ?? []).flatMap((name, at) => {
    if (findEventType(name)) return [];
    const message = `unknown event type ${JSON.stringify(name)}${typeMeant(name)}`;
    return [{ path: wordPath(input.event_type, [...path, 'event_type'], at), message }];
  });
  return [
    ...unknown,
    ...repeated(input.event_type, [...path, 'event_type'], canonicalType),
    ...repeated(input.mail_class, [...path, 'mail_class'], (name) => name.toLowerCase()),
  ];
}

/** The hint that ends a message about a type that nobody knows: `; did you mean "scomp"?`, or nothing. */
export const typeMeant = (name: string): string =>
  didYouMean(
    name,
    EVENT_TYPES.map((type) => type.name),
  );

function repeated(words: string | string[] | undefined, path: Path, canonical: (word: string) => string): Finding[] {
  const seen = new Map<string, string>();
  return (list(words) ?? []).flatMap((word, at) => {
    const first = seen.get(canonical(word));
    seen.set(canonical(word), first ?? word);
    if (first === undefined) return [];
    const message =
      first === word ? `${JSON.stringify(word)} is listed twice` : `${JSON.stringify(word)} is the same as "${first}"`;
    return [{ path: wordPath(words, path, at), message }];
  });
}

function list(words: string | string[] | undefined): string[] | null {
  if (words === undefined) return null;
  return typeof words === 'string' ? [words] : words;
}

function wordPath(words: string | string[] | undefined, path: Path, at: number): Path {
  return Array.isArray(words) ? [...path, at] : path;
}

/** The event types and Mail Classes that no rule names, standing for all of them. */
const ANY_OTHER = null;

/**
 * Finds the rules that never get an event: every pair of type and class they match is taken by rules above them that do
 * not `continue`.
 *
 * @param rules in the order of the file.
 * @param lineOf the line on which the entry with this index begins.
 */
export function findDeadRules(rules: readonly Rule[], lineOf: (at: number) => number): Finding[] {
  const allTypes = union(rules.map(({ matches }) => matches.eventTypes));
  const allClasses = union(rules.map(({ matches }) => matches.mailClasses));
  return rules.flatMap(({ at, matches }, index) => {
    const above = rules.slice(0, index).filter(({ continues }) => !continues);
    const takers = takersOf(matches, above, allTypes, allClasses);
    if (takers === null) return [];
    const lines = [...new Set(takers.map(lineOf))].sort((a, b) => a - b);
    const where = `${lines.length > 1 ? 'lines' : 'line'} ${lines.join(', ')}`;
    return [
      {
        path: ['event_destinations', at, 'matches'],
        message: `this rule never matches: the rules above it take all of its events (${where})`,
      },
    ];
  });
}

/** The earlier rules that together take everything a rule matches, or null when something is left for it. */
function takersOf(
  rule: MatchConfig,
  earlier: readonly Rule[],
  allTypes: ReadonlySet<string>,
  allClasses: ReadonlySet<string>,
): number[] | null {
  const takers = new Set<number>();
  // The others come first: that pair ends the search for nearly every rule without a condition.
  for (const type of rule.eventTypes ?? [ANY_OTHER, ...allTypes]) {
    for (const mailClass of rule.mailClasses ?? [ANY_OTHER, ...allClasses]) {
      const taker = earlier.find(
        ({ matches }) => takes(matches.eventTypes, type) && takes(matches.mailClasses, mailClass),
      );
      if (taker === undefined) return null;
      takers.add(taker.at);
    }
  }
  return [...takers];
}

function takes(condition: ReadonlySet<string> | null, word: string | null): boolean {
  return condition === null || (word !== ANY_OTHER && condition.has(word));
}

function union(sets: readonly (ReadonlySet<string> | null)[]): ReadonlySet<string> {
  return new Set(sets.flatMap((set) => [...(set ?? [])]));
}
