import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test, vi } from 'vitest';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { createScene, hook, keysOf, lineOf, linesOf, sorted } from './scene.ts';

// Each runs the program several times.
vi.setConfig({ testTimeout: 180_000 });

const REJECTS = 'replay.rejected.jsonl';

const keyOf = ({ headers }: { readonly headers: Readonly<Record<string, unknown>> }): string =>
  String(headers['idempotency-key']);

test('what is refused is tried so often, then kept as it was, and can be replayed', async () => {
  await using scene = await createScene();
  const isBad = (key: string): boolean => Number(key.slice(1)) % 10 === 0;
  scene.receiver.script((request) => ({ status: isBad(keyOf(request)) ? 422 : 200, body: 'no such list' }));
  await scene.write('events.jsonl', linesOf(1, 100));
  const { code, stdout, stderr } = await scene.replay('--attempts', '3', 'events.jsonl');
  expect(code).toBe(1);
  expect(stdout).toMatch(/^sent 90 events, 10 failed from 1 file .*\n {2}hook {2}90, 10 failed\n/);
  expect(stdout).toContain(`what failed is in ${REJECTS}: mend the cause, then \`tailrace replay ${REJECTS}\``);
  expect(stderr.trimEnd().split('\n')).toHaveLength(10);
  expect(stderr).toMatch(/events\.jsonl:10: hook: .*422.*no such list/);
  expect(scene.keys().filter((key) => key === 'u10')).toHaveLength(3);
  const rejects = await scene.read(REJECTS);
  expect(rejects.trimEnd().split('\n').sort()).toEqual(
    keysOf(1, 100)
      .filter(isBad)
      .map((key) => lineOf(Number(key.slice(1))))
      .sort(),
  );

  const before = scene.receiver.requests.length;
  const again = await scene.replay('--attempts', '1', REJECTS);
  expect(again.stdout).toContain('what failed is in replay.rejected.2.jsonl');
  scene.receiver.script({});
  expect(await scene.replay(REJECTS)).toMatchObject({ code: 0, stderr: '' });
  expect(sorted(scene.keys().slice(before + 10))).toEqual(keysOf(1, 100).filter(isBad));
  expect(await scene.read(REJECTS)).toBe(rejects);
});

test('a destination that accepts nothing is given up on, and the others get all of theirs', async () => {
  await using scene = await createScene();
  await using down = await createHttpReceiver({ status: 503 });
  await scene.configure(
    hook(down, {}, { name: 'down', matches: { event_type: 'scomp' }, continue: true }),
    hook(scene.receiver),
  );
  await scene.write('events.jsonl', linesOf(1, 3_000));
  const { code, stdout, stderr } = await scene.replay('--attempts', '3', '--json', 'events.jsonl');
  expect({ code, ...JSON.parse(stdout) }).toMatchObject({
    code: 1,
    finished: true,
    sent: 0,
    failed: 3_000,
    destinations: [
      { destination: 'down', sent: 0, failed: 3_000 },
      { destination: 'hook', sent: 3_000, failed: 0 },
    ],
    rejects: REJECTS,
  });
  expect(stderr).toContain('down accepts nothing and is not tried any more');
  expect(stderr).toContain('and 2,980 more refused events');
  expect(down.requests.length).toBeLessThan(100);
  expect(sorted(scene.keys())).toEqual(keysOf(1, 3_000));
  expect((await scene.read(REJECTS)).split('\n')).toHaveLength(3_001);

  down.script({});
  expect((await scene.replay('--destination', 'down', REJECTS)).code).toBe(0);
  expect(new Set(down.requests.map(keyOf)).size).toBe(3_000);
  expect(scene.receiver.requests).toHaveLength(3_000);
});

test('a destination that fails for a while is waited for, and nothing is rejected', async () => {
  await using scene = await createScene();
  // Ten requests in a row open the breaker.
  scene.receiver.script((_, index) => ({ status: index < 15 ? 500 : 200 }));
  await scene.write('events.jsonl', linesOf(1, 500));
  const { code, stdout } = await scene.replay('--attempts', '20', '--json', 'events.jsonl');
  expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, sent: 500, failed: 0, rejects: null });
  expect(sorted(new Set(scene.keys()))).toEqual(keysOf(1, 500));
});

test('a kill leaves no event in the reject file twice, nor one there that is sent later', async () => {
  await using scene = await createScene();
  const isBad = (key: string): boolean => Number(key.slice(1)) % 2 === 0;
  scene.receiver.script((request) => ({ status: isBad(keyOf(request)) ? 400 : 200, delayMs: 3 }));
  await scene.write('events.jsonl', linesOf(1, 800));
  for (const requests of [150, 350]) {
    await using running = scene.start('--attempts', '1', ...(requests === 150 ? ['events.jsonl'] : ['--resume']));
    await scene.receiver.waitForRequests(requests);
    running.signal('SIGKILL');
    await running.exit;
  }
  const ended = await scene.replay('--attempts', '1', '--resume', '--json');
  expect({ code: ended.code, ...JSON.parse(ended.stdout) }).toMatchObject({
    code: 1,
    lines: 800,
    sent: 400,
    failed: 400,
  });
  const rejected = (await scene.read(REJECTS)).trimEnd().split('\n');
  expect(sorted(rejected.map((line) => JSON.parse(line).event_unique_id))).toEqual(keysOf(1, 800).filter(isBad));
});

test.each([
  ['nowhere/r.jsonl', 'its folder does not exist'],
  ['events.jsonl/r.jsonl', 'a part of its path is not a directory'],
  ['.', 'it is a folder'],
])('a reject file at %s is refused before anything is sent: %s', async (name, why) => {
  await using scene = await createScene();
  await scene.write('events.jsonl', linesOf(1, 3));
  expect(await scene.replay('--rejects', name, 'events.jsonl')).toMatchObject({
    code: 1,
    stderr: `tailrace: the reject file ${resolve(scene.path(name))} cannot be written: ${why}; mend that, or name another with --rejects\n`,
  });
  expect(scene.receiver.requests).toHaveLength(0);
});

test('a reject file with something in it is not written to', async () => {
  await using scene = await createScene();
  const mine = await scene.write('mine.jsonl', linesOf(1, 3));
  for (const file of ['events.jsonl', 'mine.jsonl']) {
    await scene.write('events.jsonl', linesOf(1, 3));
    const ended = await scene.replay('--rejects', 'mine.jsonl', file);
    expect(ended).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`${mine} has lines of something else in it`),
    });
  }
  expect(await scene.read('mine.jsonl')).toBe(linesOf(1, 3));
  expect(scene.receiver.requests).toHaveLength(0);
  expect(existsSync(scene.path('replay.checkpoint.json'))).toBe(false);
});
