// Scale-out: the same backlog drained by one process, by two and by four, `run --shard i/n` each, on one queue.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { countLines, inTurn } from '../drain.ts';
import { type Finding, finding, median, type Row } from '../finding.ts';
import { run, tailrace } from '../measured.ts';
import { KNOWS_RUNNING_PROCESSES } from '../process-cpu.ts';
import type { Queue } from '../queue.ts';
import type { Bench } from '../scene.ts';

const SIZES = [1, 2, 4];
/** In a clock tick of /proc: 10 ms. */
const TICKS = 100;
/** Sessions that have just ended are counted when the server has heard of it. */
const SETTLE_MS = 300;

interface Together {
  /** Events a second, from the start of the first process to the end of the last. */
  readonly rate: number;
  /** Of all of them. */
  readonly cpuSeconds: number;
  /** Of the largest. */
  readonly peakMiB: number;
  /** Microseconds of CPU in their PostgreSQL sessions, for each event; NaN where the system does not tell. */
  readonly serverUs: number;
  /** Bytes of write-ahead log for each event. */
  readonly wal: number;
}

export const shardsRow: Row = {
  name: 'shards',
  number: null,
  title: 'a backlog drained to files by 1, 2 and 4 processes on one queue',
  async run(bench) {
    const { events } = bench.options;
    const runs = new Map<number, Together[]>(SIZES.map((of) => [of, []]));
    const sides = SIZES.map((of) => async () => {
      runs.get(of)?.push(await drainTogether(bench, events, of));
    });
    await inTurn(bench, 'shards', ...sides);
    const alone = (runs.get(1) ?? []).map(({ rate }) => rate);
    return [...runs].map(([of, all]) => toFinding(of, all, events, of === 1 ? null : alone));
  },
};

function toFinding(of: number, all: readonly Together[], events: number, alone: readonly number[] | null): Finding {
  const medianOf = (key: keyof Together): number => median(all.map((each) => each[key]));
  return finding({
    what: `${of === 1 ? '1 process' : `${of} shards`}, ${events.toLocaleString('en-US')} events`,
    ours: { label: 'tailrace', unit: 'events/s', values: all.map(({ rate }) => rate) },
    against: alone && { label: '1 process', unit: 'events/s', values: alone },
    cpuSeconds: all.map(({ cpuSeconds }) => cpuSeconds),
    peakMiB: all.map(({ peakMiB }) => peakMiB),
    notes: [
      `${of}: ${medianOf('serverUs').toFixed(1)} µs of CPU in PostgreSQL's sessions and ${medianOf('wal').toFixed(0)} bytes of WAL an event`,
      'CPU s of all processes together, RSS of the largest; their start is in it; PostgreSQL shares the cores with them',
    ],
  });
}

/** Drains a queue with so many processes, and checks that each event has its line and left the queue. */
async function drainTogether(bench: Bench, events: number, of: number): Promise<Together> {
  await using queue = await bench.queues.create(events);
  const places = await Promise.all(Array.from({ length: of }, () => bench.place({})));
  try {
    const before = [await serverCpu(queue), await walBytes(queue)] as const;
    const began = performance.now();
    const measured = await Promise.all(
      places.map(({ config, folder }, index) => {
        const shard = of === 1 ? [] : ['--shard', `${index}/${of}`];
        return run({ ...tailrace(['run', '--once', '--config', config, '--database', queue.url, ...shard]), folder });
      }),
    );
    const seconds = (performance.now() - began) / 1_000;
    await sleep(SETTLE_MS);
    const after = [await serverCpu(queue), await walBytes(queue)] as const;
    let lines = 0;
    for (const { log } of places) lines += (await countLines(log)).lines;
    const [left] = await queue.query<{ count: string }>('SELECT count(*) FROM events');
    if (lines !== events || left?.count !== '0') {
      throw new Error(`of ${events} events ${lines} are in the files and ${left?.count} in the queue`);
    }
    return {
      rate: events / seconds,
      cpuSeconds: measured.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
      peakMiB: Math.max(...measured.map(({ peakMiB }) => peakMiB)),
      serverUs: ((after[0] - before[0]) * 1e6) / events,
      wal: (after[1] - before[1]) / events,
    };
  } finally {
    for (const place of places) await place[Symbol.asyncDispose]();
  }
}

/** Seconds of the server's processes that have ended. */
async function serverCpu(queue: Queue): Promise<number> {
  if (!KNOWS_RUNNING_PROCESSES) return Number.NaN;
  const [row] = await queue.query<{ data_directory: string }>('SHOW data_directory');
  const file = join(row?.data_directory ?? '', 'postmaster.pid');
  const [pid] = (await readFile(file, 'utf8')).split('\n');
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) / TICKS;
}

async function walBytes(queue: Queue): Promise<number> {
  const [row] = await queue.query<{ at: string }>(`SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS at`);
  return Number(row?.at);
}
