import { expect, test } from 'vitest';
import { Tally } from '../src/flow/tally.ts';
import { type Engine, Life } from '../src/life.ts';

const MINUTE_MS = 60_000;
const { summary } = new Tally();

function makeWriter() {
  const state = { nowMs: 0, trouble: null as string | null, isHeldBack: false };
  const engine: Engine = {
    reopen: async () => undefined,
    trouble: () => state.trouble,
    isHeldBack: () => state.isHeldBack,
  };
  const life = new Life(() => state.nowMs);
  life.writes('3');
  life.runs(engine);
  return { state, life };
}

test('a writer whose reader has room and does not look at the queue for minutes is not alive', () => {
  const { state, life } = makeWriter();
  state.nowMs = 4 * MINUTE_MS;
  expect(life.report(summary)).toMatchObject({ ready: true, alive: true, state: 'writer, epoch 3' });
  state.nowMs = 6 * MINUTE_MS;
  expect(life.report(summary)).toMatchObject({ alive: false, state: 'writer, epoch 3; stalled' });
  life.looked();
  expect(life.report(summary)).toMatchObject({ alive: true });
});

test('a writer that waits for PostgreSQL, the disk or a destination is alive, however long it takes', () => {
  const { state, life } = makeWriter();
  state.nowMs = 24 * 60 * MINUTE_MS;
  state.trouble = 'no space is left';
  expect(life.report(summary)).toMatchObject({ alive: true, state: 'writer, epoch 3; no space is left' });
  state.trouble = null;
  state.isHeldBack = true;
  expect(life.report(summary)).toMatchObject({ alive: true, state: 'writer, epoch 3' });
});

test('a process that is not the writer is alive, and ready as soon as it knows why it waits', () => {
  const { state, life } = makeWriter();
  life.runs(null);
  state.nowMs = 24 * 60 * MINUTE_MS;
  expect(life.report(summary)).toMatchObject({ alive: true, state: 'starting' });
  life.waits('standing by');
  expect(life.report(summary)).toMatchObject({ alive: true, state: 'standing by', details: '' });
  expect(new Life().report(summary)).toMatchObject({ ready: false, alive: true });
});
