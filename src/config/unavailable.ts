// What SPEC 5 names and this version cannot do yet. It is refused instead of ignored: nobody should believe that their
// requests are signed. A feature that arrives takes its line out of this table, and nothing else here changes.

import { type Finding, isObject, type Path, valueAt } from './problem.ts';

interface UnavailableKey {
  readonly place: 'top' | 'entry' | 'destination';
  readonly key: string;
  /** The value that asks for nothing, and is good. */
  readonly off?: boolean;
}

/** Keys that are refused. */
export const UNAVAILABLE_KEYS: readonly UnavailableKey[] = [];

/** Finds what a configuration asks for that this version cannot do. */
export function findUnavailable(value: unknown): Finding[] {
  const findings = unavailableKeys(value, [], 'top');
  const entries = valueAt(value, ['event_destinations']);
  if (!Array.isArray(entries)) return findings;
  for (const at of entries.keys()) {
    const entry: Path = ['event_destinations', at];
    findings.push(...unavailableKeys(value, entry, 'entry'));
    findings.push(...unavailableKeys(value, [...entry, 'destination'], 'destination'));
  }
  return findings;
}

function unavailableKeys(value: unknown, path: Path, place: UnavailableKey['place']): Finding[] {
  const object = valueAt(value, path);
  if (!isObject(object)) return [];
  return UNAVAILABLE_KEYS.filter(
    (entry) =>
      entry.place === place &&
      Object.hasOwn(object, entry.key) &&
      (entry.off === undefined || object[entry.key] !== entry.off),
  ).map(({ key }) => ({
    path,
    key,
    message: `"${key}" is not available in this version of tailrace yet; take it out`,
  }));
}
