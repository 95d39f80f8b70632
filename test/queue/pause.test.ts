import { expect, onTestFinished, test } from 'vitest';
import type { Regime } from '../../src/flow/batch.ts';
import type { LaneReport, ReportingLane } from '../../src/flow/lane-report.ts';
import { LaneDesk } from '../../src/queue/lane-desk.ts';
import { setPaused } from '../../src/queue/pause.ts';
import { retry } from '../../src/queue/retry.ts';
import { initSchema } from '../../src/queue/schema.ts';
import { SCHEMA_VERSION } from '../../src/queue/sql/schema.ts';
import { type DestinationStatus, readStatus } from '../../src/queue/status.ts';
import { scaled } from '../acceptance/world.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { acquireRights, configOf, createQueue, type Queue, SILENT } from './world.ts';

const REGIME: Regime = { config: configOf({ routes: [] }), generation: 1, routes: [] };

interface FakeLane extends ReportingLane {
  paused: boolean;
  probes: number;
  says: LaneReport;
}

function createLane(destinationId: number): FakeLane {
  const lane: FakeLane = {
    destinationId,
    paused: false,
    probes: 0,
    says: { state: 'ok', waitMs: null, perSecond: 0 },
    setPaused: (paused) => {
      lane.paused = paused;
    },
    probeNow: () => {
      lane.probes += 1;
    },
    report: () => lane.says,
  };
  return lane;
}

async function openDesk(queue: Queue, lanes: readonly FakeLane[]) {
  const rights = await acquireRights(queue);
  const stop = new AbortController();
  const due: number[] = [];
  const desk = new LaneDesk({
    rights,
    lanes: () => lanes,
    regime: () => REGIME,
    onDue: (destinationId) => void due.push(destinationId),
    logger: SILENT,
    signal: stop.signal,
  });
  onTestFinished(async () => {
    stop.abort();
    await desk.ended();
  });
  await desk.open();
  return { desk, rights, due };
}

async function createDestinations(): Promise<Queue> {
  const queue = await createQueue();
  await queue.database.query(`INSERT INTO tailrace.destination (key) VALUES ('crm'), ('other')`);
  return queue;
}

test('what is paused is known before a lane begins, and a running one hears of it within a second', async () => {
  const queue = await createDestinations();
  expect(await setPaused(queue.session, ['crm'], true)).toEqual([{ id: '1', key: 'crm', changed: true }]);
  expect(await setPaused(queue.session, ['crm'], true)).toEqual([{ id: '1', key: 'crm', changed: false }]);
  const [crm, other] = [createLane(1), createLane(2)];
  const { desk } = await openDesk(queue, [crm, other]);
  expect([desk.isPaused(1), desk.isPaused(2), crm.paused]).toEqual([true, false, true]);
  await setPaused(queue.session, ['crm'], false);
  await setPaused(queue.session, ['other'], true);
  await waitFor(() => !crm.paused && other.paused, { timeoutMs: scaled(1_500, 10_000) });
  await setPaused(queue.session, 'all', true);
  await waitFor(() => crm.paused && other.paused);
});

test('an unknown destination is an error with the one that was meant and those there are; nothing is changed', async () => {
  const queue = await createDestinations();
  const attempt = setPaused(queue.session, ['other', 'crn'], true);
  await expect(attempt).rejects.toMatchObject({
    code: 'DESTINATION_UNKNOWN',
    message: 'there is no destination "crn"; did you mean "crm"?; there are: "crm", "other"',
  });
  const [row] = await queue.database.query('SELECT count(*)::int AS n FROM tailrace.destination WHERE paused');
  expect(row).toEqual({ n: 0 });
});

test('a destination that is named to `retry` is probed at once, also when nothing failed there yet', async () => {
  const queue = await createDestinations();
  const [crm, other] = [createLane(1), createLane(2)];
  await retry(queue.session, { destination: 'crm', id: null, parked: false });
  await openDesk(queue, [crm, other]);
  await retry(queue.session, { destination: 'crm', id: null, parked: false });
  await waitFor(() => crm.probes === 1);
  expect(other.probes).toBe(0);
});

test('each look says where something is due or waits under the generation in force, and nowhere else', async () => {
  const queue = await createDestinations();
  const { due } = await openDesk(queue, [createLane(1), createLane(2)]);
  const fail =
    'INSERT INTO tailrace.pending (destination_id, event_id, parked, generation, attempts, next_attempt_at, last_error)';
  const none = `repeat('0', 1024)::bit(1024)`;
  await queue.database.query(`${fail} VALUES
    (1, 1, false, 1, 1, now() + interval '1 h', 'not yet'), (1, 2, false, 0, 1, now(), 'older'), (1, 3, true, 1, 1, now(), 'parked')`);
  await queue.database.query(`INSERT INTO tailrace.ledger VALUES
    ('w', 1, 0, 0, set_bit(${none}, 4, 1)), ('w', 1, 1, 0, ${none}), ('l', 1, 1, 0, set_bit(${none}, 5, 1))`);
  await queue.database.query(`INSERT INTO tailrace.ledger VALUES ('w', 2, 1, 7, set_bit(${none}, 0, 1))`);
  await waitFor(() => due.length > 1);
  expect(new Set(due)).toEqual(new Set([2]));
  await queue.database.query('UPDATE tailrace.pending SET next_attempt_at = now() WHERE event_id = 1');
  await waitFor(() => due.includes(1));
});

test('status shows what a running process says, and only what is disabled once that is gone', async () => {
  const queue = await createDestinations();
  const [crm, other] = [createLane(1), createLane(2)];
  crm.says = { state: 'open', waitMs: 90_000, perSecond: 12.3 };
  const { rights } = await openDesk(queue, [crm, other]);
  const now = async (): Promise<Partial<DestinationStatus>[]> =>
    (await readStatus(queue.session)).destinations.map(({ state, until_seconds, per_second }) => ({
      state,
      until_seconds,
      per_second,
    }));
  await waitFor(async () => (await now())[0]?.state === 'open');
  const [first, second] = await now();
  expect(first?.until_seconds).toBeGreaterThan(80);
  expect([first?.per_second, second]).toEqual([12.3, { state: 'ok', until_seconds: null, per_second: 0 }]);
  const written = async () => (await queue.database.query('SELECT max(said_at) AS at FROM tailrace.lane'))[0]?.at;
  crm.says = { state: 'disabled', waitMs: null, perSecond: 0 };
  await waitFor(async () => (await now())[0]?.state === 'disabled');
  // Nothing new, nothing written.
  const at = await written();
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  expect(await written()).toEqual(at);
  await setPaused(queue.session, ['crm'], true);
  expect((await now())[0]?.state).toBe('paused');
  await setPaused(queue.session, ['crm'], false);
  await rights.release(true);
  expect((await now())[0]).toEqual({ state: 'disabled', until_seconds: null, per_second: null });
});

test('a schema of version 1 is upgraded by init and keeps what is in it', async () => {
  const queue = await createDestinations();
  await queue.database.query(`DROP TABLE tailrace.lane, tailrace.switches, tailrace.recording, tailrace.recording_count, tailrace.checkpoint; ALTER TABLE tailrace.destination DROP COLUMN retry_asked;
    UPDATE tailrace.meta SET schema_version = 1; UPDATE tailrace.destination SET paused = true WHERE key = 'crm'`);
  await expect(setPaused(queue.session, ['crm'], true)).rejects.toMatchObject({ code: 'SCHEMA_TOO_OLD' });
  await expect(readStatus(queue.session)).rejects.toMatchObject({ code: 'SCHEMA_TOO_OLD' });
  const { steps } = await initSchema(queue.session, { notify: false });
  expect(steps).toContain(`upgraded schema tailrace from version 1 to ${SCHEMA_VERSION}`);
  expect((await readStatus(queue.session)).destinations.map(({ state }) => state)).toEqual(['paused', 'ok']);
});
