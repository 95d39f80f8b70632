// Recoveries that are killed themselves, twice in a row (FAULTS P2), and what may have become of the log file between
// the crash and the restart (FAULTS F9): moved once and more often, compressed, taken away.

import { execFile } from 'node:child_process';
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FULL } from '../acceptance/world.ts';
import type { TestDatabase } from '../helpers/postgres.ts';
import { requireTool } from '../helpers/require-tool.ts';
import type { Known } from './events.ts';
import { inParallel } from './in-parallel.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { createQueue, createScene, insertSmallWorkload, rotate, type Scene } from './scene.ts';
import { crashAt, type FilePoint, LAST_LINE, nameOf, recoveryPoint, restart, stop, tearOff } from './sweep.ts';
import { createTemplate, type Template } from './template.ts';

const run = promisify(execFile);
const TIMEOUT_MS = FULL ? 3_600_000 : 300_000;

interface Crash {
  readonly name: string;
  readonly point: FilePoint;
  readonly tear?: number;
}

/** A crash at each state that a batch can be left in. */
const CRASHES: readonly Crash[] = [
  { name: 'intent only', point: { files: 'log', call: 'write', n: 2 } },
  { name: 'first batch whole', point: { files: 'log', call: 'fdatasync', n: 1 } },
  { name: 'second batch whole', point: { files: 'log', call: 'fdatasync', n: 2 } },
  { name: 'torn by a line', point: { files: 'log', call: 'fdatasync', n: 2 }, tear: LAST_LINE },
  { name: 'torn in a line', point: { files: 'log', call: 'fdatasync', n: 2 }, tear: 0.3 },
  { name: 'torn intent', point: { files: 'journal', call: 'fdatasync', n: 2 } },
];

/** Those that a moved file is tried with. */
const SOME_CRASHES = FULL ? CRASHES : CRASHES.filter((_, at) => at % 2 === 0);

let queue: TestDatabase;
let template: Template;
let committed: Map<string, Known>;

const newScene = async (): Promise<Scene> => createScene({ database: await template.copy(), committed });

beforeAll(async () => {
  queue = await createQueue();
  committed = await insertSmallWorkload(queue);
  template = await createTemplate(queue.name);
});

afterAll(async () => {
  await template?.[Symbol.asyncDispose]();
  await queue?.[Symbol.asyncDispose]();
});

async function crash(scene: Scene, { point, tear }: Crash): Promise<void> {
  expect(await crashAt(scene, point)).toBe(true);
  if (tear !== undefined) await tearOff(scene, tear);
}

describe.skipIf(!requireTool('strace'))('a recovery', () => {
  test('that is killed twice in a row, at one point or at two, loses and repeats nothing', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const pairs = Array.from({ length: FULL ? 60 : 4 }, (_, at) => [recoveryPoint(at), recoveryPoint(at + 1_000)]);
    const same: FilePoint[] = [
      { files: 'log', call: 'fdatasync', n: 1 },
      { files: 'directory', call: 'fsync', n: 1 },
      { files: 'journal', call: 'fsync', n: 1 },
    ];
    const kills = [...same.map((point) => [point, point]), ...pairs];
    // Each crash with some of the kills, all in turn.
    const chosen = CRASHES.flatMap((each, at) =>
      kills.filter((_, k) => FULL || (at + k) % 6 === 0).map((k) => ({ each, k })),
    );
    const faults: string[] = [];
    let killedTwice = 0;
    await inParallel(chosen, async ({ each, k }) => {
      await using scene = await newScene();
      await crash(scene, each);
      let met = 0;
      for (const point of k) met += (await crashAt(scene, point)) ? 1 : 0;
      if (met === 2) killedTwice += 1;
      const name = `${each.name}, killed again at ${k.map(nameOf).join(' and ')}`;
      faults.push(...(await restart(scene)).map((fault) => `${name}: ${fault}`));
    });
    expect(faults).toEqual([]);
    expect(killedTwice).toBeGreaterThanOrEqual(chosen.length / 4);
  });
});

/** What is done to the log file while no program runs. */
const MOVES: readonly { readonly name: string; move(log: string): Promise<unknown> }[] = [
  {
    name: 'moved, and an empty one made in its place',
    move: (log) => rename(log, `${log}.1`).then(() => writeFile(log, '')),
  },
  {
    name: 'moved and compressed, and an empty one made in its place',
    move: async (log) => {
      await rename(log, `${log}.1`);
      await run('gzip', [`${log}.1`]);
      await writeFile(log, '');
    },
  },
  {
    name: 'moved three times, the oldest compressed',
    async move(log) {
      await rename(log, `${log}.3`);
      await run('gzip', [`${log}.3`]);
      for (const number of [2, 1]) {
        await writeFile(log, '');
        await rename(log, `${log}.${number}`);
      }
    },
  },
  { name: 'moved to a name without its own', move: (log) => rename(log, join(dirname(log), 'old.jsonl')) },
];

describe.skipIf(!requireTool('strace'))('a log file that was', () => {
  for (const { name, move } of MOVES) {
    test(`${name} between crash and restart, loses and repeats nothing`, { timeout: TIMEOUT_MS }, async () => {
      const faults: string[] = [];
      await inParallel(SOME_CRASHES, async (each) => {
        await using scene = await newScene();
        await crash(scene, each);
        await move(scene.log);
        const { faults: first } = await restartSaying(scene);
        const old = join(dirname(scene.log), 'old.jsonl');
        await rename(old, `${scene.log}.old`).catch(() => undefined);
        faults.push(
          ...[...first, ...(await judge({ ...scene, mayBeTorn: true }))].map((fault) => `${each.name}: ${fault}`),
        );
      });
      expect(faults).toEqual([]);
    });
  }

  for (const how of ['deleted', 'moved, compressed and taken away']) {
    test(`${how} between crash and restart is written again as far as it was not settled, and that is said`, {
      timeout: TIMEOUT_MS,
    }, async () => {
      const faults: string[] = [];
      await inParallel(SOME_CRASHES, async (each) => {
        await using scene = await newScene();
        await crash(scene, each);
        const away = join(scene.folder, 'away');
        await mkdir(away);
        if (how === 'deleted') await rename(scene.log, join(away, basename(scene.log)));
        else {
          await rotate(scene, 'rename + gzip');
          for (const name of await readdir(scene.folder)) {
            if (name.endsWith('.gz')) await rename(join(scene.folder, name), join(away, name));
          }
        }
        const unsettled = await idsIn(scene);
        const { said, faults: first } = await restartSaying(scene);
        // What had been settled is in the file that was taken away, and nowhere else; all the rest is in the new one.
        const without = await judge(scene);
        const lost = without.filter((fault) => !fault.includes('lost from the log'));
        for (const name of await readdir(away)) {
          await rename(join(away, name), `${scene.log}.away${name.endsWith('.gz') ? '.gz' : ''}`);
        }
        const doubles = await judge({ ...scene, mayBeTorn: true });
        const others = doubles.filter((fault) => !/× (repeated|times overlap)/.test(fault));
        const repeated = Number(/(\d+) × repeated/.exec(doubles.join('\n'))?.[1] ?? 0);
        const alarmed = Number(
          /"lines":(\d+),"msg":"the log file that lines were going to is gone/.exec(said)?.[1] ?? 0,
        );
        const found = [...first, ...lost, ...others];
        if (repeated > unsettled.length) found.push(`${repeated} doubles of ${unsettled.length} unsettled events`);
        if (repeated > alarmed) found.push(`${repeated} doubles, but an alarm about ${alarmed} lines\n${said}`);
        faults.push(...found.map((fault) => `${each.name}: ${fault}`));
      });
      expect(faults).toEqual([]);
    });
  }
});

/** Restarts, lets everything settle, stops. */
async function restartSaying(scene: Scene): Promise<{ readonly said: string; readonly faults: readonly string[] }> {
  await using program = scene.run();
  try {
    await program.started();
    await waitUntilSettled(scene);
    await passFreshEvent(scene);
    await stop(program);
    return { said: program.said, faults: [] };
  } catch (error) {
    return { said: program.said, faults: [`${error}`, program.said.slice(-2_000)] };
  }
}

/** Events that PostgreSQL holds. */
async function idsIn(scene: Scene): Promise<string[]> {
  return (await scene.database.query<{ id: string }>('SELECT id::text AS id FROM events')).map(({ id }) => id);
}
