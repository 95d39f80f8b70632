import { expect, onTestFinished, test } from 'vitest';
import { retry } from '../../src/queue/retry.ts';
import { readStatus } from '../../src/queue/status.ts';
import { createQueue, type Queue } from './world.ts';

const EVERYTHING = { destination: null, id: null, parked: false };

/** Events 1 and 2 failed at `crm`, 2 of them parked; 3 is parked at `other`; 4 was too large. */
async function createFailures(): Promise<Queue> {
  const queue = await createQueue();
  await queue.database.query(`INSERT INTO events (id, event_type) SELECT g, 'scomp' FROM generate_series(1, 4) g`);
  await queue.database.query(`INSERT INTO tailrace.destination (key) VALUES ('crm'), ('other')`);
  await queue.database.query(`INSERT INTO tailrace.pending
    (destination_id, event_id, parked, generation, attempts, next_attempt_at, last_error) VALUES
    (1, 1, false, 1, 3, now() + interval '1 hour', 'HTTP 503'), (1, 2, true, 1, 9, now(), 'HTTP 400'),
    (2, 3, true, 1, 9, now(), 'HTTP 410'), (0, 4, true, 1, 0, now(), 'too_large')`);
  await queue.database.query(
    `INSERT INTO tailrace.ledger VALUES ('X', 0, 0, 0, set_bit(repeat('0', 1024)::bit(1024), 4, 1))`,
  );
  return queue;
}

async function sessionOf(queue: Queue) {
  const session = await queue.open();
  onTestFinished(() => session.close());
  return session;
}

const stateOf = async ({ database }: Queue): Promise<string[]> =>
  (
    await database.query(
      'SELECT event_id, parked, attempts, next_attempt_at <= now() AS due FROM tailrace.pending ORDER BY event_id',
    )
  ).map(
    ({ event_id, parked, attempts, due }) => `${event_id} ${parked ? 'parked' : due ? 'due' : 'later'} ${attempts}`,
  );

test('what failed at a destination is due now, and what was parked there begins anew', async () => {
  const queue = await createFailures();
  const session = await sessionOf(queue);
  expect(await retry(session, { ...EVERYTHING, destination: 'crm' })).toEqual({ due: 2, tooLarge: 0 });
  expect(await stateOf(queue)).toEqual(['1 due 3', '2 due 0', '3 parked 9', '4 parked 0']);
});

test('what is parked anywhere is due, and what was too large is looked at again', async () => {
  const queue = await createFailures();
  const session = await sessionOf(queue);
  expect(await retry(session, { ...EVERYTHING, parked: true })).toEqual({ due: 2, tooLarge: 1 });
  expect(await stateOf(queue)).toEqual(['1 later 3', '2 due 0', '3 due 0']);
  const [bits] = await queue.database.query(
    `SELECT sum(bit_count(ids))::int AS n FROM tailrace.ledger WHERE kind = 'X'`,
  );
  expect(bits).toEqual({ n: 0 });
});

test('one event is due alone', async () => {
  const queue = await createFailures();
  const session = await sessionOf(queue);
  expect(await retry(session, { ...EVERYTHING, id: '3' })).toEqual({ due: 1, tooLarge: 0 });
  expect(await stateOf(queue)).toEqual(['1 later 3', '2 parked 9', '3 due 0', '4 parked 0']);
});

test('what is parked at one destination is due alone, and one event at one destination', async () => {
  const queue = await createFailures();
  const session = await sessionOf(queue);
  expect(await retry(session, { destination: 'crm', id: null, parked: true })).toEqual({ due: 1, tooLarge: 0 });
  expect(await retry(session, { destination: 'other', id: '3', parked: true })).toEqual({ due: 1, tooLarge: 0 });
  expect(await stateOf(queue)).toEqual(['1 later 3', '2 due 0', '3 due 0', '4 parked 0']);
});

test('an event that has not failed is said to be one', async () => {
  const queue = await createFailures();
  const session = await sessionOf(queue);
  await expect(retry(session, { ...EVERYTHING, id: '99' })).rejects.toMatchObject({ code: 'EVENT_NOT_FAILED' });
  await expect(retry(session, { ...EVERYTHING, destination: 'crm', id: '3' })).rejects.toThrow(
    'the event 3 has not failed at "crm"; there is nothing to retry',
  );
});

test('a long list is done in parts, and says how far it is', async () => {
  const queue = await createFailures();
  await queue.database.query(`INSERT INTO tailrace.pending
    (destination_id, event_id, generation, attempts, next_attempt_at, last_error)
    SELECT 1 + g % 2, g, 1, 3, now() + interval '1 hour', 'HTTP 503' FROM generate_series(1001, 26000) g`);
  const progress: number[] = [];
  const done = await retry(await sessionOf(queue), { ...EVERYTHING, onProgress: (due) => progress.push(due) });
  expect([done, progress]).toEqual([{ due: 25_003, tooLarge: 1 }, [10_000, 20_000]]);
  const [later] = await queue.database.query(
    'SELECT count(*)::int AS n FROM tailrace.pending WHERE next_attempt_at > now()',
  );
  expect(later).toEqual({ n: 0 });
});

test('an unknown destination is an error that names those there are', async () => {
  const queue = await createFailures();
  const session = await sessionOf(queue);
  await expect(retry(session, { ...EVERYTHING, destination: 'cmr' })).rejects.toThrow('there are: "crm", "other"');
});

test('status shows the error of what is only parked', async () => {
  const queue = await createFailures();
  const { destinations } = await readStatus(await sessionOf(queue));
  expect(destinations.map(({ destination, state, last_error }) => [destination, state, last_error])).toEqual([
    ['(too large)', 'parked', 'too_large'],
    ['crm', 'retrying', 'HTTP 503'],
    ['other', 'parked', 'HTTP 410'],
  ]);
});
