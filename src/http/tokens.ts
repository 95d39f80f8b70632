// The bearer tokens that clients show: from a file, one a line, or from the environment. Never from the command line,
// which every account of the machine can read.

import { createHash, timingSafeEqual } from 'node:crypto';
import { Sources } from '../config/sources.ts';
import { EXIT, TailraceError } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import type { ListenAddress } from './listen-address.ts';

/** Where a server's tokens come from, for messages too. */
export interface TokenSource {
  /** The command's option that names the file. */
  readonly option: string;
  /** The environment variable that holds one token. */
  readonly variable: string;
  /** Of the errors. */
  readonly code: string;
}

/** RFC 6750, b64token: what can stand behind `Bearer`. Shorter ones can be guessed. */
const TOKEN = /^[A-Za-z0-9._~+/-]{16,1024}=*$/;
const MAX_FILE_BYTES = 64 * 1024;
const MAX_TOKENS = 20;

/** Asks whether an Authorization header shows one of the tokens. Takes as long for a wrong one as for a right one. */
export type TokenCheck = (header: string | undefined) => boolean;

/**
 * Reads the tokens: those of the file, else the one in the environment.
 *
 * @returns an empty list when neither is given.
 * @throws {TailraceError} with the source's code, exit code 2; it never bears a token.
 */
export async function loadTokens(
  file: string | undefined,
  env: NodeJS.ProcessEnv,
  { variable, code }: TokenSource,
): Promise<readonly Secret[]> {
  const checked = (token: string, place: string): Secret => {
    if (TOKEN.test(token)) return new Secret(token);
    throw unusable(
      code,
      `${place} is no token: 16 to 1,024 of A-Z a-z 0-9 . _ ~ + / - are wanted; \`openssl rand -hex 32\` makes one`,
    );
  };
  if (file === undefined) {
    const value = env[variable];
    return value === undefined ? [] : [checked(value, `the environment variable ${variable}`)];
  }
  const read = await new Sources().read(file, MAX_FILE_BYTES);
  if ('failure' in read) throw unusable(code, `the token file ${file} cannot be read: ${read.failure}`);
  const lines = read.text.split('\n').map((line) => line.trim());
  const tokens = lines.flatMap((line, at) => (line === '' ? [] : [checked(line, `${file}:${at + 1}`)]));
  if (tokens.length === 0) throw unusable(code, `the token file ${file} holds no token`);
  if (tokens.length > MAX_TOKENS) throw unusable(code, `the token file ${file} holds more than ${MAX_TOKENS} tokens`);
  return tokens;
}

/**
 * Holds that a server that others can reach asks for a token.
 *
 * @throws {TailraceError} with the source's code, exit code 2.
 */
export function requireTokens(
  address: ListenAddress,
  tokens: readonly Secret[],
  { option, variable, code }: TokenSource,
): readonly Secret[] {
  if (tokens.length > 0 || address.isLocal) return tokens;
  throw unusable(
    code,
    `programs on other hosts can reach this address, so that a bearer token is needed: name a file with ${option}, or set ${variable}; or listen on 127.0.0.1 or a Unix socket`,
  );
}

/** Creates the check; without tokens everybody passes. */
export function createTokenCheck(tokens: readonly Secret[]): TokenCheck {
  if (tokens.length === 0) return () => true;
  const digests = tokens.map((token) => digest(token.reveal()));
  return (header) => {
    const shown = digest(/^bearer +(.*)$/i.exec(header ?? '')?.[1] ?? '');
    let matches = 0;
    // Each is compared, of the same length, whatever the others say.
    for (const each of digests) matches += Number(timingSafeEqual(each, shown));
    return matches > 0;
  };
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

const unusable = (code: string, message: string): TailraceError =>
  new TailraceError(code, message, { exitCode: EXIT.usage });
