import { expect, onTestFinished, test } from 'vitest';
import type { BatchEvent, Regime } from '../../src/flow/batch.ts';
import type { Settled, Settlement } from '../../src/flow/settlement.ts';
import { Router } from '../../src/router/router.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { type RouteInWords, SILENT } from '../queue/world.ts';
import { batchEventOf, batchOf, createManual, eventOf, type Manual, regimeOf } from './batches.ts';

function startRouter() {
  const manuals = new Map<string, Manual>();
  const settled: Settled[] = [];
  const router = new Router({
    createDestination: ({ key, destination }) => {
      const manual = createManual();
      if (!manuals.has(key)) manuals.set(key, manual);
      if (destination.type === 'http_post') return manual.destination;
      return { ...manual.destination, outcome: destination.type === 'leave_in_queue' ? 'left' : 'dropped' };
    },
    mayDeliver: () => true,
    onLane: () => {},
    onRoom: () => {},
    onDueLater: () => {},
    onAttempt: () => {},
    logger: SILENT,
    stop: new AbortController().signal,
    graceMs: 200,
  });
  router.on('data', ({ items }: Settlement) => settled.push(...items));
  onTestFinished(() => void router.destroy());
  let id = 0;
  const send = async (regime: Regime, count = 1): Promise<BatchEvent[]> => {
    const events = Array.from({ length: count }, () => batchEventOf(eventOf(++id)));
    await new Promise<void>((resolve, reject) =>
      router.write(batchOf(regime, events), (error) => (error ? reject(error) : resolve())),
    );
    return events;
  };
  const manual = (key: string): Manual => manuals.get(key) ?? createManual();
  const outcomes = (): string[] =>
    settled.map(({ id: each, outcome, inFlight }) => `${each} ${outcome}${inFlight ? ' in flight' : ''}`);
  return { router, send, manual, settled, outcomes };
}

const regimeTo = (...routes: RouteInWords[]): Regime => regimeOf({ routes });
const onTo = (to: string, more: Partial<RouteInWords> = {}): RouteInWords => ({ to, continues: true, ...more });
const A_AND_B = regimeTo(onTo('A'), { to: 'B' });

test('an event goes to each matching entry up to the first without continue, and is settled once', async () => {
  const { send, manual, outcomes, settled, router } = startRouter();
  await send(regimeTo(onTo('A'), onTo('X', { types: ['bounce_all'] }), { to: 'B' }, { to: 'C' }));
  expect([manual('A'), manual('X'), manual('B'), manual('C')].map(({ delivered }) => delivered.length)).toEqual([
    1, 0, 1, 0,
  ]);
  await manual('B').answer();
  expect([outcomes(), router.quiet]).toEqual([[], false]);
  await manual('A').answer();
  await waitFor(() => settled.length > 0);
  expect([outcomes(), settled[0]?.to]).toEqual([['1 delivered'], null]);
});

test('two entries to one destination deliver once', async () => {
  const { send, manual, outcomes } = startRouter();
  await send(regimeTo(onTo('A'), { to: 'A' }));
  await manual('A').answer();
  await waitFor(() => outcomes().length > 0);
  expect([manual('A').delivered, outcomes()]).toEqual([['1'], ['1 delivered']]);
});

test.each([
  ['dropped', '1 delivered', null],
  ['left', '1 left', { left: [1], done: [1], waiting: [] }],
])('an event that goes to a destination and is %s becomes %s', async (to, outcome, standing) => {
  const { send, manual, outcomes, settled } = startRouter();
  await send(regimeTo(onTo('A'), { to }));
  await manual('A').answer();
  await waitFor(() => outcomes().length > 0);
  expect(outcomes()).toEqual([outcome]);
  if (standing === null) expect(settled[0]?.to).toBeNull();
  else expect(settled[0]?.to).toMatchObject(standing);
});

test('the destination that answers late is handed off alone; the answer that came before is not lost', async () => {
  const { send, manual, outcomes, settled } = startRouter();
  await send(A_AND_B);
  await manual('A').answer();
  await waitFor(() => settled.length === 1);
  expect(outcomes()).toEqual(['1 waiting in flight']);
  expect(settled[0]?.to).toMatchObject({ done: [1], waiting: [{ destinationId: 2, generation: 1 }] });
  await manual('B').answer();
  await waitFor(() => settled.length === 2);
  expect([outcomes()[1], settled[1]?.from, settled[1]?.to]).toEqual(['1 delivered', settled[0]?.to, null]);
});

test('one refused by a lane waits there at once, whatever the other destination says later', async () => {
  const { send, manual, outcomes, settled } = startRouter();
  await send(regimeTo(onTo('A', { enabled: false }), { to: 'B' }));
  expect(outcomes()).toEqual(['1 waiting in flight']);
  await manual('B').answer({ ok: false, error: 'no' });
  await waitFor(() => settled.length === 2);
  expect(outcomes()[1]).toBe('1 failed');
  expect(settled[1]?.to).toMatchObject({
    waiting: [{ destinationId: 1 }],
    failed: [{ destinationId: 2, attempts: 1 }],
  });
});

test('a retry at one destination does not wait for the answer of another, and both are remembered', async () => {
  const { router, send, manual, settled } = startRouter();
  await send(A_AND_B);
  await manual('B').answer({ ok: false, error: 'no' });
  await waitFor(() => settled.length === 1);
  const lane = router.lanes.open.find(({ destinationId }) => destinationId === 2);
  // 5 ms is the pause after a failure; both lanes are asked as the feeder would.
  await waitFor(() => performance.now() > 0 && router.takeShared('1', 1, A_AND_B) === null);
  let shared: BatchEvent | null = null;
  await waitFor(() => {
    shared = router.takeShared('1', 2, A_AND_B);
    return shared !== null;
  });
  expect(router.takeShared('1', 2, A_AND_B)).toBeNull();
  if (!lane || !shared) throw new Error('no lane');
  expect(router.offerDue(lane, shared, A_AND_B)).toBe(true);
  expect(manual('B').delivered).toEqual(['1', '1']);
  await manual('B').answer();
  await waitFor(() => settled.length === 2);
  expect(settled[1]).toMatchObject({ inFlight: true, to: { done: [2], waiting: [{ destinationId: 1 }], failed: [] } });
  await manual('A').answer();
  await waitFor(() => settled.length === 3);
  expect(settled[2]).toMatchObject({ inFlight: false, to: null, outcome: 'delivered' });
  expect(router.takeShared('1', 2, A_AND_B)).toBeNull();
});

test('what is aborted at the end waits where it was, and is done where it is done', async () => {
  const { router, send, manual, settled, outcomes } = startRouter();
  await send(A_AND_B);
  await manual('A').answer();
  router.end();
  await waitFor(() => router.readableEnded);
  expect(outcomes()).toEqual(['1 waiting']);
  expect(settled[0]?.to).toMatchObject({ done: [1], waiting: [{ destinationId: 2 }] });
});

test("an event that no lane took, and that failed elsewhere while it was offered, is nobody's any more", async () => {
  const { router, send, manual, settled } = startRouter();
  const regime = regimeTo(onTo('A', { concurrency: 1 }), { to: 'B', concurrency: 100 });
  // A takes 76 of them; the others wait for room there for a moment, and meanwhile B answers.
  const sent = send(regime, 80);
  for (let at = 0; at < 80; at += 1) await manual('B').answer({ ok: false, error: 'no' });
  await sent;
  await waitFor(() => settled.some(({ id, inFlight }) => id === '80' && !inFlight));
  expect(settled.findLast(({ id }) => id === '80')?.to).toMatchObject({
    waiting: [{ destinationId: 1 }],
    failed: [{ destinationId: 2 }],
  });
  await new Promise((resolve) => setTimeout(resolve, 20)); // longer than the pause after a failure
  expect([router.takeShared('80', 1, regime), router.takeShared('80', 2, regime)]).toEqual([null, null]);
  expect(router.takeShared('1', 2, regime)).not.toBeNull();
});
