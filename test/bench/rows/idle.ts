// Row 10: what tailrace takes while nothing comes.

import { setTimeout as sleep } from 'node:timers/promises';
import { residentMiB } from '../../crash/process-facts.ts';
import { waitFor } from '../../helpers/wait-for.ts';
import { inTurn } from '../drain.ts';
import { type Finding, finding, type Row } from '../finding.ts';
import { start, tailrace } from '../measured.ts';
import { cpuSecondsOf, KNOWS_RUNNING_PROCESSES } from '../process-cpu.ts';
import { allTo, type Bench } from '../scene.ts';

/** The start is over, with what V8 compiles and collects behind it: most of that comes within a quarter of a minute. */
const CALM_DOWN_MS = 15_000;
/** In a bench of so many events; a smaller one is content with less. */
const MEASURED_MS = 15_000;
const WHOLE_BENCH_EVENTS = 300_000;
const MOST_PERCENT = 1;
const MOST_MIB = 90;

interface Idle {
  readonly cpuSeconds: number;
  readonly percent: number;
  readonly mib: number;
}

export const idleRow: Row = {
  name: 'idle',
  number: 10,
  title: 'CPU and RSS while the queue is empty',
  async run(bench) {
    if (!KNOWS_RUNNING_PROCESSES) return [finding({ what: 'idle', skipped: 'needs /proc' })];
    const polling: Idle[] = [];
    const notified: Idle[] = [];
    await inTurn(
      bench,
      'idle',
      async () => {
        polling.push(await measure(bench, false));
      },
      async () => {
        notified.push(await measure(bench, true));
      },
    );
    return [...findingsOf('looking every 200 ms', polling), ...findingsOf('with NOTIFY', notified)];
  },
};

function findingsOf(what: string, idles: readonly Idle[]): Finding[] {
  const figure = (unit: string, values: number[]) => ({ label: 'tailrace', unit, values });
  return [
    finding({
      what: `${what}: CPU`,
      ours: figure(
        '% of a core',
        idles.map(({ percent }) => percent),
      ),
      goal: { of: 'value', sign: '<=', limit: MOST_PERCENT },
      cpuSeconds: idles.map(({ cpuSeconds }) => cpuSeconds),
    }),
    finding({
      what: `${what}: RSS`,
      ours: figure(
        'MiB',
        idles.map(({ mib }) => mib),
      ),
      goal: { of: 'value', sign: '<=', limit: MOST_MIB },
      peakMiB: idles.map(({ mib }) => mib),
    }),
  ];
}

async function measure(bench: Bench, notify: boolean): Promise<Idle> {
  await using queue = await bench.queues.create(0, { notify });
  await using place = await bench.place(allTo({ type: 'http_post', url: bench.receiver.url() }));
  await using running = start({
    ...tailrace(['run', '--config', place.config, '--database', queue.url]),
    folder: place.folder,
    // Nothing else in the process than what a user has there.
    env: { NODE_OPTIONS: '' },
  });
  await waitFor(() => /started as the writer/.test(running.stderr), { what: 'tailrace to start', timeoutMs: 30_000 });
  const share = Math.min(1, Math.max(0.1, bench.options.events / WHOLE_BENCH_EVENTS));
  await sleep(CALM_DOWN_MS * share);
  const ms = MEASURED_MS * share;
  const [before, began] = [await cpuSecondsOf(running.pid), performance.now()];
  await sleep(ms);
  const [after, ended] = [await cpuSecondsOf(running.pid), performance.now()];
  const mib = await residentMiB(running.pid);
  await running.stop();
  const cpuSeconds = after - before;
  return { cpuSeconds, percent: (cpuSeconds / ((ended - began) / 1000)) * 100, mib };
}
