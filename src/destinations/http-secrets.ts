// Takes what is secret out of the texts that come back from outside: a receiver may send anything it was sent.

import type { HttpPostConfig } from '../config/config.ts';

/** A shorter value is no secret, and masking every `1` would spoil the text. */
const MIN_SECRET_LENGTH = 4;

/** From here on a word of a header's value is masked on its own as well: `ApiKey 0f3c…` may come back without `ApiKey`. */
const MIN_WORD_LENGTH = 8;

const MASK = '[secret]';

/** Creates what masks the secrets of one destination, as they are and in the forms that a page may show them in. */
export function createScrub(destination: HttpPostConfig): (text: string) => string {
  const { url, headers, auth, signingSecrets, proxy } = destination;
  const secrets = [...inUrl(new URL(url.reveal()))];
  if (proxy) secrets.push(...inUrl(new URL(proxy.reveal())));
  for (const { value } of headers) {
    const text = value.reveal();
    secrets.push(text, ...text.split(/\s+/).filter(({ length }) => length >= MIN_WORD_LENGTH));
  }
  if (auth?.type === 'bearer') secrets.push(auth.token.reveal());
  if (auth?.type === 'basic') secrets.push(...credentials(auth.username.reveal(), auth.password.reveal()));
  for (const secret of signingSecrets) secrets.push(secret.reveal(), secret.reveal().replace('whsec_', ''));
  const found = [...new Set(secrets.flatMap(formsOf))].filter(({ length }) => length >= MIN_SECRET_LENGTH);
  // The longest first: one may be part of another.
  found.sort((a, b) => b.length - a.length);
  return (text) => found.reduce((clean, secret) => clean.replaceAll(secret, MASK), text);
}

/** Value of the Authorization header for a user name and a password (RFC 7617). */
export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

/** Percent-decoded, or as it is when that is not possible. */
export function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function inUrl(url: URL): readonly string[] {
  const query = url.search.slice(1);
  const secrets = [query, url.username, url.password];
  if (url.username || url.password)
    secrets.push(...credentials(decodePercent(url.username), decodePercent(url.password)));
  for (const part of query.split('&')) {
    const value = part.slice(part.indexOf('=') + 1);
    secrets.push(value, decodePercent(value), decodePercent(value.replaceAll('+', ' ')));
  }
  return secrets;
}

function credentials(username: string, password: string): readonly string[] {
  return [username, password, basicAuthorization(username, password).slice('Basic '.length)];
}

/** As it is, inside a JSON string, inside a URL, inside HTML. */
function formsOf(secret: string): readonly string[] {
  const inHtml = secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret.toWellFormed()), inHtml];
}
