// The soak: a steady load while the file is rotated every few seconds and something fails every minute; in turn
// PostgreSQL's connections are terminated and the receiver is restarted. Memory, descriptors and latency have to stay
// level, and at the end each event has one line and was accepted.

import { rename, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { openFiles, residentMiB } from '../../crash/process-facts.ts';
import { waitFor } from '../../helpers/wait-for.ts';
import { chart, marks } from '../chart.ts';
import { took } from '../drain.ts';
import { type Finding, finding, isReached, median, percentile, type Row } from '../finding.ts';
import { type Load, startLoad } from '../load.ts';
import { type Measured, type Running, start, tailrace } from '../measured.ts';
import { KNOWS_RUNNING_PROCESSES } from '../process-cpu.ts';
import type { Queue } from '../queue.ts';
import { type BenchReceiver, startReceiver } from '../receiver.ts';
import { allTo, type Bench, type Place } from '../scene.ts';
import { type Books, type Ledger, openLedger } from '../soak-ledger.ts';

const PER_SECOND = 500;
const CONNECTIONS = 4;
const SAMPLE_MS = 1_000;
const ROTATE_MS = 5_000;
/** A moved file stands for so long before it is read and removed: longer than tailrace may still write to it. */
const KEPT_MS = 15_000;
const RECEIVER_DOWN_MS = 1_000;
const SETTLE_MS = 120_000;
const START_MS = 30_000;
const RETRY = { initial_ms: 200, max_ms: 2_000 };
const TERMINATE = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE application_name = 'tailrace' AND datname = current_database()`;
/** Highest ratio of the last fifth of the time to the second one, when everything has been used once. */
const LEVEL = { rss: 1.25, descriptors: 1.15, latency: 2 };

/** Ends the bench with an exit code other than 0; says what was found all the same. */
export class SoakFailed extends Error {
  readonly findings: readonly Finding[];

  constructor(message: string, findings: readonly Finding[]) {
    super(message);
    this.name = 'SoakFailed';
    this.findings = findings;
  }
}

type Usage = Pick<Measured, 'cpuSeconds' | 'peakMiB'>;

interface Sample {
  readonly mib: number;
  readonly files: number;
  /** From COMMIT to the answer of what was accepted in this second; NaN when nothing was. */
  readonly p50: number;
  readonly p99: number;
  /** `P`: connections terminated, `R`: receiver restarted. */
  readonly fault: string | null;
}

/** What a soak acts on. The receiver is another one after each restart. */
interface Soak {
  readonly queue: Queue;
  readonly place: Place;
  readonly running: Running;
  readonly load: Load;
  readonly ledger: Ledger;
  receiver: BenchReceiver;
  rotations: number;
  faults: number;
}

export const soakRow: Row = {
  name: 'soak',
  number: null,
  title: `${PER_SECOND} events/s, a rotation every ${ROTATE_MS / 1000} s, a fault a minute`,
  async run(bench) {
    if (!KNOWS_RUNNING_PROCESSES) return [finding({ what: 'soak', skipped: 'needs /proc' })];
    await using queue = await bench.queues.create(0);
    const first = await startReceiver();
    await first.clear({ times: true });
    await using place = await bench.place(allTo({ type: 'http_post', url: first.url(), retry: RETRY }));
    await using running = start({
      ...tailrace(['run', '--config', place.config, '--database', queue.url]),
      folder: place.folder,
    });
    await waitFor(() => /started as the writer/.test(running.stderr), {
      what: 'tailrace to start',
      timeoutMs: START_MS,
    });
    const load = await startLoad({ queue, queues: bench.queues, perSecond: PER_SECOND, connections: CONNECTIONS });
    const ledger = openLedger(load);
    const soak: Soak = { queue, place, running, load, ledger, receiver: first, rotations: 0, faults: 0 };
    try {
      const samples = await underLoad(bench, soak);
      const books = await settle(soak);
      process.stdout.write(drawing(samples));
      return judge(soak, samples, books);
    } finally {
      await load.end().catch(() => undefined);
      await soak.receiver[Symbol.asyncDispose]();
    }
  },
};

async function underLoad(bench: Bench, soak: Soak): Promise<Sample[]> {
  const { minutes, faultSeconds } = bench.options;
  const { running, ledger } = soak;
  const endsAt = performance.now() + minutes * 60_000;
  const samples: Sample[] = [];
  const reads: Promise<void>[] = [];
  let rotateAt = performance.now() + ROTATE_MS;
  let faultAt = performance.now() + faultSeconds * 1000;
  while (performance.now() < endsAt) {
    await sleep(SAMPLE_MS);
    if (running.hasEnded) throw new Error(`tailrace has ended\n${running.stderr}`);
    let fault: string | null = null;
    if (performance.now() >= faultAt) {
      faultAt += faultSeconds * 1000;
      fault = await cause(soak);
    }
    if (performance.now() >= rotateAt) {
      rotateAt += ROTATE_MS;
      const read = rotate(soak);
      read.catch(() => undefined); // heard of at the end
      reads.push(read);
    }
    const latencies = ledger.note(await soak.receiver.report());
    const [mib, files] = [await residentMiB(running.pid), await openFiles(running.pid)];
    samples.push({ mib, files, fault, p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) });
    if (samples.length % 30 === 0) bench.say(`soak: ${samples.length} s, ${mib.toFixed(0)} MiB, ${files} descriptors`);
  }
  await Promise.all(reads);
  return samples;
}

/** Moves the file away as logrotate does; later it is read, and removed. */
async function rotate(soak: Soak): Promise<void> {
  const moved = `${soak.place.log}.${soak.rotations + 1}`;
  // After a fault there may be no new file yet: the next time then.
  const there = await rename(soak.place.log, moved).then(
    () => true,
    () => false,
  );
  if (!there) return;
  soak.rotations += 1;
  await sleep(KEPT_MS);
  await soak.ledger.read(moved);
  await rm(moved);
}

/** One fault, in turn with the other. @returns its mark. */
async function cause(soak: Soak): Promise<string> {
  soak.faults += 1;
  if (soak.faults % 2 === 1) {
    await soak.queue.query(TERMINATE);
    return 'P';
  }
  const { port } = soak.receiver;
  soak.ledger.note(await soak.receiver.end());
  await soak.receiver[Symbol.asyncDispose]();
  await sleep(RECEIVER_DOWN_MS);
  soak.receiver = await startReceiver(port);
  await soak.receiver.clear({ times: true });
  return 'R';
}

/** Lets everything come through, stops, and closes the books. */
async function settle({ load, ledger, queue, running, receiver, place }: Soak): Promise<Books & Usage> {
  await load.end();
  // What does not come in time shows in the books.
  await waitFor(
    async () => {
      ledger.note(await receiver.report());
      return ledger.outstanding === 0 && (await queue.query('SELECT FROM events LIMIT 1')).length === 0;
    },
    { what: 'an empty queue', timeoutMs: SETTLE_MS, intervalMs: 200 },
  ).catch(() => undefined);
  const usage = took(await running.stop());
  ledger.note(await receiver.report());
  await ledger.read(place.log);
  return { ...ledger.close(), ...usage };
}

function judge(soak: Soak, samples: readonly Sample[], books: Books & Usage): Finding[] {
  const level = (what: string, unit: string, limit: number, of: (sample: Sample) => number): Finding => {
    const middle = (from: number, to: number) => {
      const part = samples.slice(Math.floor(from * samples.length), Math.ceil(to * samples.length));
      return median(part.map(of).filter(Number.isFinite));
    };
    return finding({
      what: `${what}, last fifth`,
      ours: { label: 'tailrace', unit, values: [middle(0.8, 1)] },
      against: { label: 'second fifth', unit, values: [middle(0.2, 0.4)] },
      goal: { of: 'ratio', sign: '<=', limit },
    });
  };
  const count = (what: string, value: number): Finding =>
    finding({
      what,
      ours: { label: 'tailrace', unit: 'events', values: [value] },
      goal: { of: 'value', sign: '<=', limit: 0 },
    });
  const { committed, lines, accepted, acceptedAgain } = books;
  const story = `${committed} committed, ${lines} lines in ${soak.rotations + 1} files, ${accepted} accepted (${acceptedAgain} again, after a lost answer), ${soak.faults} faults`;
  const findings = [
    {
      ...level('RSS', 'MiB', LEVEL.rss, ({ mib }) => mib),
      ...{ cpuSeconds: [books.cpuSeconds], peakMiB: [books.peakMiB], notes: [story] },
    },
    level('descriptors', 'open', LEVEL.descriptors, ({ files }) => files),
    level('latency to the 2xx, p50', 'ms', LEVEL.latency, ({ p50 }) => p50),
    count('lost', books.lost),
    count('doubled in the files', books.doubled),
    count('uncertain to the producer', soak.load.uncertain),
  ];
  const missed = findings.filter((found) => isReached(found) !== true).map(({ what }) => what);
  if (missed.length > 0) throw new SoakFailed(`not as it has to be: ${missed.join('; ')}`, findings);
  return findings;
}

function drawing(samples: readonly Sample[]): string {
  const fault = samples.map((sample) => sample.fault);
  const finite = (of: (sample: Sample) => number) =>
    samples.map(of).map((value) => (Number.isFinite(value) ? value : 0));
  return `${[
    chart(
      'RSS MiB',
      samples.map(({ mib }) => mib),
    ),
    chart(
      'descriptors',
      samples.map(({ files }) => files),
    ),
    chart(
      'p50 ms to the 2xx',
      finite(({ p50 }) => p50),
    ),
    chart(
      'p99 ms to the 2xx',
      finite(({ p99 }) => p99),
    ),
    marks('faults', fault),
    'P: connections to PostgreSQL terminated; R: receiver restarted',
  ].join('\n')}\n`;
}
