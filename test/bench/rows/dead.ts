// Row 9: half of the events to a destination that is dead, half to a healthy one, which must not feel it. Against the same
// with the first half left in the queue, so that both sides read and write the same lines.

import { once } from 'node:events';
import { createServer } from 'node:net';
import { waitFor } from '../../helpers/wait-for.ts';
import { inTurn, took } from '../drain.ts';
import { type Finding, finding, type Row } from '../finding.ts';
import { type Measured, start, tailrace } from '../measured.ts';
import type { Bench } from '../scene.ts';

const PART = 3;
const DRAIN_MS = 600_000;

interface Healthy extends Pick<Measured, 'cpuSeconds' | 'peakMiB'> {
  /** Events a second, from the first answer of the healthy receiver to the last one. */
  readonly rate: number;
}

export const deadRow: Row = {
  name: 'dead',
  number: 9,
  title: 'one destination dead, one healthy',
  async run(bench) {
    const refusing = await freePort();
    return [
      await measureBoth(bench, 'refuses connections', `http://127.0.0.1:${refusing}/`),
      await measureBoth(bench, 'never answers', bench.receiver.url('/hang')),
    ];
  },
};

async function measureBoth(bench: Bench, how: string, url: string): Promise<Finding> {
  const alive: Healthy[] = [];
  const beside: Healthy[] = [];
  await inTurn(
    bench,
    `dead, ${how}`,
    async () => {
      alive.push(await measure(bench, { type: 'leave_in_queue' }));
    },
    async () => {
      beside.push(await measure(bench, { type: 'http_post', url }));
    },
  );
  return finding({
    what: `healthy, the other ${how}`,
    ours: { label: 'tailrace', unit: 'events/s', values: beside.map(({ rate }) => rate) },
    against: { label: 'no other destination', unit: 'events/s', values: alive.map(({ rate }) => rate) },
    goal: { of: 'ratio', sign: '>=', limit: 0.95 },
    cpuSeconds: beside.map(({ cpuSeconds }) => cpuSeconds),
    peakMiB: beside.map(({ peakMiB }) => peakMiB),
    notes: [
      'the healthy one gets all but delivery_attempt, half of the events; its rate is from its first answer to its last',
    ],
  });
}

async function measure(bench: Bench, other: object): Promise<Healthy> {
  const events = Math.max(100, Math.round(bench.options.events / PART / 2) * 2);
  await using queue = await bench.queues.create(events);
  const healthy = { type: 'http_post', url: bench.receiver.url('/healthy') };
  await using place = await bench.place({
    event_destinations: [
      { name: 'other', matches: { event_type: 'delivery_attempt' }, destination: other },
      { name: 'healthy', matches: { all: true }, destination: healthy },
    ],
  });
  await bench.receiver.clear();
  await using running = start({
    ...tailrace(['run', '--config', place.config, '--database', queue.url]),
    folder: place.folder,
  });
  const came = async () => (await bench.receiver.report()).paths['/healthy'] ?? { requests: 0, firstNs: 0, lastNs: 0 };
  await waitFor(async () => running.hasEnded || (await came()).requests >= events / 2, {
    ...{ what: 'every event at the healthy destination', timeoutMs: DRAIN_MS, intervalMs: 100 },
  });
  const { requests, firstNs, lastNs } = await came();
  if (requests < events / 2) throw new Error(`tailrace ended before all was delivered\n${running.stderr}`);
  return { ...took(await running.stop()), rate: requests / ((lastNs - firstNs) / 1e9) };
}

/** A port on which nobody listens. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}
