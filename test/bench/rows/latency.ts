// Rows 7 and 8: how long after its COMMIT an event is on disk in the file, and accepted by its destination, at 1,000 events
// a second. Each round has both ways of noticing an event: the trigger of `init --notify`, and looking every so often.

import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../../helpers/wait-for.ts';
import { inTurn, took } from '../drain.ts';
import { type Finding, finding, percentile, type Row } from '../finding.ts';
import { startLoad } from '../load.ts';
import { type Measured, start, tailrace } from '../measured.ts';
import { allTo, type Bench } from '../scene.ts';
import { tail } from '../tail.ts';

const PER_SECOND = 1_000;
const CONNECTIONS = 8;
const POLL_INTERVAL_MS = 200;
/** The start is not what is measured. */
const WARM_UP_PART = 0.1;
const SETTLE_MS = 30_000;
const TO_DISK_MS = 25;
const TO_ACCEPTED_MS = 50;

interface Latency extends Pick<Measured, 'cpuSeconds' | 'peakMiB'> {
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
}

export const latencyRow: Row = {
  name: 'latency',
  number: 7,
  title: 'from COMMIT of the INSERT to the fsynced line, 1,000 events/s',
  async run(bench) {
    const notes = [
      'COMMIT: when its answer is there; line: when this bench has read it and synced the file itself once more',
    ];
    return measureBoth(bench, 'latency', false, TO_DISK_MS, TO_DISK_MS + POLL_INTERVAL_MS, notes);
  },
};

export const deliveryRow: Row = {
  name: 'delivery',
  number: 8,
  title: 'from COMMIT of the INSERT to the 2xx, 1,000 events/s',
  async run(bench) {
    const notes = ['2xx: when the receiver has sent it'];
    return measureBoth(bench, 'delivery', true, TO_ACCEPTED_MS, null, notes);
  },
};

async function measureBoth(
  bench: Bench,
  name: string,
  delivered: boolean,
  withNotifyMs: number,
  withoutMs: number | null,
  notes: readonly string[],
): Promise<readonly Finding[]> {
  const withNotify: Latency[] = [];
  const without: Latency[] = [];
  await inTurn(
    bench,
    name,
    async () => {
      withNotify.push(await measure(bench, delivered, true));
    },
    async () => {
      without.push(await measure(bench, delivered, false));
    },
  );
  return [
    ...findingsOf('with NOTIFY', withNotify, withNotifyMs, notes),
    ...findingsOf(`without, poll_interval_ms ${POLL_INTERVAL_MS}`, without, withoutMs, notes),
  ];
}

function findingsOf(what: string, all: readonly Latency[], limit: number | null, notes: readonly string[]): Finding[] {
  const usage = { cpuSeconds: all.map(({ cpuSeconds }) => cpuSeconds), peakMiB: all.map(({ peakMiB }) => peakMiB) };
  const rate = percentile(
    all.map(({ perSecond }) => perSecond),
    0.5,
  );
  const figure = (values: number[]) => ({ label: 'tailrace', unit: 'ms', values });
  return [
    finding({ what: `${what}: p50`, ours: figure(all.map(({ p50 }) => p50)) }),
    finding({
      what: `${what}: p99`,
      ours: figure(all.map(({ p99 }) => p99)),
      goal: limit === null ? null : { of: 'value', sign: '<=', limit },
      ...usage,
      notes: [...notes, `${what}: ${rate.toFixed(0)} events/s came in`],
    }),
  ];
}

async function measure(bench: Bench, delivered: boolean, notify: boolean): Promise<Latency> {
  const seconds = Math.min(20, Math.max(2, bench.options.events / 15_000));
  await using queue = await bench.queues.create(0, { notify });
  const destination = { type: 'http_post', url: bench.receiver.url() };
  await using place = await bench.place({ poll_interval_ms: POLL_INTERVAL_MS, ...(delivered && allTo(destination)) });
  await bench.receiver.clear({ times: delivered });
  await using running = start({
    ...tailrace(['run', '--config', place.config, '--database', queue.url]),
    folder: place.folder,
  });
  await waitFor(() => /started as the writer/.test(running.stderr), {
    what: 'tailrace to start',
    timeoutMs: SETTLE_MS,
  });

  const load = await startLoad({ queue, queues: bench.queues, perSecond: PER_SECOND, connections: CONNECTIONS });
  const following = await tail(place.log);
  await sleep(seconds * 1000);
  await load.end();
  const { committedAtNs } = load;
  await waitFor(() => following.onDiskAtNs.size >= committedAtNs.size, { what: 'all lines', timeoutMs: SETTLE_MS });
  await waitFor(async () => (await queue.query('SELECT FROM events LIMIT 1')).length === 0, {
    ...{ what: 'an empty queue', timeoutMs: SETTLE_MS },
  });
  const measured = await running.stop();
  await following.end();
  const { times } = await bench.receiver.report();
  const ends = delivered
    ? new Map(times.map(([key, , answeredNs]) => [load.idOfKey.get(key) ?? '', answeredNs]))
    : following.onDiskAtNs;

  const latencies = [...committedAtNs].map(([id, committed]) => ((ends.get(id) ?? Number.NaN) - committed) / 1e6);
  const counted = latencies.slice(Math.floor(latencies.length * WARM_UP_PART));
  if (counted.some(Number.isNaN)) throw new Error('an event has not come through');
  return {
    ...took(measured),
    p50: percentile(counted, 0.5),
    p99: percentile(counted, 0.99),
    perSecond: committedAtNs.size / seconds,
  };
}
