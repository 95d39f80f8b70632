// The intake under load while PostgreSQL and the intake itself are killed: an event that was acknowledged is in the
// queue, under the id that the client was told, once.

import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import { expect, test } from 'vitest';
import { scaled } from '../acceptance/world.ts';
import { freePort } from '../helpers/free-port.ts';
import { startPostgres } from '../helpers/postgres.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { type Program, startProgram } from './program.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue } from './scene.ts';

/** Each of the two is killed so often. */
const KILLS = scaled(100, 10);
const CLIENTS = 8;
/** Some of the acknowledged come between two kills, however slow the machine is. */
const LEAST_BETWEEN = 20;

test('no acknowledged event is lost when PostgreSQL and the intake are killed under load', {
  timeout: 60_000 + KILLS * 60_000,
}, async () => {
  const random = createRandom(SEED);
  // With fsync, though a killed server would not need it: rounds are then as long as they are in earnest.
  await using server = await startPostgres({ fsync: 'on' });
  const database = await createQueue({ server });
  const port = await freePort();
  const start = (): Program =>
    startProgram({
      args: ['intake', '--all', '--listen', `127.0.0.1:${port}`, '--database', database.url],
    });
  let program = start();
  const load = startClients(`http://127.0.0.1:${port}/events`, random);
  try {
    for (let kills = 0; kills < 2 * KILLS; kills += 1) {
      const before = load.acknowledged.size;
      await waitFor(() => load.acknowledged.size >= before + LEAST_BETWEEN, {
        what: 'acknowledged events',
        timeoutMs: 60_000,
      });
      await sleep(random.integer(0, 100));
      if (kills % 2 === 0) {
        await server.restart('immediate');
      } else {
        program.signal('SIGKILL');
        await program.exit;
        program = start();
      }
    }
    await load.end();
    const client = await database.client();
    const { rows } = await client.query<{ id: string; key: string }>(
      'SELECT id::text, event_unique_id AS key FROM events',
    );
    const stored = new Map(rows.map(({ id, key }) => [id, key]));
    const lost = [...load.acknowledged].filter(([id, key]) => stored.get(id) !== key);
    expect(lost, `TAILRACE_SEED=${SEED}\n${program.said.slice(-5_000)}`).toEqual([]);
    // Nothing is sent twice by these clients: what has the same key was recorded twice.
    expect(new Set(stored.values()).size).toBe(stored.size);
    await program.says(/intake listening/);
    program.signal('SIGTERM');
    expect(await program.exit).toBe(0);
  } finally {
    await load.end();
    await program[Symbol.asyncDispose]();
  }
});

/** Clients that send events of their own one after the other, alone, in arrays and with `partial`, and keep what was acknowledged. */
function startClients(url: string, random: ReturnType<typeof createRandom>) {
  const ending = new AbortController();
  /** Id → `event_unique_id`. */
  const acknowledged = new Map<string, string>();
  let keys = 0;

  const work = async (): Promise<void> => {
    let agent = new Agent({ connections: 1 });
    while (!ending.signal.aborted) {
      const sent = Array.from({ length: random.integer(1, 10) }, () => `${process.pid}-${++keys}`);
      const events = sent.map((key) => ({ event_type: 'scomp', event_unique_id: key, email: 'a@example.com' }));
      const path = random.integer(0, 1) === 1 ? '?partial=1' : '';
      try {
        const answer = await request(`${url}${path}`, {
          dispatcher: agent,
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(sent.length === 1 ? events[0] : events),
        });
        const body = JSON.parse(await answer.body.text()) as { ids?: (string | null)[] };
        if (answer.statusCode === 202) {
          for (const [at, id] of (body.ids ?? []).entries()) if (id !== null) acknowledged.set(id, String(sent[at]));
        } else await sleep(20);
      } catch {
        // No answer, no promise.
        await agent.destroy();
        agent = new Agent({ connections: 1 });
        await sleep(20);
      }
    }
    await agent.destroy();
  };

  const working = Array.from({ length: CLIENTS }, work);
  return {
    acknowledged,
    async end() {
      ending.abort();
      await Promise.all(working);
    },
  };
}
