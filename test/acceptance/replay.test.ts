// `tailrace replay` on log files that tailrace has written, rotated and compressed: what a receiver and a database get from
// them is what they got the first time. And its memory does not grow with the files.

import { createWriteStream } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { createHttpReceiver, type HttpReceiver, type ReceivedRequest } from '../helpers/http-receiver.ts';
import { createTestDatabase } from '../helpers/postgres.ts';
import { createScene, hook, lineOf, linesOf } from '../replay/scene.ts';
import { createWorld, httpPost, SLOW_MS, scaled, type World } from './world.ts';

const FIXTURE = fileURLToPath(new URL('../../fixtures/events.jsonl', import.meta.url));
const EVENTS = scaled(2_400, 600);

/** Has events of the fixture logged and delivered, and the log rotated: a third gzipped, a third moved, the rest as it is. */
async function logInThreeFiles(world: World): Promise<string[]> {
  const input = (await readFile(FIXTURE, 'utf8')).split('\n').slice(0, EVENTS).join('\n');
  expect(await world.cli(['record', '--all'], { input })).toMatchObject({ code: 0 });
  expect(await world.once()).toMatchObject({ read: EVENTS, delivered: EVENTS });
  const lines = (await readFile(world.log, 'utf8')).split(/(?<=\n)/);
  const third = (part: number): string => lines.slice((part * EVENTS) / 3, ((part + 1) * EVENTS) / 3).join('');
  await writeFile(`${world.log}.2.gz`, gzipSync(third(0)));
  await writeFile(`${world.log}.1`, third(1));
  await writeFile(world.log, third(2));
  return [world.log, `${world.log}.2.gz`, `${world.log}.1`];
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
  const columns =
    'event_unique_id varchar UNIQUE, email varchar, headers text, "timestamp" float8, synchronous boolean';
  await remote.query(`CREATE TABLE copies (event_type varchar, ${columns})`);
  await using scene = await createScene();
  const destination = { type: 'sql_insert', db_dsn: remote.url, table: 'copies' };
  await scene.configure({ matches: { all: true }, destination });
  const values = { headers: { Subject: '№ 7' }, timestamp: 1.5, synchronous: true };
  await scene.write('events.jsonl', linesOf(1, 300, values));
  for (let round = 0; round < 2; round += 1) {
    const { code, stdout } = await scene.replay('--json', 'events.jsonl');
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, lines: 300, sent: 300, failed: 0 });
    const rows = await remote.query('SELECT count(*)::int AS n FROM copies');
    expect(rows).toEqual([{ n: 300 }]);
  }
  const [row] = await remote.query("SELECT * FROM copies WHERE event_unique_id = 'u7'");
  expect(row).toMatchObject({ event_type: 'scomp', email: 'a7@example.com', timestamp: 1.5, synchronous: true });
  expect(JSON.parse(row?.headers)).toEqual(values.headers);
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
