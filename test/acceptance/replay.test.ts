// `tailrace replay` on log files that tailrace has written, rotated and compressed: what a receiver and a database get from
// them is what they got the first time. And its memory does not grow with the files.

import { createWriteStream } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { createHttpReceiver, type HttpReceiver, type ReceivedRequest } from '../helpers/http-receiver.ts';
import { createTestDatabase } from '../helpers/postgres.ts';
import { createScene, hook, lineOf } from '../replay/scene.ts';
import { createWorld, httpPost, SLOW_MS, scaled, type World } from './world.ts';

const FIXTURE = fileURLToPath(new URL('../../fixtures/events.jsonl', import.meta.url));
const EVENTS = scaled(2_400, 600);

/** Records events of the fixture in three parts, each processed and its log rotated: gzipped, moved, and the live one. */
async function logInThreeFiles(world: World): Promise<string[]> {
  const lines = (await readFile(FIXTURE, 'utf8')).split('\n').slice(0, EVENTS);
  const files = [`${world.log}.2.gz`, `${world.log}.1`, world.log];
  for (const [part, file] of files.entries()) {
    const input = lines.slice((part * EVENTS) / 3, ((part + 1) * EVENTS) / 3).join('\n');
    expect(await world.cli(['record', '--all'], { input })).toMatchObject({ code: 0 });
    expect(await world.once()).toMatchObject({ read: EVENTS / 3, delivered: EVENTS / 3 });
    if (file.endsWith('.gz')) {
      await writeFile(file, gzipSync(await readFile(world.log)));
      await rm(world.log);
    } else if (file !== world.log) await rename(world.log, file);
  }
  return files;
}

const sentTo = ({ requests }: HttpReceiver, from = 0): string[] =>
  requests.slice(from).map(({ headers, body }: ReceivedRequest) => `${headers['idempotency-key']} ${body}`);

test('each event goes out once more, with the key and the body of its first delivery', {
  timeout: SLOW_MS,
}, async () => {
  await using receiver = await createHttpReceiver();
  await using world = await createWorld();
  await world.configure({ logfile: { filename: world.log }, event_destinations: [httpPost(receiver.url())] });
  const files = await logInThreeFiles(world);
  const first = sentTo(receiver);
  const before = await Promise.all(files.map((file) => readFile(file)));
  const { code, stdout, stderr } = await world.cli(['replay', ...files], { env: { TAILRACE_DATABASE_URL: '' } });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain(`from 3 files`);
  expect(sentTo(receiver, first.length).sort()).toEqual([...first].sort());
  expect(first).toHaveLength(EVENTS);
  expect(await Promise.all(files.map((file) => readFile(file)))).toEqual(before);
});

test('a table with a unique key has each event once, however often it is replayed', { timeout: SLOW_MS }, async () => {
  await using remote = await createTestDatabase();
  await remote.query(
    'CREATE TABLE copies (event_type varchar, event_unique_id varchar UNIQUE, email varchar, headers text, "timestamp" float8, studio_is_unique boolean)',
  );
  await using world = await createWorld();
  await world.configure();
  const files = await logInThreeFiles(world);
  const destination = { type: 'sql_insert', db_dsn: remote.url, table: 'copies' };
  await world.configure({ event_destinations: [{ matches: { all: true }, destination }] });
  for (let round = 0; round < 2; round += 1) {
    const { code, stdout, stderr } = await world.cli(['replay', '--json', ...files]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ lines: EVENTS, sent: EVENTS, failed: 0 });
    const rows = await remote.query<{ n: number; flags: number }>(
      'SELECT count(*)::int AS n, count(studio_is_unique)::int AS flags FROM copies',
    );
    expect(rows).toEqual([{ n: EVENTS, flags: expect.any(Number) }]);
    expect(rows[0]?.flags).toBeGreaterThan(0);
  }
});

/** Most memory that a replay of so many events takes, in MiB. */
async function peakOf(events: number): Promise<number> {
  await using scene = await createScene();
  await scene.configure(hook(scene.receiver, { batch: { max_events: 500, max_wait_ms: 0 } }));
  const text = { bounce_text: 'x'.repeat(400) };
  const lines = function* (): Generator<string> {
    for (let id = 1; id <= events; id += 1) yield `${lineOf(id, text)}\n`;
  };
  await pipeline(lines, createWriteStream(scene.path('events.jsonl')));
  await using running = scene.start('--json', 'events.jsonl');
  let peak = 0;
  let ended = false;
  void running.exit.then(() => {
    ended = true;
  });
  while (!ended) {
    const status = await readFile(join('/proc', String(running.pid), 'status'), 'utf8').catch(() => '');
    peak = Math.max(peak, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
    await sleep(20);
  }
  expect(running.stderr).toBe('');
  expect(JSON.parse(running.stdout)).toMatchObject({ finished: true, sent: events });
  return peak;
}

test.skipIf(process.platform !== 'linux')(
  'ten times the events take no more memory',
  { timeout: SLOW_MS },
  async () => {
    const few = await peakOf(scaled(20_000, 10_000));
    const many = await peakOf(scaled(200_000, 100_000));
    expect(few).toBeGreaterThan(30);
    expect(many).toBeLessThan(few + 60);
  },
);
