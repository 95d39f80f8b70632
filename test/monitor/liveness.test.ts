import { expect, test } from 'vitest';
import { Life, type Tenure } from '../../src/flow/life.ts';
import { livenessOf } from '../../src/monitor/liveness.ts';

const MINUTE_MS = 60_000;

function makeWriter() {
  const state = { nowMs: 0, held: true, trouble: null as string | null, isHeldBack: false };
  const tenure: Tenure = {
    epoch: '3',
    held: () => state.held,
    generation: () => 1,
    logFile: () => ({ path: '/var/log/events.jsonl', error: state.trouble }),
    lanes: () => [],
    gaps: () => 0,
    inFlight: () => 0,
    isHeldBack: () => state.isHeldBack,
    reopen: async () => undefined,
  };
  const life = new Life(() => state.nowMs);
  life.became('writer');
  life.begins(tenure);
  return { state, life };
}

test('a writer whose reader has room and does not look at the queue for minutes is not alive', () => {
  const { state, life } = makeWriter();
  state.nowMs = 4 * MINUTE_MS;
  expect(livenessOf(life)).toMatchObject({ ready: true, alive: true, state: 'writer, epoch 3' });
  state.nowMs = 6 * MINUTE_MS;
  expect(livenessOf(life)).toMatchObject({ alive: false, state: 'writer, epoch 3; stalled' });
  life.looked();
  expect(livenessOf(life)).toMatchObject({ alive: true });
});

test('a writer that waits for PostgreSQL, the disk or a destination is alive, however long it takes', () => {
  const { state, life } = makeWriter();
  state.nowMs = 24 * 60 * MINUTE_MS;
  state.trouble = 'no space is left';
  expect(livenessOf(life)).toMatchObject({ alive: true, state: 'writer, epoch 3; no space is left' });
  state.held = false;
  expect(livenessOf(life)).toMatchObject({ alive: true, state: 'writer, epoch 3; waiting for PostgreSQL' });
  state.held = true;
  state.trouble = null;
  state.isHeldBack = true;
  expect(livenessOf(life)).toMatchObject({ alive: true, state: 'writer, epoch 3' });
});

test('a process that is not the writer is alive, and ready as soon as it knows why it waits', () => {
  const { state, life } = makeWriter();
  life.became('starting');
  state.nowMs = 24 * 60 * MINUTE_MS;
  expect(livenessOf(life)).toMatchObject({ alive: true, state: 'starting' });
  life.became('standby', 'another tailrace process holds the queue');
  expect(livenessOf(life)).toMatchObject({
    alive: true,
    state: 'standing by: another tailrace process holds the queue',
    details: '',
  });

  const young = new Life(() => state.nowMs);
  expect(livenessOf(young)).toMatchObject({ ready: false, alive: true, state: 'starting' });
  young.became('starting', 'connection refused');
  expect(livenessOf(young)).toMatchObject({ ready: true, alive: true, state: 'cannot start: connection refused' });
});
