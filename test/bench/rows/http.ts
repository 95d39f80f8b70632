// Rows 2 and 3: the drain with a POST for each event, against wrk with the same requests; and with a POST for a hundred,
// against the drain without any.

import { type Drain, drain, drained, inTurn } from '../drain.ts';
import type { Row } from '../finding.ts';
import type { Captured } from '../receiver.ts';
import { allTo, type Bench } from '../scene.ts';
import { findWrk, runWrk, WRK_ARGS, WRK_CONNECTIONS } from '../wrk.ts';
import { FILE_ONLY } from './drain.ts';

const WRK_SECONDS = 6;
const CAPTURED = 500;
/** A POST costs some five times a line. */
const PART = 3;
const PER_POST = 100;

export const httpRow: Row = {
  name: 'http',
  number: 2,
  title: 'the same plus one JSON POST per event',
  async run(bench) {
    const events = Math.max(100, Math.round(bench.options.events / PART));
    const destination = { type: 'http_post', url: bench.receiver.url(), concurrency: WRK_CONNECTIONS };
    const config = { http_keep_alive: WRK_CONNECTIONS, ...allTo(destination) };
    const wrk = findWrk();
    const requests = await capture(bench, config);
    const drains: Drain[] = [];
    const theirs: number[] = [];
    await inTurn(
      bench,
      'http',
      async () => {
        await bench.receiver.clear();
        if (wrk) theirs.push(await runWrk(bench, wrk, requests, Math.min(WRK_SECONDS, events / 10_000)));
      },
      async () => {
        drains.push(await drainAndCount(bench, events, config, events));
      },
    );
    const bytes = requests.reduce((sum, { body }) => sum + Buffer.byteLength(body), 0) / requests.length;
    return [
      drained(
        {
          what: `${events.toLocaleString('en-US')} events`,
          against: wrk ? { label: `wrk ${WRK_ARGS.join(' ')} (B)`, unit: 'requests/s', values: theirs } : null,
          goal: { of: 'ratio', sign: '>=', limit: 0.4 },
          notes: [
            `"concurrency" and "http_keep_alive": ${WRK_CONNECTIONS}, as many connections as wrk has; wrk sends ${requests.length} of this row's own requests in turn, ${bytes.toFixed(0)} bytes each`,
          ],
          skipped: wrk ? null : 'baseline B: wrk is not installed',
        },
        drains,
      ),
    ];
  },
};

export const httpBatchRow: Row = {
  name: 'http-batch',
  number: 3,
  title: `the same, batches of ${PER_POST} per POST`,
  async run(bench) {
    const { events } = bench.options;
    const destination = { type: 'http_post', url: bench.receiver.url(), batch: { max_events: PER_POST } };
    const drains: Drain[] = [];
    const without: Drain[] = [];
    await inTurn(
      bench,
      'http-batch',
      async () => {
        without.push(await drain(bench, events, FILE_ONLY));
      },
      async () => {
        drains.push(await drainAndCount(bench, events, allTo(destination), Math.ceil(events / PER_POST)));
      },
    );
    return [
      drained(
        {
          what: `${events.toLocaleString('en-US')} events`,
          against: { label: 'row 1', unit: 'events/s', values: without.map(({ rate }) => rate) },
          goal: { of: 'ratio', sign: '>=', limit: 0.7 },
        },
        drains,
      ),
    ];
  },
};

/** The requests of the row's first events. */
async function capture(bench: Bench, config: object): Promise<readonly Captured[]> {
  await bench.receiver.clear({ capture: CAPTURED });
  await drain(bench, CAPTURED, config);
  const { bodies } = await bench.receiver.report();
  return bodies;
}

async function drainAndCount(bench: Bench, events: number, config: object, least: number): Promise<Drain> {
  await bench.receiver.clear();
  const result = await drain(bench, events, config);
  const { paths } = await bench.receiver.report();
  const requests = paths['/events']?.requests ?? 0;
  if (requests < least) throw new Error(`the receiver got ${requests} requests, not ${least}`);
  return result;
}
