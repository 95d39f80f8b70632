// The configuration file in trouble under load (FAULTS G1, G2): written in small pieces, deleted, unreadable, and naming
// another destination every 50 ms. Nothing is lost, doubled or held up.

import { chmod, chown, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { scaled } from '../acceptance/world.ts';
import { requireTool } from '../helpers/require-tool.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { startProducer } from './producer.ts';
import { createRandom, SEED } from './random.ts';
import { createReceiver, type Received } from './receiver.ts';
import { createQueue, createScene } from './scene.ts';
import { stop } from './sweep.ts';
import { asUser, saysAgain, unprivilegedAccount } from './trouble.ts';

const PIECE_CHARS = 10;
const SWAPS = scaled(2_000, 80);
const SWAP_EVERY_MS = 50;
const BROKEN = /broken; the last good one stays in force/;

describe.skipIf(!requireTool('setpriv'))('a configuration', () => {
  test('that is rewritten in pieces, deleted and unreadable under load holds nothing up', async ({ skip }) => {
    const account = await unprivilegedAccount();
    if (account === null) return skip('needs root, to become somebody else');
    await using scene = await createScene({ database: await createQueue() });
    const text = await readFile(scene.config, 'utf8');
    for (const path of [scene.folder, scene.config]) await chown(path, account.uid, account.gid);
    await using program = scene.run({ under: asUser(account) });
    await program.started();
    const producer = startProducer({ ...scene, url: scene.database.url, random: createRandom(SEED), pauseMs: 30 });

    const troubles: readonly (() => Promise<unknown>)[] = [
      async () => {
        const file = await open(scene.config, 'w');
        for (let at = 0; at < text.length / 2; at += PIECE_CHARS) {
          await file.write(text.slice(at, at + PIECE_CHARS));
          await sleep(5);
        }
        await file.close();
      },
      () => rm(scene.config),
      () => chmod(scene.config, 0o000),
      () => writeFile(scene.config, `${text}}`),
      () => writeFile(scene.config, ''),
    ];
    for (const trouble of troubles) {
      const before = program.said;
      await trouble();
      await saysAgain(program, BROKEN, before);
      expect(program.said.slice(before.length)).toMatch(/event_processor\.json:\d+:\d+: /);
      await passFreshEvent(scene);
      await rm(scene.config, { force: true });
      await writeFile(scene.config, text);
      await chown(scene.config, account.uid, account.gid);
      await sleep(300);
    }
    await producer.end();
    await waitUntilSettled(scene, 60_000);
    await passFreshEvent(scene);
    await stop(program);
    expect(await judge(scene), `TAILRACE_SEED=${SEED}\n${program.said}`).toEqual([]);
  });
});

test(`a destination that is another one every ${SWAP_EVERY_MS} ms gets each event once, here or there`, async () => {
  await using scene = await createScene({ database: await createQueue() });
  await using other = await createReceiver();
  const text = await readFile(scene.config, 'utf8');
  const texts = [text, text.replaceAll(scene.receiver.url('/accept'), other.url('/accept'))];
  expect(texts[0]).not.toBe(texts[1]);
  await using program = scene.run();
  await program.started();
  const producer = startProducer({ ...scene, url: scene.database.url, random: createRandom(SEED), pauseMs: 30 });
  for (let swaps = 1; swaps <= SWAPS; swaps += 1) {
    await writeFile(`${scene.config}.new`, texts[swaps % 2] ?? text);
    await rename(`${scene.config}.new`, scene.config);
    await sleep(SWAP_EVERY_MS);
  }
  await producer.end();
  await waitUntilSettled(scene, 60_000);
  await passFreshEvent(scene);
  await stop(program);
  const accepted = new Map<string, Received>(scene.accepted);
  const both = [...other.accepted.keys()].filter((id) => accepted.has(id));
  for (const [id, received] of other.accepted) accepted.set(id, received);
  const context = `TAILRACE_SEED=${SEED}\n${program.said.slice(-3_000)}`;
  expect(both, context).toEqual([]);
  expect(
    [...accepted.values()].filter(({ times }) => times > 1),
    context,
  ).toEqual([]);
  expect(Math.min(scene.accepted.size, other.accepted.size)).toBeGreaterThan(0);
  expect(await judge({ ...scene, accepted }), context).toEqual([]);
});
