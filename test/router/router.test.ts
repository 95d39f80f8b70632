import { expect, onTestFinished, test } from 'vitest';
import type { Destination } from '../../src/destinations/destination.ts';
import type { Regime } from '../../src/flow/batch.ts';
import type { Settled, Settlement } from '../../src/flow/settlement.ts';
import { Router, type RouterOptions } from '../../src/router/router.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { type ConfigInWords, SILENT } from '../queue/world.ts';
import { batchEventOf, batchOf, createManual, eventOf, type Manual, regimeOf } from './batches.ts';

/** What is to be quick is tried so often: a busy machine holds it up now and then, but not always. */
const TIMES = 5;

function startRouter(more: Partial<RouterOptions> = {}) {
  const manuals = new Map<string, Manual>();
  const settled: Settled[] = [];
  const dueLater: [number, number][] = [];
  const stop = new AbortController();
  const router = new Router({
    createDestination: ({ key, destination }) => {
      const manual = createManual();
      manuals.set(key, manual);
      if (destination.type === 'http_post') return manual.destination;
      return { ...manual.destination, outcome: destination.type === 'leave_in_queue' ? 'left' : 'dropped' };
    },
    mayDeliver: () => true,
    onLane: () => {},
    logger: SILENT,
    onRoom: () => {},
    onDueLater: (...args) => dueLater.push(args),
    onAttempt: () => {},
    stop: stop.signal,
    graceMs: 200,
    ...more,
  });
  router.on('data', ({ items }: Settlement) => settled.push(...items));
  onTestFinished(async () => {
    router.destroy();
  });
  let id = 0;
  const send = (regime: Regime, count: number, type = 'scomp'): Promise<void> => {
    const events = Array.from({ length: count }, () => batchEventOf(eventOf(++id, { type })));
    return new Promise((resolve, reject) =>
      router.write(batchOf(regime, events), (error) => (error ? reject(error) : resolve())),
    );
  };
  const manual = (key: string): Manual => manuals.get(key) ?? createManual();
  const outcomes = (): string[] =>
    settled.map(({ id: each, outcome, inFlight }) => `${each} ${outcome}${inFlight ? ' in flight' : ''}`);
  return { router, send, manual, settled, outcomes, dueLater, stop };
}

/** A destination that takes `ms` for each answer, 0: as good as none. */
const answering = (ms: number): Destination => ({
  ...createManual().destination,
  deliver: (events) =>
    new Promise((resolve) => (ms > 0 ? setTimeout : setImmediate)(() => resolve(events.map(() => ({ ok: true }))), ms)),
});

const TO_A: ConfigInWords = { routes: [{ to: 'A', concurrency: 2 }] };

test('an event is settled as its destination answers', async () => {
  const { send, manual, outcomes } = startRouter();
  await send(
    regimeOf({ routes: [{ types: ['scomp'], to: 'A' }, { types: ['bounce_all'], to: 'dropped' }, { to: 'left' }] }),
    2,
  );
  await manual('A').answer();
  await manual('A').answer({ ok: false, error: 'no' });
  await waitFor(() => outcomes().length === 2);
  expect(outcomes()).toEqual(['1 delivered', '2 failed']);
  await send(regimeOf({ routes: [{ types: ['bounce_all'], to: 'dropped' }, { to: 'left' }] }), 1, 'bounce_all');
  await send(regimeOf({ routes: [{ types: ['bounce_all'], to: 'dropped' }, { to: 'left' }] }), 1, 'engine_open');
  expect(outcomes().slice(2)).toEqual(['3 dropped', '4 left']);
});

test('without an answer after 250 ms an event waits in flight, and goes when the answer comes', async () => {
  const { router, send, manual, outcomes, settled } = startRouter();
  const started = performance.now();
  await send(regimeOf(TO_A), 1);
  await waitFor(() => outcomes().length === 1, { intervalMs: 5 });
  expect(performance.now() - started).toBeGreaterThan(240);
  expect(outcomes()).toEqual(['1 waiting in flight']);
  expect(router.quiet).toBe(true);
  await manual('A').answer();
  await waitFor(() => outcomes().length === 2);
  expect(outcomes()[1]).toBe('1 delivered');
  expect(settled[1]?.from).toBe(settled[0]?.to);
});

test('what a lane has no room for waits, after at most 50 ms while the lane is healthy', async () => {
  const tookMs: number[] = [];
  for (let time = 0; time < TIMES; time += 1) {
    const { send, outcomes, dueLater } = startRouter();
    const started = performance.now();
    await send(regimeOf(TO_A), 300);
    tookMs.push(performance.now() - started);
    const waiting = outcomes().filter((each) => each.endsWith(' waiting'));
    expect(waiting.length).toBeGreaterThanOrEqual(300 - 102);
    expect(dueLater).toHaveLength(waiting.length);
  }
  expect(Math.min(...tookMs)).toBeGreaterThan(40);
  expect(Math.min(...tookMs)).toBeLessThan(200);
});

test('nothing overflows a destination that keeps up, however small its lane', async () => {
  const { send, outcomes } = startRouter({ createDestination: () => answering(0) });
  const regime = regimeOf({ routes: [{ to: 'A', concurrency: 10 }] });
  // It shows its pace first.
  await send(regime, 100);
  for (let page = 0; page < 3; page += 1) await send(regime, 1_000);
  await waitFor(() => outcomes().length >= 3_100);
  expect(outcomes().filter((each) => each.includes('waiting'))).toEqual([]);
});

test('a page does not wait for a destination whose answers were slow', async () => {
  const { send, outcomes } = startRouter({ createDestination: () => answering(30) });
  const regime = regimeOf({ routes: [{ to: 'A', concurrency: 10 }] });
  await send(regime, 60);
  await waitFor(() => outcomes().length >= 60);
  const tookMs: number[] = [];
  // Several pages: a busy machine may hold one of them up.
  for (let page = 0; page < 5; page += 1) {
    const started = performance.now();
    await send(regime, 1_000);
    tookMs.push(performance.now() - started);
  }
  expect(Math.min(...tookMs)).toBeLessThan(45);
});

test('a failing lane is not waited for at all', async () => {
  const tookMs: number[] = [];
  for (let time = 0; time < TIMES; time += 1) {
    const { send, manual, outcomes } = startRouter();
    const regime = regimeOf(TO_A);
    await send(regime, 1);
    await manual('A').answer({ ok: false, error: 'no' });
    const started = performance.now();
    await send(regime, 300);
    tookMs.push(performance.now() - started);
    expect(outcomes().filter((each) => each.endsWith(' waiting')).length).toBeGreaterThan(100);
  }
  expect(Math.min(...tookMs)).toBeLessThan(40);
});

test('a lane that is full does not hold up the events of another one', async () => {
  const { send, manual } = startRouter();
  const regime = regimeOf({
    routes: [
      { types: ['scomp'], to: 'A', concurrency: 1 },
      { to: 'B', concurrency: 500 },
    ],
  });
  await send(regime, 200);
  await send(regime, 300, 'bounce_all');
  expect(manual('B').delivered).toHaveLength(300);
});

test('without a log file a single lane holds the reader back and nothing overflows', async () => {
  const { send, manual, outcomes } = startRouter();
  let done = false;
  const sent = send(regimeOf({ ...TO_A, log: false }), 300).then(() => {
    done = true;
  });
  for (let at = 0; at < 150; at += 1) await manual('A').answer();
  expect(done).toBe(false);
  while (!done) await manual('A').answer();
  await sent;
  expect(outcomes().filter((each) => each.endsWith(' waiting'))).toEqual([]);
});

test('held back by a destination that hangs, it lets go when it is stopped', async () => {
  const { send, outcomes, stop, router } = startRouter();
  const sent = send(regimeOf({ ...TO_A, log: false }), 300);
  await waitFor(() => outcomes().length > 0);
  stop.abort();
  await sent;
  router.end();
  await waitFor(() => router.readableEnded);
  const last = new Map(outcomes().map((each) => [each.split(' ')[0], each]));
  expect(last.size).toBe(300);
  expect([...last.values()].filter((each) => each.includes('in flight'))).toEqual([]);
});

test('the events of a disabled destination wait', async () => {
  const { send, manual, outcomes } = startRouter();
  await send(regimeOf({ routes: [{ to: 'A', enabled: false }] }), 2);
  expect(outcomes()).toEqual(['1 waiting', '2 waiting']);
  expect(manual('A').delivered).toEqual([]);
});

test('a destination that is gone gives back what it had not begun; the rest ends where it began', async () => {
  const { send, manual, outcomes, settled } = startRouter();
  await send(regimeOf(TO_A), 4);
  const old = manual('A');
  await send(regimeOf({ routes: [{ to: 'left' }] }, 2), 1);
  await waitFor(() => outcomes().length === 3);
  expect(outcomes().sort()).toEqual(['3 waiting', '4 waiting', '5 left']);
  expect(settled.find(({ id }) => id === '3')?.to?.waiting).toEqual([{ destinationId: 1, generation: 1 }]);
  await old.answer();
  await old.answer({ ok: false, error: 'no' });
  await waitFor(() => outcomes().length === 5);
  expect(outcomes().slice(3)).toEqual(['1 delivered', '2 failed']);
  await waitFor(() => old.closed === 1);
});

test('what is aborted at the end waits, not one attempt older', async () => {
  const { router, send, outcomes } = startRouter({ graceMs: 20 });
  await send(regimeOf(TO_A), 3);
  router.end();
  await waitFor(() => router.readableEnded);
  expect(outcomes().sort()).toEqual(['1 waiting', '2 waiting', '3 waiting']);
});
