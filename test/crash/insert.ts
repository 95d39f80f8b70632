// Events of every fate, inserted in one statement and remembered as committed.

import { createRow, FATES, knownOf } from './events.ts';
import { insertRows, nextUnique } from './producer.ts';
import type { Random } from './random.ts';
import type { Scene } from './scene.ts';

/**
 * Inserts rows, all types in turn.
 *
 * @param change what is different in each of them.
 * @returns their ids.
 */
export async function insert(
  scene: Scene,
  random: Random,
  count: number,
  change: Partial<ReturnType<typeof createRow>> = {},
): Promise<string[]> {
  const types = Object.keys(FATES);
  const rows = Array.from({ length: count }, (_, at) => {
    const row = createRow(random, nextUnique(), types[at % types.length]);
    return { ...row, ...change };
  });
  const client = await scene.database.client();
  const ids = await insertRows(client, rows);
  await client.end();
  for (const [at, id] of ids.entries()) {
    const row = rows[at];
    if (row) scene.committed.set(id, knownOf(row));
  }
  return ids;
}
