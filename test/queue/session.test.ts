// Connections that fall silent (FAULTS B5): every query has a deadline of its own, and a session that missed one is over.

import { expect, test } from 'vitest';
import { Session } from '../../src/queue/session.ts';
import { createProxy } from '../crash/proxy.ts';
import { createTestDatabase } from '../helpers/postgres.ts';

const QUERY_DEADLINE_MS = 400;

const open = (database: string): Promise<Session> =>
  Session.open({ database, applicationName: 'test', queryDeadlineMs: QUERY_DEADLINE_MS });

test('a query that gets no answer by its deadline ends the session, with all that waits behind it', async () => {
  await using database = await createTestDatabase();
  await using proxy = await createProxy(database.url);
  const session = await open(proxy.url);
  expect(await session.query('SELECT 1')).toEqual([['1']]);
  proxy.blackHole = true;
  const began = performance.now();
  const outcomes = await Promise.allSettled([
    session.page('SELECT 2', [], 2),
    session.query('SELECT 3', [], 'three'),
    session.query('SELECT 4'),
  ]);
  expect(performance.now() - began).toBeGreaterThan(QUERY_DEADLINE_MS - 20);
  const rejection = { status: 'rejected', reason: { code: 'DATABASE_UNAVAILABLE', exitCode: 69 } };
  expect(outcomes).toMatchObject([rejection, rejection, rejection]);
  expect(session.lost.reason.message).toMatch(/no answer within 0\.4 s/);
  // Late answers reach nobody: the socket is gone.
  proxy.blackHole = false;
  await expect(session.query('SELECT 5')).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  await session.close();
});

test('a server that falls silent right after the connection was made is given up as well', async () => {
  await using database = await createTestDatabase();
  await using proxy = await createProxy(database.url, { side: 'request', n: 1, act: () => undefined });
  await expect(open(proxy.url)).rejects.toMatchObject({
    code: 'DATABASE_UNAVAILABLE',
    message: expect.stringMatching(/no answer within 0\.4 s/),
  });
});

test('statements are read committed, whatever the database says', async () => {
  await using database = await createTestDatabase();
  await database.query(`ALTER DATABASE ${database.name} SET default_transaction_isolation = 'serializable'`);
  const session = await open(database.url);
  expect(await session.query('SHOW transaction_isolation')).toEqual([['read committed']]);
  await session.close();
});
