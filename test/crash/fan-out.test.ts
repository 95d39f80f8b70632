// Kills at any moment while events go to two destinations each: every event keeps its one line, each destination gets
// it at least once, and what is settled as delivered there is never sent there again.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createWorld, expectOneLineEach, httpPost, scaled, stopped } from '../acceptance/world.ts';
import { createHttpReceiver, type HttpReceiver } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createRandom, SEED } from './random.ts';

const KILLS = scaled(200, 12);
const EVENTS_A_ROUND = 150;

const idOf = (body: string): string => String(JSON.parse(body).id);
const idsOf = ({ requests }: HttpReceiver): string[] => requests.map(({ body }) => idOf(body));

test(`${KILLS} kills lose no delivery of two, and repeat none that was settled`, { timeout: 1_800_000 }, async () => {
  const random = createRandom(SEED);
  await using world = await createWorld();
  const settled = new Set<string>();
  const repeated: string[] = [];
  await using first = await createHttpReceiver(({ body }) => {
    if (settled.has(idOf(body))) repeated.push(idOf(body));
    return {};
  });
  // Refuses now and then, so that most events wait for it while the other one has them.
  await using second = await createHttpReceiver(() => ({ status: random.integer(0, 2) === 0 ? 200 : 503 }));
  await world.configure({
    logfile: { filename: world.log },
    delivery_log: { filename: `${world.folder}/deliveries.jsonl` },
    event_destinations: [
      httpPost(first.url(), {}, { name: 'first', continue: true }),
      httpPost(second.url(), {}, { name: 'second' }),
    ],
  });
  const noteSettled = async (): Promise<void> => {
    const rows = await world.database.query<{ id: string }>(
      `SELECT (block << 10) + bit AS id FROM tailrace.ledger l JOIN tailrace.destination USING (destination_id),
         generate_series(0, 1023) bit WHERE l.kind = 'd' AND key = 'first' AND get_bit(ids, bit) = 1`,
    );
    for (const { id } of rows) settled.add(String(id));
  };
  const ids: string[] = [];
  for (let kills = 0; kills < KILLS; kills += 1) {
    ids.push(...(await world.insert(EVENTS_A_ROUND)));
    await using running = await world.run();
    await sleep(random.integer(0, 600));
    // Once at least something is settled at one of the two when the kill comes.
    if (kills === KILLS - 1) {
      await waitFor(async () => {
        await noteSettled();
        return settled.size > 0;
      });
    }
    running.signal('SIGKILL');
    await running.exit;
    await noteSettled();
  }
  second.script({});
  const running = await world.run();
  await waitFor(async () => (await world.queued()) === 0, { timeoutMs: 300_000, what: 'an empty queue' });
  expect(await stopped(running)).toBe(0);
  expect(repeated, `TAILRACE_SEED=${SEED}`).toEqual([]);
  expect(settled.size).toBeGreaterThan(0);
  expectOneLineEach(await world.lines(), ids);
  for (const receiver of [first, second]) {
    const got = new Set(idsOf(receiver));
    expect(ids.filter((id) => !got.has(id))).toEqual([]);
  }
  const [row] = await world.database.query(
    'SELECT count(*)::int AS bits FROM tailrace.ledger WHERE bit_count(ids) > 0',
  );
  expect(row?.bits).toBe(0);
});
