// Row 6: what an event costs at the end of a long backlog, while a foreign snapshot keeps PostgreSQL from forgetting the
// rows that are gone.

import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { took } from '../drain.ts';
import { finding, type Row } from '../finding.ts';
import { type Measured, start, tailrace } from '../measured.ts';
import { withClient } from '../queue.ts';
import type { Bench } from '../scene.ts';

const SAMPLE_MS = 5;
const FULL = 10_000_000;
/** A backlog of this many times the events of the other rows. */
const FACTOR = 10 / 3;
/** A tenth of ten million is long enough; no need for five. */
const MOST_ROUNDS_FULL = 2;

export const backlogRow: Row = {
  name: 'backlog',
  number: 6,
  title: 'cost per event as the backlog grows, a foreign snapshot held open',
  async run(bench) {
    const { options } = bench;
    const events = options.full ? FULL : Math.ceil(options.events * FACTOR);
    const rounds = options.full ? Math.min(options.pairs, MOST_ROUNDS_FULL) : options.pairs;
    const tenths: { first: number; last: number }[] = [];
    const used: Pick<Measured, 'cpuSeconds' | 'peakMiB'>[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      bench.say(`backlog: round ${round} of ${rounds}`);
      const measured = await drainWatched(bench, events);
      tenths.push(measured);
      used.push(measured);
    }
    return [
      finding({
        what: `${events.toLocaleString('en-US')} events, last tenth`,
        ours: { label: 'tailrace', unit: 'events/s', values: tenths.map(({ last }) => last) },
        against: { label: 'first tenth', unit: 'events/s', values: tenths.map(({ first }) => first) },
        goal: { of: 'ratio', sign: '>=', limit: 0.9 },
        cpuSeconds: used.map(({ cpuSeconds }) => cpuSeconds),
        peakMiB: used.map(({ peakMiB }) => peakMiB),
        notes: [
          'by the growth of the file, whose lines are alike from end to end; the first tenth begins with its first line',
        ],
      }),
    ];
  },
};

async function drainWatched(bench: Bench, events: number) {
  await using queue = await bench.queues.create(events);
  await using place = await bench.place({});
  return await withClient(queue.url, async (snapshot) => {
    await snapshot.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await snapshot.query('SELECT count(*) FROM tailrace.meta');
    const args = ['run', '--once', '--config', place.config, '--database', queue.url];
    await using running = start({ ...tailrace(args), folder: place.folder });
    const growth: { atMs: number; bytes: number }[] = [];
    while (!running.hasEnded) {
      const bytes = (await stat(place.log).catch(() => null))?.size ?? 0;
      if (bytes > (growth.at(-1)?.bytes ?? 0)) growth.push({ atMs: performance.now(), bytes });
      await sleep(SAMPLE_MS);
    }
    const measured = await running.end;
    const [left] = await queue.query<{ count: string }>('SELECT count(*) FROM events');
    if (measured.code !== 0 || left?.count !== '0')
      throw new Error(`${left?.count} events are left\n${measured.stderr}`);
    return { ...took(measured), ...tenthsOf(growth, events) };
  });
}

/** Events a second of the first and the last tenth. */
function tenthsOf(growth: readonly { atMs: number; bytes: number }[], events: number): { first: number; last: number } {
  const total = growth.at(-1)?.bytes ?? 0;
  /** When the file had this part of its length, on a line between two looks. */
  const timeOf = (part: number): number => {
    const wanted = part * total;
    const at = Math.max(
      1,
      growth.findIndex(({ bytes }) => bytes >= wanted),
    );
    const [before, after] = [growth[at - 1], growth[at]];
    if (!before || !after) return Number.NaN;
    return before.atMs + ((after.atMs - before.atMs) * (wanted - before.bytes)) / (after.bytes - before.bytes);
  };
  const start = (growth[0]?.bytes ?? 0) / total;
  const rate = (from: number, to: number): number => (events * (to - from)) / ((timeOf(to) - timeOf(from)) / 1000);
  return { first: rate(start, start + 0.1), last: rate(0.9, 1) };
}
