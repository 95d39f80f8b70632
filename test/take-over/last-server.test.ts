// A fail-over is said once (FAULTS B3): what is remembered beside the log file of the PostgreSQL server written to last.

import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Logger } from '../../src/lib/logger.ts';
import { readServer } from '../../src/queue/server.ts';
import { Session } from '../../src/queue/session.ts';
import { noteServer } from '../../src/take-over/last-server.ts';
import { createTestDatabase } from '../helpers/postgres.ts';

const SERVER = { system: '7000000000000000001', timeline: '00000001' };

async function createMemory(): Promise<{
  readonly directory: string;
  note(server: object, epoch: string): Promise<string[]>;
}> {
  const directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return {
    directory,
    async note(server, epoch) {
      const said: string[] = [];
      const say =
        (level: string) =>
        (_fields: object, message: string): void =>
          void said.push(`${level} ${message}`);
      const logger = { warn: say('WARN'), error: say('ERROR') } as unknown as Logger; // all that is used of it
      await noteServer(directory, { server: { ...SERVER, ...server }, epoch }, logger);
      return said.map((each) => each.split(/[;,]/)[0] ?? '');
    },
  };
}

test('a promotion and another server are said once each, the same server never', async () => {
  const { note } = await createMemory();
  expect(await note({}, '9')).toEqual([]);
  expect(await note({}, '10')).toEqual([]);
  expect(await note({ timeline: '00000002' }, '11')).toEqual(['WARN PostgreSQL has failed over or was replaced']);
  expect(await note({ timeline: '00000002' }, '12')).toEqual([]);
  expect(await note({ system: '7' }, '13')).toEqual(['WARN PostgreSQL has failed over or was replaced']);
});

test('a server that keeps to itself which one it is raises no alarm', async () => {
  const { note } = await createMemory();
  await note({}, '1');
  expect(await note({ system: null, timeline: null }, '2')).toEqual([]);
  expect(await note({}, '3')).toEqual([]);
});

test('an epoch that was given before is said to be of an older database', async () => {
  const { note } = await createMemory();
  await note({}, '12');
  expect(await note({}, '12')).toEqual(['ERROR the database is older than what was done in it before']);
  expect(await note({}, '9')).toEqual(['ERROR the database is older than what was done in it before']);
  expect(await note({}, '10')).toEqual([]);
});

test('a memory that is damaged is replaced, and one that cannot be kept stops nothing', async () => {
  const { note, directory } = await createMemory();
  for (const text of ['', '{', '{"epoch":"x"}', 'null']) {
    await writeFile(join(directory, 'server'), text);
    expect(await note({}, '5')).toEqual([]);
    expect(await note({}, '5')).toHaveLength(1);
  }
  expect(await readdir(directory)).toEqual(['server']);
  await rm(directory, { recursive: true });
  expect(await note({}, '6')).toEqual([]);
});

test('an ordinary role learns which server answers', async () => {
  await using database = await createTestDatabase();
  const role = `${database.name}_role`;
  await database.query(`CREATE ROLE ${role} LOGIN`);
  onTestFinished(async () => {
    await using other = await createTestDatabase();
    await other.query(`DROP ROLE ${role}`);
  });
  const session = await Session.open({
    database: database.url.replace('postgres@', `${role}@`),
    applicationName: 'test',
  });
  expect(await readServer(session)).toEqual({
    system: expect.stringMatching(/^\d{19}$/),
    timeline: expect.stringMatching(/^0000000[1-9]$/),
  });
  await session.close();
});
