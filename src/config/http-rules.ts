// What no `http_post` may ask for, whatever the values of its secrets are. It looks at the value as it stands in the
// file, so that all of it is found at once.

import { type Finding, isObject, type Path, valueAt } from './problem.ts';

/** RFC 9110, 5.6.2. `__proto__` would be one, and JavaScript's objects cannot hold it. */
const TOKEN = /^(?!__proto__$)[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}$/;

const MAX_HEADERS = 50;

const SIGNED = 'it is part of the signature (signing_secret)';
const CONNECTION = 'it is about the connection, which is not the business of a configuration';

/** Headers that a destination cannot set, in lower case, and why. */
const FORBIDDEN: ReadonlyMap<string, string> = new Map([
  ['host', 'the url gives it'],
  ['content-type', 'the format gives it'],
  ['content-length', 'the body gives it'],
  ['content-encoding', 'the key compress gives it'],
  ['accept-encoding', 'answers are never decompressed'],
  ['idempotency-key', 'the event gives it'],
  ['webhook-id', SIGNED],
  ['webhook-timestamp', SIGNED],
  ['webhook-signature', SIGNED],
  ['proxy-authorization', 'the url of the proxy gives it'],
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect'].map(
    (name): [string, string] => [name, CONNECTION],
  ),
]);

/** Everything about the destination at `path` that breaks a rule; nothing when it is of another type. */
export function checkHttpPost(value: unknown, path: Path): Finding[] {
  const destination = valueAt(value, path);
  if (!isObject(destination) || destination.type !== 'http_post') return [];
  return [
    ...checkHeaders(destination.headers, [...path, 'headers']),
    ...checkAuthorization(destination, path),
    ...checkBatch(destination, path, valueAt(value, ['use_json_for_http_post']) === true),
  ];
}

function checkHeaders(headers: unknown, path: Path): Finding[] {
  if (!isObject(headers)) return [];
  const names = Object.keys(headers);
  if (names.length > MAX_HEADERS) return [{ path, message: `"headers": expected at most ${MAX_HEADERS} headers` }];
  const seen = new Set<string>();
  return names.flatMap((key) => {
    // The name may be a whole header line by mistake, with what is secret in it.
    if (!TOKEN.test(key)) {
      return [
        { path, key, message: '"headers": expected the name of a header, such as "X-Api-Key", and nothing else' },
      ];
    }
    const name = key.toLowerCase();
    const reason = FORBIDDEN.get(name) ?? (seen.has(name) ? 'it is given twice' : undefined);
    seen.add(name);
    return reason === undefined ? [] : [{ path, key, message: `the header "${key}" cannot be set: ${reason}` }];
  });
}

function checkAuthorization({ auth, headers }: Readonly<Record<string, unknown>>, path: Path): Finding[] {
  if (auth === undefined || !isObject(headers)) return [];
  const key = Object.keys(headers).find((name) => name.toLowerCase() === 'authorization');
  if (key === undefined) return [];
  const message = `the header "${key}" cannot be set beside "auth": give the credentials in one place`;
  return [{ path: [...path, 'headers'], key, message }];
}

function checkBatch(
  { batch, format }: Readonly<Record<string, unknown>>,
  path: Path,
  jsonByDefault: boolean,
): Finding[] {
  if (batch === undefined || format === 'json' || (format === undefined && jsonByDefault)) return [];
  const message = '"batch": form fields carry one event each; set "format" to "json", or take "batch" out';
  return [{ path, key: 'batch', message }];
}
