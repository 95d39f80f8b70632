// A small heap (FAULTS P7): a large backlog and large rows pass in bounded memory, since a row's bytes are not in the heap; and
// a heap that is too small for the one row that has to be parsed ends the process as a crash does, which loses and doubles nothing.

import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { report, scaled } from '../acceptance/world.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { insert } from './insert.ts';
import { judge, waitUntilSettled } from './oracle.ts';
import { peakMiB } from './process-facts.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { stop } from './sweep.ts';

const HEAP = '--max-old-space-size=96';
const ROWS = scaled(10_000_000, 60_000);
const SLOW_MS = scaled(3_600_000, 120_000);
const LARGE_ROWS = scaled(60, 8);
/** Below `max_event_bytes` of 16 MiB. */
const LARGE_BYTES = 15 * 1024 * 1024;
const SIGABRT = 134;

async function fill(scene: Scene, rows: number, bytes: number): Promise<void> {
  await scene.database.query(
    `INSERT INTO events (event_type, event_time, message) SELECT 'engine_open', 1, repeat('x', $2::int) FROM generate_series(1, $1::int)`,
    [rows, bytes],
  );
}

async function drained(scene: Scene): Promise<void> {
  // From the end: that is the last to go, and what is gone need not be passed.
  const last = 'SELECT FROM events ORDER BY id DESC LIMIT 1';
  await waitFor(async () => (await scene.database.query(last)).length === 0, {
    what: 'an empty queue',
    timeoutMs: SLOW_MS,
    intervalMs: 100,
  });
}

/** Ids and lengths of all lines. */
async function linesOf(log: string): Promise<{ readonly ids: Set<string>; readonly lines: number }> {
  const ids = new Set<string>();
  let lines = 0;
  for await (const line of createInterface({ input: createReadStream(log) })) {
    lines += 1;
    ids.add(/"event_id":(\d+)/.exec(line.slice(0, 200))?.[1] ?? '');
  }
  return { ids, lines };
}

for (const [name, rows, bytes, most] of [
  [`${ROWS} rows`, ROWS, 200, 260],
  [`${LARGE_ROWS} rows of 15 MiB`, LARGE_ROWS, LARGE_BYTES, 700],
] as const) {
  test(`with a heap of 96 MB ${name} pass, to a receiver too`, { timeout: SLOW_MS }, async () => {
    // The many go to the file alone, where they pass as fast as they can.
    await using scene = await createScene({ database: await createQueue(), logOnly: rows > 1_000 });
    await fill(scene, rows, bytes);
    await using program = scene.run({ env: { NODE_OPTIONS: HEAP } });
    await program.started();
    await drained(scene);
    const peak = await peakMiB(program.pid);
    report({ peakMiB: peak });
    expect(peak).toBeLessThan(most);
    await stop(program);
    expect(await linesOf(scene.log)).toMatchObject({ ids: { size: rows }, lines: rows });
    if (rows < 1_000) expect(scene.accepted.size).toBe(rows);
  });
}

test('a heap that is too small for a row aborts, and the next start loses and doubles nothing', {
  timeout: SLOW_MS,
}, async () => {
  await using scene = await createScene({ database: await createQueue() });
  const random = createRandom(SEED);
  await insert(scene, random, 120);
  // Only an object on several lines is parsed.
  await insert(scene, random, 2, { headers: `{\n"a":[${'[],'.repeat(1_500_000)}[]]}` });
  await insert(scene, random, 60);
  for (let times = 0; times < scaled(10, 2); times += 1) {
    await using program = scene.run({ env: { NODE_OPTIONS: '--max-old-space-size=30' } });
    expect(await program.exit, program.said.slice(-2_000)).toBe(SIGABRT);
    expect(program.said).toMatch(/started as the writer.*heap/s);
  }
  await using next = scene.run();
  await next.started();
  await waitUntilSettled(scene);
  await stop(next);
  expect(await judge(scene), next.said).toEqual([]);
});
