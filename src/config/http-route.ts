// Makes the `http_post` destination of an entry into what its driver works with: secrets resolved, certificates read,
// the proxy known, and everything checked that a request would otherwise fail with over and over.

import { Secret } from '../lib/secret.ts';
import type { HttpAuth, HttpHeader, HttpPostConfig } from './config.ts';
import type { DestinationInput } from './destination-shape.ts';
import { readTls } from './http-tls.ts';
import { describeTarget, splitHttpUrl, type TargetParts } from './identity.ts';
import type { Finding, Path } from './problem.ts';
import { findProxy } from './proxy.ts';
import { resolveSecret, type SecretOptions } from './secrets.ts';
import type { SecretSource } from './shape-parts.ts';
import { parseSigningSecrets } from './signing-secret.ts';
import { tuningOf } from './tuning.ts';

/** What an `http_post` needs besides its own keys. */
export interface HttpPostOptions extends SecretOptions {
  /** What `use_json_for_http_post` asks for. */
  readonly defaultFormat: HttpPostConfig['format'];
}

type HttpPostInput = Extract<DestinationInput, { type: 'http_post' }>;

/** What is wrong with one key, in words that follow its name. */
interface Objection {
  readonly problem: string;
}

/** What a header value may hold: RFC 9110's field-vchar without the octets that no two receivers read alike. */
const HEADER_VALUE = /^[!-~](?:[\t -~]*[!-~])?$/;

/** More than any receiver takes. */
const MAX_HEADER_VALUE = 8_192;

/** Makes the destination at `path`, or says all that is wrong with it. */
export async function makeHttpPost(
  input: HttpPostInput,
  path: Path,
  options: HttpPostOptions,
): Promise<
  { readonly destination: HttpPostConfig; readonly target: TargetParts } | { readonly findings: readonly Finding[] }
> {
  const findings: Finding[] = [];
  const object = (at: Path, { problem }: Objection): null => {
    findings.push({ path: [...path, ...at], message: `${JSON.stringify(at.at(-1))}: ${problem}` });
    return null;
  };
  const secretAt = async (at: Path, source: SecretSource, check: (text: string) => string | null) => {
    const resolved = await resolveSecret(source, options);
    if ('problem' in resolved) return object(at, resolved);
    const problem = check(resolved.secret.reveal());
    return problem === null ? resolved.secret : object(at, { problem });
  };

  const url = await resolveUrl(input.url, options);
  if ('problem' in url) object(['url'], url);

  const headers: HttpHeader[] = [];
  for (const [name, source] of Object.entries(input.headers ?? {})) {
    const value = await secretAt(['headers', name], source, checkHeaderValue);
    if (value) headers.push({ name, value });
  }

  let auth: HttpAuth | null = null;
  if (input.auth && 'bearer' in input.auth) {
    const token = await secretAt(['auth', 'bearer'], input.auth.bearer, checkToken);
    auth = token && { type: 'bearer', token };
  } else if (input.auth) {
    const username = await secretAt(['auth', 'basic', 'username'], input.auth.basic.username, checkUsername);
    const password = await secretAt(['auth', 'basic', 'password'], input.auth.basic.password, checkNoControls);
    auth = username && password && { type: 'basic', username, password };
  }
  const rival = input.auth ? 'auth' : headers.some(({ name }) => /^authorization$/i.test(name)) ? 'headers' : null;
  if (rival !== null && 'url' in url && (url.url.username || url.url.password)) {
    object([rival], { problem: 'the url has a user name or a password as well; give the credentials in one place' });
  }

  const signing =
    input.signing_secret === undefined ? { secrets: [] } : await resolveSigning(input.signing_secret, options);
  if ('problem' in signing) object(['signing_secret'], signing);

  const tls = input.tls ? await readTls(input.tls, options) : { tls: null };
  if ('problems' in tls) for (const { key, problem } of tls.problems) object(['tls', key], { problem });
  if (input.tls && 'url' in url && url.url.protocol === 'http:') {
    object(['tls'], { problem: 'the url begins with http://, so that no certificate is ever used; make it https://' });
  }

  const found = 'url' in url ? findProxy(url.url, options.env) : { proxy: null };
  if ('problem' in found) object(['url'], found);
  if ('proxy' in found && found.proxy !== null && input.public_only) {
    object(['public_only'], {
      problem: `cannot be kept behind a proxy, which looks the host name up itself: put the host into NO_PROXY, or take ${found.variable} out of the environment`,
    });
  }

  if (findings.length > 0 || !('url' in url && 'secrets' in signing && 'tls' in tls && 'proxy' in found)) {
    return { findings };
  }
  const target = splitHttpUrl(url.url, typeof input.url !== 'string');
  return {
    destination: {
      type: 'http_post',
      url: new Secret(url.url.href, describeTarget(target)),
      format: input.format ?? options.defaultFormat,
      columns: input.columns,
      timeoutMs: input.timeout_ms,
      headers,
      auth,
      signingSecrets: signing.secrets,
      tls: tls.tls,
      compress: input.compress,
      publicOnly: input.public_only,
      proxy: found.proxy,
      ...tuningOf(input),
    },
    target,
  };
}

async function resolveUrl(source: SecretSource, options: SecretOptions): Promise<{ readonly url: URL } | Objection> {
  const resolved = await resolveSecret(source, options);
  if ('problem' in resolved) return resolved;
  const text = resolved.secret.reveal();
  const from = typeof source === 'string' ? 'a text' : 'another text there';
  if (!URL.canParse(text)) return { problem: `expected an http:// or https:// URL, found ${from} that is no URL` };
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    return { problem: `expected an http:// or https:// URL, found ${from} with another scheme` };
  }
  url.hash = '';
  return { url };
}

async function resolveSigning(source: SecretSource, options: SecretOptions) {
  const resolved = await resolveSecret(source, options);
  return 'problem' in resolved ? resolved : parseSigningSecrets(resolved.secret);
}

function checkHeaderValue(text: string): string | null {
  if (text.length > MAX_HEADER_VALUE) return `expected at most ${MAX_HEADER_VALUE.toLocaleString('en-US')} characters`;
  return HEADER_VALUE.test(text) ? null : 'expected printable ASCII characters, none of them a space at either end';
}

function checkToken(text: string): string | null {
  if (text.length > MAX_HEADER_VALUE) return `expected at most ${MAX_HEADER_VALUE.toLocaleString('en-US')} characters`;
  return /^[!-~]+$/.test(text) ? null : 'expected printable ASCII characters without a space';
}

function checkUsername(text: string): string | null {
  return text.includes(':') ? 'expected a user name without a colon (RFC 7617)' : checkNoControls(text);
}

function checkNoControls(text: string): string | null {
  if (text.length > MAX_HEADER_VALUE) return `expected at most ${MAX_HEADER_VALUE.toLocaleString('en-US')} characters`;
  return /\p{Cc}/u.test(text) ? 'expected a text without control characters' : null;
}
