// Turns what the shapes object to into sentences: what was expected, what was found, what was probably meant.
// A value is quoted only where it cannot be a secret.

import type { z } from 'zod';
import { availableTypes } from './destination-shape.ts';
import { findPlace, placesOf } from './places.ts';
import { type Finding, formatPath, isObject, type Path, valueAt } from './problem.ts';
import { configShape } from './shape.ts';
import { didYouMean } from './suggest.ts';

type Issue = z.core.$ZodIssue;

/** Everything in a configuration that does not have the shape of SPEC 5. */
export function findShapeProblems(value: unknown): Finding[] {
  const issues = configShape.safeParse(value).error?.issues ?? [];
  return issues.flatMap((issue) => explain(issue, [], value));
}

function explain(issue: Issue, parent: Path, value: unknown): Finding[] {
  const path: Path = [...parent, ...issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step))];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path, key, message: unknownKey(path, key, value) }));
  }
  if (issue.code === 'invalid_union') {
    // A branch that is only wrong further inside says it better than the union as a whole.
    const inner = issue.errors.filter((branch) => branch.every((problem) => problem.path.length > 0));
    const [only, ...others] = inner;
    if (only !== undefined && only.length > 0 && others.length === 0) {
      return only.flatMap((problem) => explain(problem, path, value));
    }
  }
  const found = valueAt(value, path);
  const last = path.at(-1);
  if (found === undefined && typeof last === 'string') {
    return [{ path, message: `"${last}" is missing: expected ${issue.message}` }];
  }
  const hint = typeof found === 'string' ? didYouMean(found, wordsFor(issue, path)) : '';
  return [{ path, message: `${subject(path)}: expected ${issue.message}, found ${describe(found, path)}${hint}` }];
}

/** The words among which a wrong one is looked for. */
function wordsFor(issue: Issue, path: Path): string[] {
  if (issue.code === 'invalid_value') return issue.values.filter((word) => typeof word === 'string');
  return issue.code === 'invalid_union' && path.at(-1) === 'type' ? [...availableTypes] : [];
}

function unknownKey(path: Path, key: string, value: unknown): string {
  const place = findPlace(path, value);
  const unknown = `unknown key ${JSON.stringify(key.slice(0, 100))}${place ? ` ${place.title}` : ''}`;
  const elsewhere = placesOf(key);
  if (place?.type !== undefined) {
    const types = elsewhere.flatMap(({ type }) => (type === undefined ? [] : [`"${type}"`]));
    if (types.length > 0) return `${unknown}; it belongs to the type ${types.join(' and ')}`;
  }
  const hint = didYouMean(key, place?.keys ?? []);
  if (hint !== '') return unknown + hint;
  const [other] = elsewhere;
  return other === undefined ? unknown : `${unknown}; it belongs ${other.title}`;
}

function subject(path: Path): string {
  if (path.length === 0) return 'the configuration';
  const at = path.findLastIndex((step) => typeof step === 'string');
  return at === path.length - 1 ? JSON.stringify(path[at]) : formatPath(path.slice(at));
}

/** Keys whose values can be secrets, at any depth below them. */
const SECRET_KEYS: readonly unknown[] = [
  'url',
  'db_dsn',
  'db_username',
  'db_password',
  'headers',
  'auth',
  'signing_secret',
];

/** Longer ones, and those that look like an address, are not quoted. */
const QUOTABLE = /^(?!.*:\/\/)[^@]{0,60}$/s;

function describe(found: unknown, path: Path): string {
  const secret = path.some((step) => SECRET_KEYS.includes(step));
  if (Array.isArray(found)) return found.length === 0 ? 'an empty list' : 'a list';
  if (isObject(found)) return 'an object';
  if (found === null) return 'null';
  if (found === '') return 'an empty text';
  if (typeof found === 'string') return secret || !QUOTABLE.test(found) ? 'a text' : JSON.stringify(found);
  if (typeof found === 'number') return secret ? 'a number' : String(found);
  return secret ? 'a true or false' : String(found);
}
