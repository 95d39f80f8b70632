// Rows of the worst kind (FAULTS E3, E7): bytes that are no text, and columns of a hundred megabytes, of which each byte
// takes six in the file. They cost themselves at most, never the rows around them.

import { open, readFile, stat, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { scaled } from '../acceptance/world.ts';
import { runCli } from '../helpers/cli.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import type { Program } from './program.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { stop } from './sweep.ts';

/** The most that `max_event_bytes` may be. */
const MOST_EVENT_BYTES = 67_108_864;
/** What stands in for it, and for what is too large, where time is short. */
const LARGE_BYTES = scaled(MOST_EVENT_BYTES, 8_000_000);
const COMPRESSED_BYTES = scaled(270_000_000, 30_000_000);
const INSERT = 'INSERT INTO events (event_type, event_time, email, message, event_unique_id)';

/** The line of an event, parsed. */
async function lineOf({ log }: Scene, id: string): Promise<Record<string, unknown> | undefined> {
  const lines = (await readFile(log, 'utf8')).split('\n').filter((line) => line.includes(`"event_id":${id},`));
  expect(lines.length).toBeLessThan(2);
  return lines[0] === undefined ? undefined : JSON.parse(lines[0]);
}

test('bytes that are no UTF-8, in a database that does not look, become U+FFFD and stop nothing', async () => {
  const random = createRandom(51);
  await using scene = await createScene({ database: await createQueue({ encoding: 'SQL_ASCII' }), logOnly: true });
  await using program = scene.run();
  await program.started();
  const client = await scene.database.client();
  const { rows } = await client.query(
    `${INSERT} VALUES ('scomp', 1, 'a' || chr(255) || 'b', chr(237) || chr(160) || chr(128) || 'x', 'k' || chr(200)) RETURNING id::text AS id`,
  );
  const id = String(rows[0]?.id);
  const left = (): Promise<unknown[]> => scene.database.query('SELECT id FROM events');
  await waitFor(async () => (await left()).length === 0, { what: 'an empty queue' });
  const line = await lineOf(scene, id);
  expect(line?.email).toBe('a\ufffdb');
  expect(String(line?.message)).toMatch(/^\ufffd+x$/);
  expect(line?.event_unique_id).toBe('k\ufffd');
  const ids = await insert(scene, random, 12);
  await waitFor(async () => (await left()).length === 0, { what: 'an empty queue' });
  for (const each of ids) expect(await lineOf(scene, each)).toBeDefined();
  await stop(program);
});

/** Waits until the program has parked what is too large, and all the rest has passed; then removes what is parked. */
async function expectParked(scene: Scene, program: Program, ids: readonly string[]): Promise<void> {
  await program.says(/parked events that are too large/);
  await passFreshEvent(scene);
  const parked = `SELECT event_id::text AS id FROM tailrace.pending WHERE last_error LIKE 'too_large%' ORDER BY event_id`;
  await waitFor(async () => (await scene.database.query(parked)).length === ids.length, { what: 'all of them parked' });
  expect(await scene.database.query(parked)).toEqual(ids.map((id) => ({ id })));
  await scene.database.query('DELETE FROM events WHERE id = ANY($1)', [ids]);
  await waitUntilSettled(scene);
  await stop(program);
  expect(await judge(scene), program.said).toEqual([]);
}

test('a text of 100 MB is parked alone, and the rows around it pass', async () => {
  const random = createRandom(52);
  await using scene = await createScene({ database: await createQueue() });
  await using program = scene.run();
  await program.started();
  await insert(scene, random, 30);
  const rows = await scene.database.query<{ id: string }>(
    `INSERT INTO events (event_type, message) VALUES ('engine_unsub', repeat(chr(1), 100000000)) RETURNING id::text AS id`,
  );
  await insert(scene, random, 30);
  await expectParked(
    scene,
    program,
    rows.map(({ id }) => id),
  );
});

test('columns that are small in the table and huge as text are parked alone', async () => {
  const random = createRandom(53);
  await using scene = await createScene({ database: await createQueue() });
  await scene.database.query('ALTER TABLE events ADD COLUMN extra bytea, ADD COLUMN more jsonb');
  await using program = scene.run();
  await program.started();
  await insert(scene, random, 30);
  const rows = await scene.database.query<{ id: string }>(
    `INSERT INTO events (event_type, extra, more)
     VALUES ('engine_unsub', decode(repeat('00', $1), 'hex'), NULL), ('engine_unsub', NULL, to_jsonb(repeat('a', $2)))
     RETURNING id::text AS id`,
    [COMPRESSED_BYTES, scaled(100_000_000, COMPRESSED_BYTES)],
  );
  await insert(scene, random, 30);
  await expectParked(
    scene,
    program,
    rows.map(({ id }) => id),
  );
});

test('the largest text that max_event_bytes allows passes whole, though each byte takes six in the file', async () => {
  await using scene = await createScene({ database: await createQueue(), logOnly: true });
  const allow = async (bytes: number): Promise<void> =>
    writeFile(scene.config, JSON.stringify({ logfile: { filename: scene.log }, max_event_bytes: bytes }));
  await allow(MOST_EVENT_BYTES + 1);
  expect(await runCli(['check', scene.config])).toMatchObject({ code: 1 });
  await allow(LARGE_BYTES);
  const rows = await scene.database.query<{ id: string }>(
    `INSERT INTO events (event_type, message) VALUES ('scomp', repeat(chr(1), $1)), ('of_tomorrow', 'x') RETURNING id::text AS id`,
    [LARGE_BYTES - 'scomp'.length],
  );
  await using program = scene.run({ once: true });
  expect(await program.exit, program.said).toBe(0);
  const { size } = await stat(scene.log);
  expect(size).toBeGreaterThan(6 * (LARGE_BYTES - 'scomp'.length));
  const file = await open(scene.log);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(1_000), 0, 1_000, size - 1_000);
  await file.close();
  const tail = buffer.toString('utf8', 0, bytesRead).split('\n');
  expect(tail[0]).toMatch(/\\u0001"[,}]/);
  expect(tail[1]).toContain(`"event_id":${rows[1]?.id},`);
});
