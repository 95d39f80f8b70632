// What is asked for on the command line of the bench.

import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Rows to run, by name; empty: all but the soak. */
  readonly names: readonly string[];
  readonly list: boolean;
  /** How often each is run, in turn with what it is measured against. */
  readonly pairs: number;
  /** Events of the large rows; the small ones take a part of it. */
  readonly events: number;
  /** The PostgreSQL that comes with the packages, even if the system has one. */
  readonly embedded: boolean;
  /** Ten million events where the goals say so. */
  readonly full: boolean;
  /** Length of the soak. */
  readonly minutes: number;
  /** Seconds between two faults of the soak. */
  readonly faultSeconds: number;
  /** Where the figures go as JSON; null: a new file in the temporary folder. */
  readonly json: string | null;
}

export const USAGE = `npm run bench -- [NAME…] [--list] [--pairs N] [--events N] [--full] [--embedded] [--json FILE]
npm run bench -- soak [--minutes N] [--fault-seconds N]`;

/** @throws {Error} that says what is wrong, for a person. */
export function parseOptions(args: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      list: { type: 'boolean', default: false },
      full: { type: 'boolean', default: false },
      embedded: { type: 'boolean', default: false },
      pairs: { type: 'string', default: '5' },
      events: { type: 'string', default: '300000' },
      minutes: { type: 'string', default: '3' },
      'fault-seconds': { type: 'string', default: '60' },
      json: { type: 'string' },
    },
  });
  return {
    names: positionals,
    list: values.list,
    full: values.full,
    embedded: values.embedded,
    pairs: atLeast('--pairs', values.pairs, 1),
    events: atLeast('--events', values.events, 100),
    minutes: positive('--minutes', values.minutes),
    faultSeconds: positive('--fault-seconds', values['fault-seconds']),
    json: values.json ?? null,
  };
}

function atLeast(option: string, text: string, least: number): number {
  const value = Number(text.replaceAll(/[_,]/g, ''));
  if (!Number.isSafeInteger(value) || value < least) throw new Error(`${option} wants a whole number from ${least}`);
  return value;
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`${option} wants a number above 0`);
  return value;
}
