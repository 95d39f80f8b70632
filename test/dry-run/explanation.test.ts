// `explain` says of one event what `plan` counts and what the router decides: three ways, one answer.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Config, RouteConfig } from '../../src/config/config.ts';
import { createExplainer } from '../../src/dry-run/explanation.ts';
import { createPlanner } from '../../src/dry-run/plan.ts';
import { createLineReader } from '../../src/event/from-line.ts';
import { FRESH, type Standing } from '../../src/flow/standing.ts';
import type { TracedPair } from '../../src/queue/trace.ts';
import { httpPostConfig } from '../destinations/samples.ts';

const KEYS = ['a', 'b', 'c'];
const numberOf = (key: string): number => KEYS.indexOf(key) + 1;

const routes = fc.array(
  fc.record({
    to: fc.constantFrom(...KEYS, 'leave_in_queue', 'drop_from_queue'),
    type: fc.constantFrom(null, 'scomp', 'other'),
    continues: fc.boolean(),
    enabled: fc.boolean(),
  }),
  { maxLength: 5 },
);

/** What became of the event at each destination before. */
const history = fc.record(
  Object.fromEntries(KEYS.map((key) => [key, fc.constantFrom('none', 'done', 'waiting', 'failed', 'parked')])),
);

function routeOf({
  to,
  type,
  continues,
  enabled,
}: (typeof routes extends fc.Arbitrary<infer R> ? R : never)[number]): RouteConfig {
  const isPost = KEYS.includes(to);
  return {
    matches: { eventTypes: type === null ? null : new Set([type]), mailClasses: null },
    destination: isPost
      ? httpPostConfig(`http://127.0.0.1:1/${to}`)
      : { type: to as 'leave_in_queue' | 'drop_from_queue' },
    key: to,
    enabled: isPost ? enabled : true,
    continues,
  };
}

function standingOf(past: Readonly<Record<string, string>>, left: boolean): Standing {
  const at = (state: string): number[] => KEYS.filter((key) => past[key] === state).map(numberOf);
  const failure = { generation: 1, attempts: 2, waitMs: 10, error: 'no' };
  return {
    ...FRESH,
    logged: true,
    left: left ? [1] : [],
    waiting: at('waiting').map((destinationId) => ({ destinationId, generation: 1 })),
    done: at('done'),
    failed: [
      ...at('failed').map((destinationId) => ({ ...failure, destinationId, parked: false })),
      ...at('parked').map((destinationId) => ({ ...failure, destinationId, parked: true })),
    ],
  };
}

const pairsOf = (past: Readonly<Record<string, string>>): TracedPair[] =>
  KEYS.flatMap((destination): TracedPair[] => {
    const state = past[destination];
    if (state === 'done' || state === 'waiting') return [{ destination, state }];
    if (state !== 'failed' && state !== 'parked') return [];
    return [{ destination, state, attempts: 2, next_attempt: 0, first_failure: 0, error: 'no' }];
  });

test('explain and plan agree about every event, whatever became of it before', async () => {
  const made = createLineReader()('{"event_id":1,"event_type":"scomp"}');
  if ('problem' in made) throw new Error(made.problem);
  const { event } = made;
  await fc.assert(
    fc.asyncProperty(routes, history, fc.boolean(), async (words, past, left) => {
      const all: RouteConfig[] = [
        ...words.map(routeOf),
        routeOf({ to: 'leave_in_queue', type: null, continues: false, enabled: true }),
      ];
      const config = { routes: all, logFile: null, httpUserAgent: 'x', expandJsonColumns: [] } as unknown as Config;
      const explained = await createExplainer({ config, paused: new Set(), look: false })({
        event,
        hasId: true,
        standings: pairsOf(past),
      });
      const planner = createPlanner(config, {
        destinations: new Map(KEYS.map((key) => [key, numberOf(key)])),
        paused: new Set(),
        generation: 1,
        fingerprint: null,
      });
      planner.add({ eventType: 'scomp', mailclass: null, eventTime: null, standing: standingOf(past, left) });
      const plan = planner.result(1);

      const keysOf = (...actions: (string | null)[]): string[] =>
        explained.destinations
          .filter(({ action }) => actions.includes(action))
          .map(({ destination }) => destination)
          .sort();
      const planned = (figure: 'events' | 'has_it' | 'parked'): string[] =>
        plan.destinations
          .filter((each) => each[figure] === 1)
          .map(({ destination }) => destination)
          .sort();
      expect(keysOf('send', 'wait')).toEqual(planned('events'));
      expect(keysOf('has_it')).toEqual(planned('has_it'));
      expect(keysOf('parked')).toEqual(planned('parked'));
      expect(keysOf('leave').length > 0).toBe(plan.left.events === 1);
      for (const { action, would_send } of explained.destinations) {
        expect(would_send !== null).toBe(action === 'send' || action === 'wait');
      }
      // What was delivered or given up elsewhere makes the end of a drop another one for the plan, not for the entry.
      const untouched = KEYS.every((key) => past[key] !== 'done' && past[key] !== 'parked');
      if (untouched) expect(explained.outcome === 'dropped').toBe(plan.dropped.events === 1);
      const fates = plan.destinations.map((each) => each.new + each.waiting + each.failed + each.released);
      expect(fates).toEqual(plan.destinations.map(({ events }) => events));
    }),
    { numRuns: 500 },
  );
});
