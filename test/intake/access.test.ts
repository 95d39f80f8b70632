import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { createScene } from './scene.ts';

// Many processes, each of which takes its time to start on a busy machine.
vi.setConfig({ testTimeout: 180_000 });

const GOOD = '{"event_type":"scomp"}';
const TOKEN = '0123456789abcdef';
const OTHER = 'fedcba9876543210';
const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

test('an address that other hosts reach is refused without a token, before anything is listened on', async () => {
  const { tailrace } = await createScene();
  for (const address of ['0.0.0.0:0', '[::]:0']) {
    const { code, stderr } = await tailrace(['intake', '--listen', address]);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^tailrace: programs on other hosts can reach this address, so that a bearer token is needed/,
    );
  }
});

test('with a token every request needs it, but /health does not', async () => {
  const { start, database } = await createScene();
  const { send, program } = await start(['--listen', '0.0.0.0:0'], { TAILRACE_INTAKE_TOKEN: TOKEN });
  expect(await send(GOOD)).toMatchObject({
    status: 401,
    headers: { 'www-authenticate': 'Bearer' },
    body: { error: 'unauthorized' },
  });
  expect(await send(GOOD, as(`${TOKEN}x`))).toMatchObject({ status: 401 });
  expect(await send(GOOD, as(''))).toMatchObject({ status: 401 });
  expect(await send(GOOD, { headers: { authorization: `Basic ${TOKEN}` } })).toMatchObject({ status: 401 });
  expect(await send(GOOD, as(TOKEN))).toMatchObject({ status: 202 });
  expect(await send(GOOD, { headers: { authorization: `bearer ${TOKEN}` } })).toMatchObject({ status: 202 });
  expect(await send(null, { method: 'GET', path: '/health' })).toMatchObject({ status: 200 });
  expect(await database.query('SELECT FROM events')).toHaveLength(2);
  expect(program.stderr).not.toContain(TOKEN);
});

test('a token file holds one a line, and is read again on SIGHUP', async () => {
  const { start, folder } = await createScene();
  const file = join(folder, 'tokens');
  await writeFile(file, `${TOKEN}\n\n`);
  const { send, program } = await start(['--token-file', file]);
  expect(await send(GOOD, as(OTHER))).toMatchObject({ status: 401 });
  await writeFile(file, `${TOKEN}\r\n${OTHER}\n`);
  program.signal('SIGHUP');
  await program.waitForStderr('tokens read again');
  expect(await send(GOOD, as(OTHER))).toMatchObject({ status: 202 });
  expect(await send(GOOD, as(TOKEN))).toMatchObject({ status: 202 });
  await writeFile(file, 'short\n');
  program.signal('SIGHUP');
  await program.waitForStderr('the tokens cannot be read again; those of before stay good');
  expect(await send(GOOD, as(OTHER))).toMatchObject({ status: 202 });
  expect(program.stderr).not.toMatch(/0123456789abcdef|short/);
});

test('a token that is none is refused without being repeated', async () => {
  const { tailrace, folder } = await createScene();
  const file = join(folder, 'tokens');
  await writeFile(file, '\n');
  for (const [args, env, expected] of [
    [[], { TAILRACE_INTAKE_TOKEN: 'secret' }, /TAILRACE_INTAKE_TOKEN is no token/],
    [['--token-file', file], {}, /holds no token/],
    [['--token-file', join(folder, 'none')], {}, /cannot be read/],
  ] as const) {
    const { code, stderr } = await tailrace(['intake', ...args], env);
    expect([code, stderr]).toEqual([2, expect.stringMatching(expected)]);
    expect(stderr).not.toContain('secret');
  }
});

test('a Unix socket needs no token, is taken over from a killed process, and from no other', async () => {
  const { start, tailrace, folder } = await createScene();
  const path = join(folder, 'intake.sock');
  const { send, program } = await start(['--listen', `unix:${path}`]);
  expect(await send(GOOD)).toMatchObject({ status: 202 });
  const second = await tailrace(['intake', '--listen', path]);
  expect([second.code, second.stderr]).toEqual([69, expect.stringContaining(`cannot listen on unix:${path}`)]);
  program.signal('SIGKILL');
  await program.exit;
  expect((await stat(path)).isSocket()).toBe(true);
  const next = await start(['--listen', path]);
  expect(await next.send(GOOD)).toMatchObject({ status: 202 });
  await writeFile(join(folder, 'file'), '');
  expect((await tailrace(['intake', '--listen', join(folder, 'file')])).code).toBe(69);
  const nowhere = await tailrace(['intake', '--listen', join(folder, 'none/intake.sock')]);
  expect([nowhere.code, nowhere.stderr]).toEqual([69, expect.stringContaining(`${join(folder, 'none')} is not there`)]);
});

test('an address that is none, and a limit that is none, are wrong usage', async () => {
  const { tailrace } = await createScene();
  for (const args of [
    ['--listen', '8025'],
    ['--listen', '127.0.0.1:99999'],
    ['--listen', 'unix:'],
    ['--listen', `/tmp/${'x'.repeat(120)}`],
    ['--max-events', '0'],
    ['--max-body-bytes', '1e12'],
    ['--max-requests', 'many'],
  ]) {
    expect([args, (await tailrace(['intake', ...args])).code]).toEqual([args, 2]);
  }
});

test('a web page cannot send events to an intake without a token', async () => {
  const { start } = await createScene();
  const intake = await start();
  const page = { headers: { origin: 'https://example.com' } };
  expect(await intake.send(GOOD, page)).toMatchObject({ status: 403, body: { error: 'browser' } });
  const guarded = await start([], { TAILRACE_INTAKE_TOKEN: TOKEN });
  const headers = { ...page.headers, ...as(TOKEN).headers };
  expect(await guarded.send(GOOD, { headers })).toMatchObject({ status: 202 });
});

test('--help shows each option and examples', async () => {
  const { tailrace } = await createScene();
  const { code, stdout } = await tailrace(['intake', '--help']);
  expect(code).toBe(0);
  for (const said of ['--listen', '--token-file', '--max-body-bytes', 'curl -d']) expect(stdout).toContain(said);
});
