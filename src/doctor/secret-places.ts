// Where a configuration has its secrets: written out in the file itself, in the environment, in other files. The values
// stay where they are.

import { isObject, type Path } from '../config/problem.ts';

export type SecretPlace =
  | { readonly source: 'written out'; readonly path: Path }
  | { readonly source: 'environment' | 'file'; readonly path: Path; readonly name: string };

/** Keys whose text is a secret when it is written out, at any depth below them. */
const SECRET = new Set(['auth', 'db_password', 'signing_secret']);
/** Headers that bear one by their name. */
const SECRET_HEADER = /auth|key|token|secret|cookie|password/i;
/** A password in a URL, or in a Perl DBI string. */
const WITH_PASSWORD = /^[a-z][a-z0-9+.-]*:\/\/[^/@?#]*:[^/@?#]+@|[?&;:](?:password|token|key|secret|pwd)=[^;&]+/i;
const MOST_DEEP = 16;

/** Walks through the value of a configuration file, whether it is good or not. */
export function findSecrets(value: unknown, path: Path = []): readonly SecretPlace[] {
  if (path.length > MOST_DEEP) return [];
  if (typeof value === 'string') return isSecret(value, path) ? [{ source: 'written out', path }] : [];
  if (Array.isArray(value)) return value.flatMap((each, at) => findSecrets(each, [...path, at]));
  if (!isObject(value)) return [];
  const keys = Object.keys(value);
  if (keys.length === 1 && typeof value.env === 'string') return [{ source: 'environment', path, name: value.env }];
  if (keys.length === 1 && typeof value.file === 'string') return [{ source: 'file', path, name: value.file }];
  return keys.flatMap((key) => findSecrets(value[key], [...path, key]));
}

function isSecret(text: string, path: Path): boolean {
  const key = path.at(-1);
  if (key === 'username') return false;
  if (path.some((step) => typeof step === 'string' && SECRET.has(step))) return true;
  if (path.at(-2) === 'headers') return typeof key === 'string' && SECRET_HEADER.test(key);
  return (key === 'url' || key === 'db_dsn') && WITH_PASSWORD.test(text);
}
