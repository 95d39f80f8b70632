// An error that nobody caught (FAULTS P8): the process says so and ends, whatever Node's options are; what it left half
// done is brought in by the next start. Provoked from outside, by a module that Node loads before the program.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene } from './scene.ts';
import { stop } from './sweep.ts';

const FAULTS = [
  ['an exception', `throw new Error('of the test')`, 'throw'],
  ['a rejected promise', `void Promise.reject(new Error('of the test'))`, 'throw'],
  ['a rejection that is no error', `void Promise.reject('of the test')`, 'warn'],
] as const;

for (const [name, fault, mode] of FAULTS) {
  test(`${name} that nobody caught is logged and ends it, with --unhandled-rejections=${mode}`, async () => {
    await using scene = await createScene({ database: await createQueue() });
    const bug = join(scene.folder, 'bug.mjs');
    await writeFile(bug, `process.on('SIGUSR2', () => { ${fault}; });\n`);
    await using program = scene.run({
      env: { NODE_OPTIONS: `--unhandled-rejections=${mode} --import=${bug}` },
    });
    await program.started();
    // Answers are slow, so that there is something half done.
    scene.receiver.delayMs = 300;
    await insert(scene, createRandom(SEED), 120);
    program.signal('SIGUSR2');
    expect(await program.exit).toBe(1);
    expect(program.said).toMatch(/"level":60.*"error":"of the test".*tailrace has a bug and ends/);
    scene.receiver.delayMs = 0;
    await using next = scene.run();
    await next.started();
    await waitUntilSettled(scene);
    await passFreshEvent(scene);
    await stop(next);
    expect(await judge(scene), `${program.said}\n${next.said}`).toEqual([]);
  });
}
