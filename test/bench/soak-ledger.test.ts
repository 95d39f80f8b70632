import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Load } from './load.ts';
import type { Report } from './receiver.ts';
import { openLedger } from './soak-ledger.ts';

/** Events 1 to n, committed at the same number of milliseconds, with the keys k1 to kn. */
function loadOf(n: number): Load & { commit(id: number): void } {
  const committedAtNs = new Map<string, number>();
  const idOfKey = new Map<string, string>();
  const commit = (id: number): void => {
    committedAtNs.set(String(id), id * 1e6);
    idOfKey.set(`k${id}`, String(id));
  };
  for (let id = 1; id <= n; id += 1) commit(id);
  return {
    ...{ committedAtNs, idOfKey, uncertain: 0, commit },
    forget(key, id) {
      committedAtNs.delete(id);
      idOfKey.delete(key);
    },
    end: async () => undefined,
  };
}

/** Accepted ten milliseconds after the epoch of `loadOf`. */
function accepted(...ids: readonly number[]): Report {
  return { paths: {}, bodies: [], times: ids.map((id) => [`k${id}`, 0, 10e6] as const) };
}

async function fileOf(...ids: readonly (number | string)[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-ledger-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'events.jsonl');
  const line = (id: number | string) =>
    typeof id === 'string' ? id : `{"time_written_to_logfile":1795302762.457113,"event_id":${id},"event_type":"scomp"}`;
  await writeFile(file, ids.map((id) => `${line(id)}\n`).join(''));
  return file;
}

test('nothing is lost or doubled when each event has a line and was accepted, in whatever order that is heard', async () => {
  const load = loadOf(2);
  const ledger = openLedger(load);
  await ledger.read(await fileOf(2, 3));
  expect(ledger.note(accepted(1, 3))).toEqual([9]);
  load.commit(3); // the producer heard of its COMMIT after the receiver had the event
  expect(ledger.note(accepted(2))).toEqual([7, 8]);
  await ledger.read(await fileOf(1));
  expect(ledger.outstanding).toBe(0);
  expect(ledger.close()).toEqual({ committed: 3, lines: 3, accepted: 3, lost: 0, doubled: 0, acceptedAgain: 0 });
});

test('an event without a line is lost, and so is one that was never accepted', async () => {
  const ledger = openLedger(loadOf(3));
  ledger.note(accepted(1, 2));
  await ledger.read(await fileOf(2, 3));
  expect(ledger.close()).toMatchObject({ committed: 3, lost: 2, doubled: 0 });
});

test('a second line is doubled, in another file too, and a torn one is none', async () => {
  const ledger = openLedger(loadOf(2));
  ledger.note(accepted(1, 2));
  await ledger.read(await fileOf(1, 2, 1));
  await ledger.read(await fileOf(2, '{"time_written_to_logfile":17'));
  expect(ledger.close()).toMatchObject({ lines: 2, doubled: 3, lost: 0 });
});

test('an event that is accepted again is said, and is not lost', async () => {
  const ledger = openLedger(loadOf(1));
  ledger.note(accepted(1));
  ledger.note(accepted(1));
  await ledger.read(await fileOf(1));
  expect(ledger.close()).toMatchObject({ accepted: 1, acceptedAgain: 1, lost: 0 });
});
