import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Logger } from '../../src/lib/logger.ts';
import { createDeliveryLog, type DeliveryLogTarget } from '../../src/log-file/delivery-log.ts';
import { waitFor } from '../helpers/wait-for.ts';

async function start() {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-delivery-log-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const said: [object, string][] = [];
  const logger = { warn: (fields: object, message: string) => said.push([fields, message]) } as unknown as Logger;
  const at = (name: string): DeliveryLogTarget => ({
    filename: join(folder, name),
    mode: 0o600,
    createDirectory: false,
  });
  const state: { target: DeliveryLogTarget | null } = { target: at('a.jsonl') };
  const log = createDeliveryLog({ target: () => state.target, logger });
  onTestFinished(() => log.close());
  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8').catch(() => '');
  return { folder, log, said, state, at, read };
}

test('lines are in the file soon after, in order, and all of them when it is closed', async () => {
  const { folder, log, read } = await start();
  log.write('{"n":1}');
  log.write('{"n":2}');
  await waitFor(async () => (await read('a.jsonl')) === '{"n":1}\n{"n":2}\n');
  expect((await stat(join(folder, 'a.jsonl'))).mode & 0o777).toBe(0o600);
  log.write('{"n":3}');
  await log.close();
  expect(await read('a.jsonl')).toBe('{"n":1}\n{"n":2}\n{"n":3}\n');
});

test('no file is made before there is a line', async () => {
  const { folder, log } = await start();
  log.reopen();
  await log.close();
  await expect(stat(join(folder, 'a.jsonl'))).rejects.toThrow('ENOENT');
});

test('another file in the configuration takes the lines from then on; none ends them', async () => {
  const { log, state, at, read } = await start();
  log.write('1');
  await waitFor(async () => (await read('a.jsonl')) === '1\n');
  state.target = at('b.jsonl');
  log.write('2');
  await waitFor(async () => (await read('b.jsonl')) === '2\n');
  state.target = null;
  log.write('3');
  await log.close();
  expect([await read('a.jsonl'), await read('b.jsonl')]).toEqual(['1\n', '2\n']);
});

test('what does not fit while the file cannot be written is dropped, counted and said; the rest comes later', async () => {
  const { folder, log, said, state, at, read } = await start();
  state.target = at('missing/a.jsonl');
  const line = 'x'.repeat(1024 * 1024 - 1);
  for (let count = 0; count < 10; count += 1) log.write(line);
  await waitFor(() => said.length > 0);
  expect(said[0]?.[1]).toContain('cannot be written');
  await mkdir(join(folder, 'missing'));
  await waitFor(() => said.some(([, message]) => message.includes('were dropped')), { timeoutMs: 10_000 });
  expect((await read('missing/a.jsonl')).split('\n')).toHaveLength(5);
  expect(said.at(-1)?.[0]).toMatchObject({ lines: 6 });
});
