// Pages are used again as soon as the router has done with them. However long an event waits in a lane, for room or for a
// retry, what its destination gets are its own bytes.

import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Destination } from '../../src/destinations/destination.ts';
import { createHttpBodyBuilder } from '../../src/destinations/http-body.ts';
import { createRowShape, type RawValue } from '../../src/event/event.ts';
import { toBatchEvent } from '../../src/flow/batch.ts';
import type { Settled, Settlement } from '../../src/flow/settlement.ts';
import { isPendingAt, LOGGED } from '../../src/flow/standing.ts';
import { Router } from '../../src/router/router.ts';
import { eventsInPage, spoilFreePages } from '../flow/pages.ts';
import { SILENT } from '../queue/world.ts';
import { batchOf, regimeOf } from './batches.ts';

const SHAPE = createRowShape([
  { name: 'id', kind: 'integer' },
  { name: 'event_type', kind: 'text' },
  { name: 'mailclass', kind: 'text' },
  { name: 'message', kind: 'text' },
]);

/** What a destination was given of an event. */
interface Delivered {
  readonly key: string;
  readonly id: string;
  /** Made at once, as of a POST, and in a while, as of what is bound to a statement. */
  readonly bodies: readonly [string, RawValue];
  readonly ok: boolean;
}

/** How a destination behaves. */
interface Behaviour {
  /** In turn: turns of the event loop until it answers, and whether it accepts. */
  readonly answers: readonly (readonly [number, boolean])[];
  readonly concurrency: number;
  readonly batch: number;
}

const REFUSED = { ok: false, error: 'no', blame: 'event' } as const;

const answers = fc.array(fc.tuple(fc.nat({ max: 4 }), fc.boolean()), { minLength: 1, maxLength: 6 });
const lane: fc.Arbitrary<Behaviour> = fc.record({
  answers,
  concurrency: fc.integer({ min: 1, max: 3 }),
  batch: fc.constantFrom(1, 1, 7),
});
/** Sizes of the messages: a few bytes, as most; too large for a shared block; more than is left in one. */
const message = fc.oneof({ weight: 30, arbitrary: fc.nat({ max: 200 }) }, fc.nat({ max: 6_000 }));
const page = fc.oneof(
  fc.array(message, { minLength: 1, maxLength: 20 }),
  // More than a lane has room for.
  fc.array(message, { minLength: 90, maxLength: 150, size: 'max' }),
);

test('each destination gets each event once, in its own bytes, while pages are used for others', async () => {
  const run = async (lanes: readonly Behaviour[], pages: readonly (readonly number[])[]) => {
    const delivered: Delivered[] = [];
    /** As PostgreSQL would have them. */
    const open = new Map<string, Settled>();
    const rowOf = new Map<string, readonly RawValue[]>();
    const errors = new Set<string>();
    const keys = lanes.map((_, at) => `${at + 1}`);
    const regime = regimeOf({
      routes: keys.map((to, at) => ({ to, concurrency: lanes[at]?.concurrency ?? 1, continues: true })),
    });
    const destinationOf = (key: string, { answers, batch }: Behaviour): Destination => {
      const bodyOf = createHttpBodyBuilder({ format: 'json', columns: 'all', expandJsonColumns: [] });
      const asked = new Map<string, number>();
      return {
        outcome: 'delivered',
        maxBatchEvents: batch,
        close: async () => {},
        deliver: async (events) => {
          const bodies = events.map(bodyOf);
          const [turns, accepts] = answers[(asked.get('') ?? 0) % answers.length] ?? [0, true];
          asked.set('', (asked.get('') ?? 0) + 1);
          for (let turn = 0; turn < turns; turn += 1) await tick();
          return events.map((event, at) => {
            const times = (asked.get(event.id) ?? 0) + 1;
            asked.set(event.id, times);
            const ok = accepts || times > 2;
            delivered.push({ key, id: event.id, bodies: [String(bodies[at]), event.value(3)], ok });
            return ok ? { ok } : REFUSED;
          });
        },
      };
    };
    const router = new Router({
      createDestination: ({ key }) => destinationOf(key, lanes[Number(key) - 1] as (typeof lanes)[number]),
      mayDeliver: () => true,
      onLane: () => {},
      logger: SILENT,
      onRoom: () => {},
      onDueLater: () => {},
      onAttempt: () => {},
      stop: new AbortController().signal,
      graceMs: 200,
    });
    router.on('data', ({ items }: Settlement) => {
      for (const item of items) {
        for (const { error } of item.to?.failed ?? []) errors.add(error);
        if (item.to === null) open.delete(item.id);
        else open.set(item.id, item);
      }
    });
    /** What is due at a destination, from PostgreSQL or from another lane. */
    const offerDue = (item: Settled): void => {
      let { inFlight } = item;
      for (const due of router.lanes.open) {
        const { to, id } = item;
        if (to === null || !isPendingAt(to, due.destinationId, 1) || due.roomForDue.events === 0) continue;
        const [fetched] = inFlight ? [] : eventsInPage(SHAPE, [rowOf.get(id) ?? []]);
        const event = fetched ? toBatchEvent(fetched, to, false) : router.takeShared(id, due.destinationId, regime);
        if (event && router.offerDue(due, event, regime)) inFlight = true;
      }
      if (inFlight && open.get(item.id) === item) open.set(item.id, { ...item, inFlight });
    };

    let id = 0;
    for (const sizes of pages) {
      const rows = sizes.map((size) => {
        id += 1;
        const row = [String(id), 'scomp', null, `${id} `.repeat(size / 4 + 1)];
        rowOf.set(String(id), row);
        return row;
      });
      const events = eventsInPage(SHAPE, rows).map((event) => toBatchEvent(event, LOGGED, false));
      await new Promise((resolve) => router.write(batchOf(regime, events), resolve));
      spoilFreePages();
    }
    while (open.size > 0 || !router.quiet) {
      for (const item of [...open.values()]) offerDue(item);
      spoilFreePages();
      await tick();
    }
    router.destroy();

    for (const { id, bodies } of delivered) {
      const text = rowOf.get(id)?.[3] ?? null;
      expect(bodies).toEqual([`{"id":${id},"event_type":"scomp","mailclass":null,"message":"${text}"}`, text]);
    }
    const accepted = delivered.filter(({ ok }) => ok).map(({ key, id }) => `${id} at ${key}`);
    expect(accepted.toSorted()).toEqual(
      [...rowOf.keys()].flatMap((id) => keys.map((key) => `${id} at ${key}`)).toSorted(),
    );
    expect([...errors].filter((error) => error !== REFUSED.error)).toEqual([]);
  };
  await fc.assert(
    fc.asyncProperty(
      fc.array(lane, { minLength: 1, maxLength: 3 }),
      fc.array(page, { minLength: 1, maxLength: 3, size: 'max' }),
      run,
    ),
    { numRuns: 12 },
  );
});
