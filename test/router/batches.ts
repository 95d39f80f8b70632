// What the tests of the router share: events and batches without a database, and a destination that is told its answers.

import type { DeliveryResult, Destination } from '../../src/destinations/destination.ts';
import { createEvent, createRowShape, type QueuedEvent } from '../../src/event/event.ts';
import { type Batch, type BatchEvent, type Regime, toBatchEvent } from '../../src/flow/batch.ts';
import { LOGGED, type Standing } from '../../src/flow/standing.ts';
import { type ConfigInWords, configOf } from '../queue/world.ts';

const SHAPE = createRowShape([
  { name: 'id', kind: 'integer' },
  { name: 'event_type', kind: 'text' },
  { name: 'mailclass', kind: 'text' },
  { name: 'message', kind: 'text' },
]);

/** @param more its size is made up by a long text. */
export function eventOf(id: number, more: { readonly type?: string; readonly bytes?: number } = {}): QueuedEvent {
  const sized = (message: string) => createEvent(SHAPE, [String(id), more.type ?? 'scomp', null, message]);
  return sized('x'.repeat(Math.max(0, (more.bytes ?? 100) - sized('').bytes)));
}

export function batchEventOf(event: QueuedEvent, stored: Standing = LOGGED, standing: Standing = stored): BatchEvent {
  return { ...toBatchEvent(event, stored, false), standing };
}

/** Destinations get the numbers 1, 2, … in the order of their first appearance. */
export function regimeOf(words: ConfigInWords, generation = 1): Regime {
  const config = configOf(words);
  const keys = [
    ...new Set(config.routes.filter(({ destination }) => destination.type === 'http_post').map(({ key }) => key)),
  ];
  return {
    config,
    generation,
    routes: config.routes.map((route) => ({ ...route, destinationId: keys.indexOf(route.key) + 1 })),
  };
}

export function batchOf(regime: Regime, events: readonly BatchEvent[]): Batch {
  return { regime, events, bytes: 0 };
}

export interface Manual {
  readonly destination: Destination;
  /** Ids under way, in the order in which they were delivered. */
  readonly underWay: string[];
  readonly delivered: string[];
  closed: number;
  /** Answers the oldest delivery under way. */
  answer(result?: DeliveryResult): Promise<void>;
}

/** A destination that answers when it is told to, or when it is aborted. */
export function createManual(maxBatchEvents = 1): Manual {
  const waiting: ((result: DeliveryResult) => void)[] = [];
  const manual: Manual = {
    underWay: [],
    delivered: [],
    closed: 0,
    destination: {
      outcome: 'delivered',
      maxBatchEvents,
      deliver: async (events, { signal }) => {
        const ids = events.map(({ id }) => id);
        manual.underWay.push(ids.join(' '));
        manual.delivered.push(...ids);
        const result = await new Promise<DeliveryResult>((resolve) => {
          waiting.push(resolve);
          signal.addEventListener('abort', () => resolve({ ok: false, error: 'aborted' }), { once: true });
        });
        manual.underWay.splice(manual.underWay.indexOf(ids.join(' ')), 1);
        return events.map(() => result);
      },
      close: async () => {
        manual.closed += 1;
      },
    },
    answer: async (result = { ok: true }) => {
      waiting.shift()?.(result);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
  return manual;
}
