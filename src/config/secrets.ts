// Fetches the text of a secret from where the configuration says it is: the file itself, the environment, another file.

import { resolve } from 'node:path';
import { Secret } from '../lib/secret.ts';
import type { SecretSource } from './shape-parts.ts';
import type { Sources } from './sources.ts';

const MAX_SECRET_BYTES = 64 * 1024;

export interface SecretOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly sources: Sources;
  /** Where relative paths begin: the folder of the configuration. */
  readonly folder: string;
}

/** Resolves one secret, or says why that is not possible, naming the variable or the path but never the value. */
export async function resolveSecret(
  source: SecretSource,
  options: SecretOptions,
): Promise<{ readonly secret: Secret } | { readonly problem: string }> {
  if (typeof source === 'string') return { secret: new Secret(source) };
  if ('env' in source) {
    const value = options.env[source.env];
    if (value === undefined) return { problem: `the environment variable ${source.env} is not set` };
    if (value === '') return { problem: `the environment variable ${source.env} is empty` };
    return { secret: new Secret(value) };
  }
  const file = resolve(options.folder, source.file);
  const read = await options.sources.read(file, MAX_SECRET_BYTES);
  if ('failure' in read) return { problem: `the file ${file} cannot be read: ${read.failure}` };
  const value = read.text.replace(/\r?\n$/, '');
  return value === '' ? { problem: `the file ${file} is empty` } : { secret: new Secret(value) };
}
