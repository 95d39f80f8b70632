// A clock that jumps, midnights, daylight saving, strange years (FAULTS C1 to C4), through libfaketime: only the wall
// clock is moved, so timers go on as they do when a real clock is set.

import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { requireTool } from '../helpers/require-tool.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { startProducer } from './producer.ts';
import type { Program } from './program.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { stop } from './sweep.ts';

/** Debian's places of it. */
const LIBRARY = ['x86_64-linux-gnu', 'aarch64-linux-gnu']
  .map((machine) => `/usr/lib/${machine}/faketime/libfaketimeMT.so.1`)
  .find((path) => existsSync(path));

interface FakeClock {
  readonly env: Readonly<Record<string, string>>;
  /** Sets it, as `YYYY-MM-DD hh:mm:ss` UTC; it goes on from there. */
  set(utc: string): Promise<void>;
}

async function createClock(scene: Scene, utc: string, zone = 'UTC'): Promise<FakeClock> {
  const file = join(scene.folder, 'clock');
  // An offset to the real clock: libfaketime reads an absolute time in the zone of the process.
  const set = (when: string): Promise<void> => {
    const offset = (Date.parse(`${when.replace(' ', 'T')}Z`) - Date.now()) / 1_000;
    return writeFile(file, `${offset < 0 ? '' : '+'}${offset.toFixed(3)}s\n`);
  };
  await set(utc);
  const env = {
    LD_PRELOAD: LIBRARY ?? '',
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    NO_FAKE_STAT: '1',
    TZ: zone,
  };
  return { env, set };
}

/** Inserts for a while. */
async function load(scene: Scene, ms: number): Promise<void> {
  const producer = startProducer({ ...scene, url: scene.database.url, random: createRandom(SEED), mostRows: 10 });
  await sleep(ms);
  await producer.end();
}

async function finish(scene: Scene, program: Program, clockMoved: boolean): Promise<void> {
  await waitUntilSettled(scene);
  await passFreshEvent(scene);
  await stop(program);
  expect(await judge({ ...scene, clockMoved }), program.said.slice(-3_000)).toEqual([]);
}

/** The dates in the files' names, each with the dates of its lines in a zone. */
async function datesByFile(scene: Scene, zone: string): Promise<Map<string, Set<string>>> {
  const format = new Intl.DateTimeFormat('en-CA', { timeZone: zone, dateStyle: 'short' });
  const dates = new Map<string, Set<string>>();
  for (const name of await readdir(scene.folder)) {
    const date = /^events\.jsonl\.(.*)$/.exec(name)?.[1];
    if (date === undefined) continue;
    const times = (await readFile(join(scene.folder, name), 'utf8')).matchAll(/"time_written_to_logfile":([\d.]+)/g);
    dates.set(date, new Set([...times].map(([, time]) => format.format(new Date(Number(time) * 1_000)))));
  }
  return dates;
}

const hasFaketime = requireTool('faketime');

describe.skipIf(!hasFaketime)('the clock', () => {
  test('may jump a day ahead, an hour back and four seconds back under load', async () => {
    expect(LIBRARY).toBeDefined();
    await using scene = await createScene({ database: await createQueue() });
    const clock = await createClock(scene, '2026-05-05 10:00:00');
    await using program = scene.run({ env: clock.env });
    await program.started();
    await load(scene, 500);
    await clock.set('2026-05-06 10:00:00');
    await load(scene, 500);
    await clock.set('2026-05-06 09:00:00');
    await load(scene, 500);
    expect(program.said).toMatch(/clock stepped back/);
    await clock.set('2026-05-06 08:59:57');
    await load(scene, 500);
    await finish(scene, program, true);
  });

  test('that steps back a little is bridged: times go on growing, across a restart too', async () => {
    await using scene = await createScene({ database: await createQueue() });
    const clock = await createClock(scene, '2026-05-05 10:00:00');
    await using program = scene.run({ env: clock.env });
    await program.started();
    await clock.set('2026-05-05 10:00:00');
    await load(scene, 400);
    await clock.set('2026-05-05 09:59:58');
    await load(scene, 400);
    program.signal('SIGKILL');
    await program.exit;
    await clock.set('2026-05-05 09:59:57');
    await using again = scene.run({ env: clock.env });
    await again.started();
    await load(scene, 400);
    await finish(scene, again, false);
  });

  const midnights = [
    { name: 'an ordinary midnight', zone: 'UTC', before: '2026-12-31 23:59:58', dates: ['2026-12-31', '2027-01-01'] },
    // Clocks go from 24:00 back to 23:00 of the same day, then on to the next day an hour later.
    {
      name: 'a midnight that is put off by an hour',
      zone: 'America/Santiago',
      before: '2026-04-05 02:59:58',
      dates: ['2026-04-04'],
    },
    {
      name: 'a midnight that does not exist',
      zone: 'Asia/Beirut',
      before: '2026-03-28 21:59:58',
      dates: ['2026-03-28', '2026-03-29'],
    },
    {
      name: 'the end of February in a leap year',
      zone: 'UTC',
      before: '2028-02-28 23:59:58',
      dates: ['2028-02-28', '2028-02-29'],
    },
    {
      name: 'the first midnight of all',
      zone: 'UTC',
      before: '1970-01-01 23:59:58',
      dates: ['1970-01-01', '1970-01-02'],
    },
    { name: 'the first seconds of all', zone: 'UTC', before: '1970-01-01 00:00:02', dates: ['1970-01-01'] },
    { name: 'the end of 32-bit time', zone: 'UTC', before: '2038-01-19 03:14:06', dates: ['2038-01-19'] },
  ];
  for (const { name, zone, before, dates } of midnights) {
    test(`passes ${name}, and each line stands in the file of its date`, async () => {
      await using scene = await createScene({ database: await createQueue(), logfile: { filename_append_date: true } });
      const clock = await createClock(scene, before, zone);
      await using program = scene.run({ env: clock.env });
      await program.started();
      await clock.set(before);
      await load(scene, 3_500);
      await finish(scene, program, false);
      const found = await datesByFile(scene, zone);
      expect([...found.keys()].sort()).toEqual(dates);
      for (const [date, lines] of found) expect([...lines]).toEqual([date]);
    });
  }

  test('that goes back over midnight appends to the earlier file again', async () => {
    await using scene = await createScene({ database: await createQueue(), logfile: { filename_append_date: true } });
    const clock = await createClock(scene, '2026-07-01 00:00:10');
    await using program = scene.run({ env: clock.env });
    await program.started();
    await load(scene, 400);
    await clock.set('2026-06-30 23:50:00');
    await load(scene, 400);
    await clock.set('2026-07-01 00:00:20');
    await load(scene, 400);
    await finish(scene, program, true);
    for (const [date, lines] of await datesByFile(scene, 'UTC')) expect([...lines]).toEqual([date]);
  });
});
