// Checks of the server and the connection: which server, which clock, what stands between; and a database that is not there.

import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test, vi } from 'vitest';
import { checkServer } from '../../src/doctor/server.ts';
import { type RawRow, Session } from '../../src/queue/session.ts';
import { CLOCK_SQL } from '../../src/queue/sql/doctor-server.ts';
import { createPooler } from '../helpers/pooler.ts';
import { allOf, createScene, finding } from './scene.ts';

// Every look is some forty questions.
vi.setConfig({ testTimeout: 180_000 });

test('a server that is too old, or a standby, is a problem', async () => {
  const answering = (...row: string[]): Session =>
    ({
      lost: new AbortController().signal,
      query: async (): Promise<readonly RawRow[]> => [row],
    }) as unknown as Session;
  expect(await checkServer(answering('13.9', '130009', 'f', 'off', 'mail', 'bo'))).toMatchObject([
    finding('problem', 'older than version 14'),
    { state: 'ok' },
  ]);
  expect(await checkServer(answering('16.1', '160001', 't', 'off', 'mail', 'bo'))).toMatchObject([
    { state: 'ok' },
    finding('problem', 'a standby'),
  ]);
});

test('a database that is read-only by default is a problem', async () => {
  const { check, database } = await createScene();
  expect(await check('primary')).toMatchObject([{ state: 'ok' }]);
  await database.query(`ALTER DATABASE ${database.name} SET default_transaction_read_only = on`);
  expect(await check('primary')).toMatchObject([finding('problem', 'default_transaction_read_only is on')]);
});

test('a pooler in transaction mode is a problem, one in session mode is not', async () => {
  const { check, examine, database } = await createScene();
  expect(await check('connection')).toMatchObject([finding('ok', 'direct')]);
  await using pooler = await createPooler(database.url, { mode: 'session', order: 'last' });
  expect(await check('connection', { url: pooler.url })).toMatchObject([finding('ok', 'session mode')]);
  pooler.options.mode = 'transaction';
  const findings = allOf(await examine({ url: pooler.url }));
  expect(findings.filter(({ check: name }) => name === 'connection')).toMatchObject([
    finding('problem', 'a pooler in transaction mode', 'pool_mode=session'),
  ]);
  // The others are made through it, and leave nothing of theirs with its connections.
  const others = findings.filter(({ check: name }) => name !== 'connection' && name !== 'writer');
  expect(others.filter(({ state }) => state !== 'ok')).toEqual([]);
});

test('clocks that differ are a warning, with by how much', async () => {
  const { check } = await createScene();
  expect(await check('clock')).toMatchObject([{ state: 'ok' }]);
  const slow = await check('clock', { now: () => Date.now() - 90_000 });
  expect(slow).toMatchObject([finding('warning', 'ahead of this host', 'timedatectl')]);
  expect(slow[0]?.found).toMatch(/is (89|90)\.\d+ s ahead/);
  expect(await check('clock', { now: () => Date.now() + 90_000 })).toMatchObject([
    finding('warning', 'behind this host'),
  ]);
});

test('a database that is down is one problem, and the checks of this host are made', async () => {
  const { examine } = await createScene();
  const { groups, state } = await examine({ url: 'postgresql://postgres@127.0.0.1:1/mail' });
  expect(state).toBe('problem');
  expect(groups.map(({ group }) => group)).toEqual([
    'configuration',
    'database',
    'log file',
    'journal',
    'disk',
    'process',
  ]);
  expect(groups[1]?.findings).toMatchObject([finding('problem', 'ECONNREFUSED'), finding('problem', 'not looked at')]);
});

test('a server that takes the connection and says nothing does not hold it up', async () => {
  const mute = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  const { examine } = await createScene();
  const { port } = mute.address() as AddressInfo;
  const begun = performance.now();
  const { groups } = await examine({ url: `postgresql://postgres@127.0.0.1:${port}/mail` });
  expect(performance.now() - begun).toBeLessThan(75_000);
  expect(groups.find(({ group }) => group === 'database')?.findings[0]).toMatchObject({ state: 'problem' });
  mute.close();
});

test('a session that is killed in the middle is said once, and the checks of this host are made', async () => {
  const { examine, database } = await createScene();
  const open = async (): Promise<Session> => {
    const session = await Session.open({ database: database.url, applicationName: 'tailrace doctor' });
    // Which is asked in the middle of the examination.
    const query = session.query.bind(session);
    session.query = async (sql, values, name) => {
      if (sql === CLOCK_SQL) await database.query('SELECT pg_terminate_backend($1)', [session.backEnd]);
      return query(sql, values, name);
    };
    return session;
  };
  const { groups, state } = await examine({ open });
  expect(state).toBe('problem');
  expect(groups.map(({ group }) => group)).toContain('process');
  const lost = groups.flatMap(({ findings }) => findings).filter(({ found }) => /terminat|lost|cannot use/.test(found));
  expect(lost.map(({ check }) => check)).toEqual(['clock', 'database']);
});
