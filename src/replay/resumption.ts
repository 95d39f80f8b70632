// Whether a replay may go on where an earlier run ended: only with the same files and filters, or nothing would be known
// of what was left out; and under the same routing, unless somebody says that another one is meant.

import { isDeepStrictEqual } from 'node:util';
import { EXIT, TailraceError } from '../lib/errors.ts';
import type { KeptProgress, Progress } from './checkpoint.ts';

/** What of a replay is asked for on the command line and has to stay the same. */
export type Wishes = Pick<Progress, 'named' | 'filters'>;

const NO_FILTERS: Progress['filters'] = { fromUs: null, toUs: null, types: [], where: [], destinations: [] };

/**
 * What a resumed replay goes by.
 *
 * @param given files and filters of this command line; what is not named is taken from the checkpoint.
 * @param fingerprint of the configuration; null: whichever it is, it is meant.
 * @throws {TailraceError} `REPLAY_DIFFERS`.
 */
export function resumedWishes(given: Wishes, kept: KeptProgress, fingerprint: string | null): Wishes {
  const namesFiles = given.named.length > 0;
  const namesFilters = !isDeepStrictEqual(given.filters, NO_FILTERS);
  if (namesFiles && !isDeepStrictEqual([...given.named].sort(), [...kept.named].sort())) {
    throw differs('it began with other files; leave the files out of the command line to go on with those');
  }
  if ((namesFiles || namesFilters) && !isDeepStrictEqual(given.filters, kept.filters)) {
    throw differs(
      `it began with other filters (${describe(kept.filters)}); give the same, or neither files nor filters`,
    );
  }
  if (fingerprint !== null && fingerprint !== kept.fingerprint) {
    throw differs(
      'it began under other event_destinations; bring those back, or go on under the new ones with --new-config',
    );
  }
  return kept;
}

function differs(why: string): TailraceError {
  return new TailraceError('REPLAY_DIFFERS', `this replay cannot go on like that: ${why}`, { exitCode: EXIT.usage });
}

/** The filters as options. */
function describe({ fromUs, toUs, types, where, destinations }: Progress['filters']): string {
  const time = (name: string, us: number | null): string[] =>
    us === null ? [] : [`--${name} ${(us / 1e6).toFixed(6)}`];
  const options = [
    ...time('from', fromUs),
    ...time('to', toUs),
    ...types.map((type) => `--type ${type}`),
    ...where.map(({ field, value }) => `--where ${JSON.stringify(`${field}=${value}`)}`),
    ...destinations.map((key) => `--destination ${JSON.stringify(key)}`),
  ];
  return options.join(' ') || 'none';
}
