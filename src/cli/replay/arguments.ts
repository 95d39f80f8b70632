// The command line of `tailrace replay`, checked: nothing is opened here.

import { resolve } from 'node:path';
import type { ArgumentsCamelCase, Argv } from 'yargs';
import { EXIT, TailraceError } from '../../lib/errors.ts';
import { parsePointInTime } from '../../lib/point-in-time.ts';
import type { Wishes } from '../../replay/resumption.ts';
import type { Condition } from '../../replay/selection.ts';
import { textOf, textsOf } from '../command.ts';
import { DEFAULT_CHECKPOINT } from './report.ts';

/** Options that may be given more than once. */
export const REPEATABLE = ['type', 'where', 'destination'] as const;

const MILLISECONDS = /^\d{13}$/;

export interface ReplayArguments {
  readonly wishes: Wishes;
  readonly config: string | undefined;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly resume: boolean;
  readonly newConfig: boolean;
  /** null = as many as the destinations take. */
  readonly perSecond: number | null;
  /** null = the destination's own. */
  readonly attempts: number | null;
  /** As it was given. */
  readonly checkpoint: string;
  readonly rejects: string | null;
}

export const replayOptions = (yargs: Argv): Argv =>
  yargs
    .positional('files', {
      type: 'string',
      array: true,
      default: [],
      describe: 'log files, .gz or not, in any order: the oldest lines go first',
    })
    .option('from', {
      type: 'string',
      requiresArg: true,
      describe: 'only lines written at this time or later: seconds since the epoch, or 2026-11-22T14:30',
    })
    .option('to', { type: 'string', requiresArg: true, describe: 'only lines written before this time' })
    .option('type', {
      type: 'string',
      requiresArg: true,
      describe: 'only events of this type; repeatable: of any of them',
    })
    .option('where', {
      type: 'string',
      requiresArg: true,
      describe: 'FIELD=VALUE: only events with this value in this field; repeatable: all have to hold',
    })
    .option('destination', {
      type: 'string',
      requiresArg: true,
      describe: 'only what the configuration sends to this destination, by its name in `status`; repeatable',
    })
    .option('dry-run', { type: 'boolean', default: false, describe: 'count what would be sent where, send nothing' })
    .option('rate', { type: 'number', requiresArg: true, describe: 'most events a second' })
    .option('attempts', {
      type: 'number',
      requiresArg: true,
      describe:
        "how often an event is tried before it goes to the reject file (default: the destination's max_attempts, else 8)",
    })
    .option('rejects', {
      type: 'string',
      requiresArg: true,
      describe: 'reject file, for lines whose events were not accepted (default: replay.rejected.jsonl)',
    })
    .option('checkpoint', {
      type: 'string',
      requiresArg: true,
      default: DEFAULT_CHECKPOINT,
      describe: 'where it is kept how far the replay is',
    })
    .option('resume', { type: 'boolean', default: false, describe: 'go on where an interrupted replay ended' })
    .option('new-config', {
      type: 'boolean',
      default: false,
      describe: 'with --resume: go on although event_destinations have changed',
    })
    .option('json', { type: 'boolean', default: false, describe: 'print the sum as one JSON object' })
    .option('config', { type: 'string', requiresArg: true, describe: 'configuration file' });

/** @throws {TailraceError} `USAGE`. */
export function readArguments(args: ArgumentsCamelCase): ReplayArguments {
  const files = [...textsOf(args.files), ...args._.slice(1).map(String)];
  const fromUs = timeOf('from', args.from);
  const toUs = timeOf('to', args.to);
  if (fromUs !== null && toUs !== null && fromUs >= toUs)
    throw usage('--from is not before --to: nothing lies between');
  const dryRun = args.dryRun === true;
  const resume = args.resume === true;
  if (dryRun && resume) throw usage('--dry-run counts from the beginning; leave --resume out');
  if (!resume && args.newConfig === true) throw usage('--new-config goes with --resume');
  if (!resume && files.length === 0) throw usage('name the log files to replay');
  return {
    wishes: {
      named: files.map((file) => resolve(file)),
      filters: {
        fromUs,
        toUs,
        types: [...textsOf(args.type)],
        where: textsOf(args.where).map(conditionOf),
        destinations: [...textsOf(args.destination)],
      },
    },
    config: textOf(args.config),
    dryRun,
    json: args.json === true,
    resume,
    newConfig: args.newConfig === true,
    perSecond: numberOf('rate', args.rate, 0.001),
    attempts: numberOf('attempts', args.attempts, 1),
    checkpoint: textOf(args.checkpoint) ?? DEFAULT_CHECKPOINT,
    rejects: textOf(args.rejects) ?? null,
  };
}

function timeOf(option: string, value: unknown): number | null {
  const text = textOf(value);
  if (text === undefined) return null;
  const us = parsePointInTime(text);
  if (us !== null) return us;
  const hint = MILLISECONDS.test(text) ? '; these are milliseconds, it takes seconds' : '';
  throw usage(
    `--${option} takes seconds since the epoch, as in time_written_to_logfile, or a date such as 2026-11-22T14:30Z, not "${text}"${hint}`,
  );
}

function conditionOf(text: string): Condition {
  const at = text.indexOf('=');
  if (at < 1) throw usage(`--where takes FIELD=VALUE, such as email=ann@example.org, not "${text}"`);
  return { field: text.slice(0, at), value: text.slice(at + 1) };
}

function numberOf(option: 'rate' | 'attempts', value: unknown, least: number): number | null {
  if (value === undefined) return null;
  const isWhole = option === 'rate' || Number.isInteger(value);
  if (typeof value === 'number' && Number.isFinite(value) && value >= least && isWhole) return value;
  const what = option === 'rate' ? 'a number of events a second above 0' : 'a whole number from 1';
  throw usage(`--${option} takes ${what}`);
}

const usage = (message: string): TailraceError => new TailraceError('USAGE', message, { exitCode: EXIT.usage });
