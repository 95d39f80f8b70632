// The order of the calls that durability rests on, as the kernel sees it. Kills cannot find a missing fsync, since the
// page cache survives them, and ext4 hides a missing one of the directory: this looks at the calls themselves.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { requireTool } from '../helpers/require-tool.ts';
import { createRow, knownOf } from './events.ts';
import { judge, waitUntilSettled } from './oracle.ts';
import { insertRows, nextUnique } from './producer.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene } from './scene.ts';
import { type FileClass, pathsOf } from './strace.ts';

/** Every call that may be a step: `-yy` names the file or the socket behind each descriptor. */
const STRACE = ['strace', '-f', '-qq', '-yy', '-s', '300'];
const CALLS = 'openat,write,pwrite64,writev,pwritev,fdatasync,fsync,sendto,sendmsg';

describe.skipIf(!requireTool('strace'))('one event', () => {
  test('is in the journal, then in the log, then delivered, then deleted, each on disk before the next', async () => {
    await using scene = await createScene({ database: await createQueue() });
    const row = createRow(createRandom(5), nextUnique(), 'engine_open');
    const client = await scene.database.client();
    const [id = ''] = await insertRows(client, [row]);
    scene.committed.set(id, knownOf(row));
    const output = join(scene.folder, 'calls');
    await using program = scene.run({ once: true, under: [...STRACE, '-o', output, '-e', `trace=${CALLS}`] });
    expect(await program.exit, program.said).toBe(0);

    const calls = wholeCalls(await readFile(output, 'utf8'));
    const steps: readonly (readonly [string, RegExp])[] = [
      ['the names of the journal are synced', /^fsync\(\d+<[^>]*\.tailrace>\) += 0/],
      ['the intent is written', /^p?writev?(64)?\(\d+<[^>]*journal-\d+>, .*TRJR/],
      ['the intent is synced', /^fdatasync\(\d+<[^>]*journal-\d+>\) += 0/],
      ['the line is written', /^write\(\d+<[^>]*events\.jsonl>, .*time_written_to_logfile/],
      ['the line is synced', /^fdatasync\(\d+<[^>]*events\.jsonl>\) += 0/],
      ['the event is delivered', /^[a-z]+\(\d+<TCP[^>]*.*POST \/accept/],
      ['the row is deleted', /^[a-z]+\(\d+<(UNIX|TCP).*settle_gone/],
    ];
    const first = (pattern: RegExp): number => calls.findIndex((call) => pattern.test(call));
    const order = steps.map(([step, pattern]) => ({ step, at: first(pattern) }));
    expect(order.filter(({ at }) => at < 0)).toEqual([]);
    expect(order.toSorted((one, other) => one.at - other.at)).toEqual(order);

    const named = calls.findIndex((call) => call.startsWith('fsync(') && call.includes(`<${scene.folder}>`));
    expect(named, 'the name of the log file is synced').toBeGreaterThan(-1);
    expect(named, 'before a line is written').toBeLessThan(order[3]?.at ?? 0);
  });
});

describe.skipIf(!requireTool('strace'))('a sync that failed', () => {
  /** What the program does to a class of files when the first sync of it that brings an event to disk fails. */
  async function callsAfterFailure(files: FileClass): Promise<string[]> {
    await using scene = await createScene({ database: await createQueue() });
    const output = join(scene.folder, 'calls');
    const filter = pathsOf(scene.log, scene.folder)[files].flatMap((path) => ['-P', path]);
    const fault = ['-e', `trace=${CALLS}`, '-e', 'inject=fdatasync:error=EIO:when=1'];
    await using program = scene.run({ under: [...STRACE, '-o', output, ...filter, ...fault] });
    await program.started();
    const row = createRow(createRandom(6), nextUnique(), 'engine_open');
    const [id = ''] = await insertRows(await scene.database.client(), [row]);
    scene.committed.set(id, knownOf(row));
    await waitUntilSettled(scene);
    expect(await judge(scene)).toEqual([]);
    const calls = wholeCalls(await readFile(output, 'utf8'));
    const failed = calls.findIndex((call) => call.includes('(INJECTED)'));
    expect(failed).toBeGreaterThan(-1);
    return calls.slice(failed);
  }

  test('is not believed the second time: the line is written again through another descriptor, in its place', async () => {
    const [failed = '', ...calls] = await callsAfterFailure('log');
    const descriptor = /\((\d+)</.exec(failed)?.[1];
    const written = calls.findIndex((call) => /^pwrite64\(.*time_written_to_logfile/.test(call));
    const synced = calls.findIndex((call) => /^fdatasync\(.* = 0$/.test(call));
    expect(written, calls.join('\n')).toBeGreaterThan(-1);
    expect(synced).toBeGreaterThan(written);
    expect(/\((\d+)</.exec(calls[synced] ?? '')?.[1]).not.toBe(descriptor);
  });

  test('ends the segment of the journal: the intent goes to another one', async () => {
    const [failed = '', ...calls] = await callsAfterFailure('journal');
    const segment = /journal-\d+/.exec(failed)?.[0] ?? 'none';
    expect(calls.filter((call) => /^(p?write|fdatasync)/.test(call) && call.includes(segment))).toEqual([]);
    expect(calls.some((call) => /^pwritev?(64)?\(/.test(call) && call.includes('TRJR'))).toBe(true);
  });
});

/** The calls in the order of their ends; strace splits one that is interrupted by another thread's. */
function wholeCalls(text: string): string[] {
  const begun = new Map<string, string>();
  const calls: string[] = [];
  for (const line of text.split('\n')) {
    const [, pid = '', call = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(call);
    if (call.endsWith('<unfinished ...>')) begun.set(pid, call.slice(0, -'<unfinished ...>'.length));
    else if (resumed) calls.push(`${begun.get(pid)?.trimEnd() ?? ''}${resumed[1]}`);
    else if (call !== '') calls.push(call);
  }
  return calls;
}
