// A connection may die between any two queries: what was taken up by then must not be held as in flight for ever.

import { expect, test } from 'vitest';
import { Due } from '../../src/queue/due.ts';
import { InFlight } from '../../src/queue/in-flight.ts';
import { enforce } from '../../src/queue/regime.ts';
import type { Rights } from '../../src/queue/rights.ts';
import { admitNew, fetchRows } from '../../src/queue/rows.ts';
import type { Session } from '../../src/queue/session.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { acquireRights, configOf, createQueue, Destinations, insert, startTenure } from './world.ts';

/** A session whose query fails when its text matches, after `passes` that did not fail. */
function failing(session: Session, pattern: RegExp, passes = 0): Session {
  let left = passes;
  return {
    query: async (sql: string, values: readonly unknown[], name?: string) => {
      if (pattern.test(sql) && left-- <= 0) throw new Error('the connection was closed');
      return session.query(sql, values, name);
    },
    page: (...page: Parameters<Session['page']>) => session.page(...page),
  } as unknown as Session;
}

const STATE_OF = /tailrace\.pending p WHERE p\.event_id = ANY/;

test('a failed query among new events leaves none of them in flight', async () => {
  const queue = await createQueue();
  await insert(queue, [1, 2]);
  // Settled without a log file, so that it still needs its line.
  const first = await startTenure(queue, { config: configOf({ routes: [{ to: 'left' }], log: false }) });
  await waitFor(async () => (await queue.database.query(`SELECT FROM tailrace.ledger WHERE kind = 'S'`)).length === 1);
  await first.stop();
  await insert(queue, [3]);
  const { table } = await acquireRights(queue);
  const inFlight = new InFlight();
  const events = await fetchRows(queue.session, table, ['1', '2', '3']);
  const admit = (session: Session) => admitNew(session, events, inFlight.ask(), inFlight, true);
  await expect(admit(failing(queue.session, STATE_OF))).rejects.toThrow('closed');
  expect(inFlight.size).toBe(0);
  expect((await admit(queue.session)).map(({ event }) => event.id).sort()).toEqual(['1', '2', '3']);
});

test('a failed query among due events leaves none of them in flight', async () => {
  const queue = await createQueue();
  const destinations = new Destinations();
  destinations.set('A', 'fails');
  await insert(queue, [1, 2]);
  await queue.database.query(`UPDATE events SET bounce_text = repeat('x', 3000000)`);
  const config = configOf({ routes: [{ to: 'A' }] });
  const first = await startTenure(queue, { config, destinations });
  await waitFor(async () => (await queue.database.query('SELECT FROM tailrace.pending')).length === 2);
  await first.stop();
  const rights = await acquireRights(queue);
  const inFlight = new InFlight();
  const regime = await enforce(queue.session, config, rights.epoch);
  const { signal } = new AbortController();
  // Two chunks of 3 MB each: the second one's standings are asked for in vain.
  const dueOf = (session: Session) =>
    new Due({
      rights: { table: rights.table, session: async () => session } as unknown as Rights,
      inFlight,
      takeShared: () => null,
      settle: () => {},
      dueBefore: null,
      signal,
    });
  await queue.database.query(`UPDATE tailrace.pending SET next_attempt_at = now() - interval '1 s'`);
  const room = { events: 100, bytes: 8_000_000, held: 0 };
  const id = regime.routes[0]?.destinationId ?? 0;
  await expect(dueOf(failing(queue.session, STATE_OF, 1)).take(regime, id, room)).rejects.toThrow('closed');
  expect(inFlight.size).toBe(0);
  expect((await dueOf(queue.session).take(regime, id, room)).map(({ event }) => event.id).sort()).toEqual(['1', '2']);
});
