// Signing secrets in the form of Standard Webhooks: https://www.standardwebhooks.com/

import { Secret } from '../lib/secret.ts';

const PREFIX = 'whsec_';
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

/** Octets of a key. The standard asks for 24 to 64; what is in use elsewhere and can still not be guessed is taken. */
const MIN_KEY_BYTES = 16;
const MAX_KEY_BYTES = 1_024;

/** Each request bears a signature for each of them. */
const MAX_SECRETS = 5;

/**
 * Splits the text of `signing_secret` into its secrets: several, with white space between them, are for the time in
 * which one replaces the other.
 *
 * @returns the secrets, each with its prefix, or words on what is wrong that quote nothing.
 */
export function parseSigningSecrets(
  text: Secret,
): { readonly secrets: readonly Secret[] } | { readonly problem: string } {
  const secrets = text.reveal().trim().split(/\s+/);
  if (secrets.length > MAX_SECRETS) return { problem: `expected at most ${MAX_SECRETS} secrets` };
  for (const secret of secrets) {
    const key = secret.slice(PREFIX.length);
    if (!secret.startsWith(PREFIX) || !BASE64.test(key)) {
      return { problem: 'expected whsec_ and a key in base64, as in "whsec_$(openssl rand -base64 32)"' };
    }
    const bytes = Buffer.from(key, 'base64').length;
    if (bytes < MIN_KEY_BYTES || bytes > MAX_KEY_BYTES) {
      return { problem: `expected a key of ${MIN_KEY_BYTES} bytes or more (24 to 64 are usual), found ${bytes}` };
    }
  }
  return { secrets: secrets.map((secret) => new Secret(secret)) };
}
