import { existsSync } from 'node:fs';
import { rename, rm, truncate } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { expect, test, vi } from 'vitest';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createScene, hook, keysOf, linesOf, type Scene, sorted } from './scene.ts';

// Each runs the program several times.
vi.setConfig({ testTimeout: 180_000 });

const CHECKPOINT = 'replay.checkpoint.json';

/** Starts a replay of a file that is slow enough to be interrupted, and waits until it has sent so many events. */
async function begin(scene: Scene, events: number, args: readonly string[] = ['events.jsonl']) {
  scene.receiver.script({ delayMs: 5 });
  const running = scene.start(...args);
  await scene.receiver.waitForRequests(events);
  return running;
}

interface Kept {
  readonly to: { readonly file: number; readonly line: number };
  readonly unsettled: readonly (readonly [file: number, line: number, done: readonly string[]])[];
}

test('after kill -9 a resumed replay leaves nothing out, and sends again what had not been settled', async () => {
  await using scene = await createScene();
  await scene.write('events.jsonl', linesOf(1, 4_000));
  await using running = await begin(scene, 100);
  const sent = async (): Promise<number> => JSON.parse(await scene.read(CHECKPOINT)).counts.sent;
  await waitFor(async () => (await sent()) > 100, { what: 'a checkpoint with a hundred events', intervalMs: 50 });
  running.signal('SIGKILL');
  await running.exit;
  // The line of an event is its number here.
  const { to, unsettled }: Kept = JSON.parse(await scene.read(CHECKPOINT));
  const open = new Set(unsettled.map(([, line]) => `u${line}`));
  const settled = new Set(keysOf(1, to.line).filter((key) => !open.has(key)));
  expect(settled.size).toBeGreaterThan(50);
  const before = scene.receiver.requests.length;
  for (const key of settled) expect(scene.keys().slice(0, before)).toContain(key);

  scene.receiver.script({});
  const { code, stdout } = await scene.replay('--resume', '--json');
  expect({ code, ...JSON.parse(stdout) }).toMatchObject({
    code: 0,
    finished: true,
    lines: 4_000,
    sent: 4_000,
    failed: 0,
  });
  expect(sorted(new Set(scene.keys()))).toEqual(keysOf(1, 4_000));
  const again = scene.keys().slice(before);
  expect(again).toHaveLength(new Set(again).size);
  expect(again.filter((key) => settled.has(key))).toEqual([]);
  expect(existsSync(scene.path(CHECKPOINT))).toBe(false);
});

test('after SIGTERM a resumed replay sends each remaining event once, and none twice', async () => {
  await using scene = await createScene();
  await scene.write('events.jsonl', linesOf(1, 600));
  await scene.write('events.jsonl.1.gz', gzipSync(linesOf(601, 700)));
  const files = ['events.jsonl', 'events.jsonl.1.gz'];
  await using running = await begin(scene, 100, files);
  running.signal('SIGTERM');
  expect(await running.exit).toBe(75);
  expect(running.stdout).toContain('not finished; go on with `tailrace replay --resume`');
  const sent = scene.receiver.requests.length;
  expect(sent).toBeLessThan(700);
  expect(await scene.replay(...files)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/interrupted.*--resume/),
  });

  const ended = await scene.replay('--resume', ...files);
  expect(ended).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^sent 700 events from 2 files/) });
  expect(sorted(scene.keys())).toEqual(keysOf(1, 700));
  expect(await scene.replay('--resume')).toMatchObject({ code: 1, stderr: expect.stringContaining('no checkpoint') });
});

test('an event that one of its destinations has is not sent there again', async () => {
  await using scene = await createScene();
  await using slow = await createHttpReceiver({ kind: 'hang' });
  await scene.configure(
    hook(scene.receiver, {}, { continue: true }),
    hook(slow, { concurrency: 10 }, { name: 'slow' }),
  );
  await scene.write('events.jsonl', linesOf(1, 30));
  await using running = scene.start('events.jsonl');
  await scene.receiver.waitForRequests(30);
  await slow.waitForRequests(10);
  running.signal('SIGTERM');
  // The nine seconds of grace are over, or the receiver is gone.
  await slow.close();
  expect(await running.exit).toBe(75);

  await using mended = await createHttpReceiver();
  await scene.configure(
    hook(scene.receiver, {}, { continue: true }),
    hook(mended, { concurrency: 10 }, { name: 'slow' }),
  );
  const refused = await scene.replay('--resume');
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('--new-config') });
  const { code, stdout } = await scene.replay('--resume', '--new-config', '--json');
  expect({ code, ...JSON.parse(stdout) }).toMatchObject({
    code: 0,
    sent: 30,
    destinations: [
      { destination: 'hook', sent: 30 },
      { destination: 'slow', sent: 30 },
    ],
  });
  expect(scene.receiver.requests).toHaveLength(30);
  expect(sorted(new Set(mended.requests.map(({ headers }) => String(headers['idempotency-key']))))).toEqual(
    keysOf(1, 30),
  );
});

test('a file that was rotated and compressed meanwhile is found again', async () => {
  await using scene = await createScene();
  await scene.write('events.jsonl', linesOf(1, 500));
  await using running = await begin(scene, 50);
  running.signal('SIGINT');
  expect(await running.exit).toBe(75);

  const rotated = gzipSync((await scene.read('events.jsonl')) + linesOf(501, 600));
  await scene.write('events.jsonl-20261122.gz', rotated);
  await scene.write('events.jsonl', linesOf(601, 700));
  expect((await scene.replay('--resume')).code).toBe(0);
  // What was written to it behind the end that it had is not part of this replay.
  expect(sorted(scene.keys())).toEqual(keysOf(1, 500));
});

test('another file in its place, other filters and other files are refused', async () => {
  await using scene = await createScene();
  await scene.write('events.jsonl', linesOf(1, 500));
  await using running = await begin(scene, 50, ['--type', 'scomp', 'events.jsonl']);
  running.signal('SIGTERM');
  expect(await running.exit).toBe(75);
  const sent = scene.receiver.requests.length;
  for (const [args, message] of [
    [['events.jsonl'], /other filters \(--type scomp\)/],
    [['--type', 'engine_open'], /other filters/],
    [['--type', 'scomp', 'other.jsonl'], /other files/],
    [['--rejects', 'other.jsonl'], /reject file/],
  ] as const) {
    expect(await scene.replay('--resume', ...args)).toEqual({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(message),
    });
  }
  await rename(scene.path('events.jsonl'), scene.path('events.old'));
  await scene.write('events.jsonl', linesOf(2, 600));
  await truncate(scene.path('events.old'), 1_000);
  expect(await scene.replay('--resume')).toMatchObject({ code: 1, stderr: expect.stringContaining('is not the file') });
  await rm(scene.path('events.jsonl'));
  expect(await scene.replay('--resume')).toMatchObject({ code: 1, stderr: expect.stringContaining('is not the file') });
  expect(scene.receiver.requests).toHaveLength(sent);
});

test('of two replays with one checkpoint the one that resumed goes on, and the other ends', async () => {
  await using scene = await createScene();
  await scene.write('events.jsonl', linesOf(1, 400));
  await using first = await begin(scene, 20, ['--rate', '20', 'events.jsonl']);
  await using second = scene.start('--resume', '--rate', '20');
  expect(await first.exit).toBe(1);
  expect(first.stderr).toMatch(/another `tailrace replay` has taken the checkpoint/);
  second.signal('SIGTERM');
  expect(await second.exit).toBe(75);
  expect((await scene.replay('--resume')).code).toBe(0);
  expect(sorted(new Set(scene.keys()))).toEqual(keysOf(1, 400));
});

test('a checkpoint that cannot be written ends the replay before anything is sent', async () => {
  await using scene = await createScene();
  await scene.write('events.jsonl', linesOf(1, 4));
  const rejects = ['--rejects', 'r.jsonl'];
  const nowhere = await scene.replay('--checkpoint', 'missing/c.json', ...rejects, 'events.jsonl');
  expect(nowhere).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/checkpoint .* cannot be written.*--checkpoint/),
  });
  await scene.write('c.json', '{}');
  const foreign = await scene.replay('--checkpoint', 'c.json', 'events.jsonl');
  expect(foreign).toMatchObject({ code: 1, stderr: expect.stringContaining('it is not one') });
  expect(scene.receiver.requests).toHaveLength(0);
});
