// Rows of the worst kind (FAULTS E3, E7): bytes that are no text, and columns of a hundred megabytes, of which each byte
// takes six in the file. They cost themselves at most, never the rows around them.

import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { waitFor } from '../helpers/wait-for.ts';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { stop } from './sweep.ts';

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

describe('a column of 100 MB', () => {
  /** Puts such an event among others. @returns its id. */
  async function insertLarge(scene: Scene): Promise<string> {
    const rows = await scene.database.query<{ id: string }>(
      `${INSERT} VALUES ('engine_unsub', 1, 'a@example.com', repeat(chr(1), 100000000), 'large') RETURNING id::text AS id`,
    );
    return String(rows[0]?.id);
  }

  test('is parked alone, and the rows around it pass', async () => {
    const random = createRandom(52);
    await using scene = await createScene({ database: await createQueue() });
    await using program = scene.run();
    await program.started();
    await insert(scene, random, 30);
    const large = await insertLarge(scene);
    await insert(scene, random, 30);
    await program.says(/parked events that are too large/);
    await passFreshEvent(scene);
    await scene.database.query('DELETE FROM events WHERE id = $1', [large]);
    await waitUntilSettled(scene);
    await stop(program);
    expect(await judge(scene), program.said).toEqual([]);
  });
});
