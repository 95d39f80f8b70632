// `tailrace status`: what waits where, why, and since when.

import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT } from '../lib/errors.ts';
import { count, duration } from '../lib/quantity.ts';
import { type DestinationStatus, readStatus, type Status } from '../queue/status.ts';
import type { Writer } from '../queue/writers.ts';
import { inColumns } from './columns.ts';
import type { Command } from './command.ts';
import { databaseOption, withSession } from './database.ts';

const WATCH_INTERVAL_MS = 2_000;
const CLEAR_SCREEN = '\u001b[H\u001b[2J';

export const status: Command = {
  usage: 'status',
  summary: 'show the queue and each destination: state, waiting, retrying, parked, oldest age, rate, last error',
  examples: [
    ['tailrace status', 'a table for a person'],
    ['tailrace status --watch', 'the same every two seconds, until Ctrl-C'],
    ["tailrace status --json | jq '.destinations[] | select(.waiting + .retrying > 0)'", 'for a script'],
  ],
  options: (yargs) =>
    databaseOption(yargs)
      .option('json', { type: 'boolean', default: false, describe: 'print one JSON object' })
      .option('watch', { type: 'boolean', default: false, describe: 'print again every two seconds' }),
  async run(args, { env, stdout }) {
    const print = args.json === true ? (now: Status) => `${JSON.stringify(now)}\n` : render;
    await withSession(args, env, async (session) => {
      for (;;) {
        const text = print(await readStatus(session));
        stdout.write(args.watch === true && stdout.isTTY ? `${CLEAR_SCREEN}${text}` : text);
        if (args.watch !== true || !stdout.writable) return;
        await sleep(WATCH_INTERVAL_MS);
      }
    });
    return EXIT.ok;
  },
};

function render({ writer, shards, queued, queued_is_minimum, left, oldest_seconds, destinations }: Status): string {
  const lines = [
    `queue    ${queued_is_minimum ? 'more than ' : ''}${count(queued)} queued, oldest ${duration(oldest_seconds)}; ${count(left)} left in the queue by configuration`,
    ...(shards.length > 0
      ? shards.map((each) => `shard    ${each.shard} ${stateOfWriter(each)}`)
      : [`writer   ${writer === null ? 'no process has been the writer yet' : stateOfWriter(writer)}`]),
  ];
  if (destinations.length > 0) lines.push('', ...table(destinations));
  if (destinations.length > 0 && writer?.state !== 'running') {
    lines.push(
      '',
      shards.some(({ state }) => state === 'running')
        ? 'Not all shards run: events of the others are neither logged nor sent. RATE is that of those that run.'
        : 'Not running: nothing is sent. STATE is what the last process left behind, RATE is unknown.',
    );
  }
  return `${lines.join('\n')}\n`;
}

/** `running, epoch 4, began 2h ago (host:folder)`. */
function stateOfWriter({ state, epoch, started_seconds, journal_at }: Writer): string {
  return epoch === null
    ? 'absent: it was not started yet'
    : `${state}, epoch ${epoch}, began ${duration(started_seconds)} ago (${journal_at})`;
}

function table(destinations: readonly DestinationStatus[]): string[] {
  const head = ['DESTINATION', 'STATE', 'WAITING', 'RETRYING', 'PARKED', 'OLDEST', 'NEXT TRY', 'RATE', 'LAST ERROR'];
  const rows = destinations.map((each) => [
    each.destination,
    stateText(each),
    count(each.waiting),
    count(each.retrying),
    count(each.parked),
    duration(each.oldest_seconds),
    nextTry(each.next_attempt_seconds),
    each.per_second === null ? '-' : `${rate(each.per_second)}/s`,
    each.last_error ?? '-',
  ]);
  return inColumns([head, ...rows], (at) => at >= 2 && at <= 7);
}

/** `open, probe in 42s`. */
function stateText({ state, until_seconds }: DestinationStatus): string {
  const until = until_seconds === null ? '' : duration(until_seconds);
  switch (state) {
    case 'open':
      return until_seconds ? `open, probe in ${until}` : 'open, probing';
    case 'asked_to_wait':
      return until_seconds ? `asked to wait ${until}` : 'asked to wait, probing';
    case 'rate_limited':
      return 'rate limited';
    default:
      return state;
  }
}

function nextTry(seconds: number | null): string {
  if (seconds === null) return '-';
  return seconds <= 0 ? 'now' : duration(seconds);
}

/** 0.12, 3.4, 1,234. */
const rate = (perSecond: number): string =>
  perSecond.toLocaleString('en-US', { maximumFractionDigits: perSecond < 1 ? 2 : perSecond < 100 ? 1 : 0 });
