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
export const UNAVAILABLE_KEYS: readonly UnavailableKey[] = [
  { place: 'destination', key: 'headers' },
  { place: 'destination', key: 'auth' },
  { place: 'destination', key: 'signing_secret' },
  { place: 'destination', key: 'tls' },
  { place: 'destination', key: 'compress', off: false },
  { place: 'destination', key: 'public_only', off: false },
  { place: 'destination', key: 'max_per_second' },
  { place: 'destination', key: 'batch' },
];

/** Destination types that are refused. */
export const UNAVAILABLE_TYPES: readonly string[] = ['custom_sql', 'sql_insert'];

/** Finds what a configuration asks for that this version cannot do. */
export function findUnavailable(value: unknown): Finding[] {
  const findings = unavailableKeys(value, [], 'top');
  const entries = valueAt(value, ['event_destinations']);
  if (!Array.isArray(entries)) return findings;
  for (const at of entries.keys()) {
    const entry: Path = ['event_destinations', at];
    findings.push(...unavailableKeys(value, entry, 'entry'));
    const destination: Path = [...entry, 'destination'];
    const type = valueAt(value, [...destination, 'type']);
    if (typeof type === 'string' && UNAVAILABLE_TYPES.includes(type)) {
      findings.push({ path: [...destination, 'type'], message: refusal(`the destination type "${type}"`) });
    } else {
      findings.push(...unavailableKeys(value, destination, 'destination'));
    }
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
  ).map(({ key }) => ({ path, key, message: refusal(`"${key}"`) }));
}

function refusal(what: string): string {
  return `${what} is not available in this version of tailrace yet; take it out`;
}
