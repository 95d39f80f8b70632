import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { destinations, load, loadGood, messages, post, temporaryFolder, writeConfig } from './config-file.ts';

const CANARY = 'c4n4ry';

function urlOf(config: Config | null): string | undefined {
  const destination = config?.routes[0]?.destination;
  return destination?.type === 'http_post' ? destination.url.reveal() : undefined;
}

test('a secret comes from the environment', async () => {
  const config = await loadGood(destinations(post({ env: 'HOOK_URL' })), { HOOK_URL: `https://h/${CANARY}` });
  expect(urlOf(config)).toBe(`https://h/${CANARY}`);
});

test.each([
  ['\n', 'https://h/x'],
  ['\r\n', 'https://h/x'],
  ['', 'https://h/x'],
])('a secret comes from a file beside the configuration, without the newline %j at its end', async (end, expected) => {
  const file = await writeConfig(destinations(post({ file: 'hook-url' })));
  await writeFile(join(dirname(file), 'hook-url'), `https://h/x${end}`);
  expect(urlOf((await loadConfig(file, { env: {} })).config)).toBe(expected);
});

test.each([
  [{ env: 'NOT_SET' }, 'the environment variable NOT_SET is not set'],
  [{ env: 'EMPTY' }, 'the environment variable EMPTY is empty'],
  [{ file: '/nowhere/token' }, 'the file /nowhere/token cannot be read: there is no such file'],
  [{ file: '/' }, 'the file / cannot be read: it is a directory'],
  [{ file: '/dev/zero' }, 'the file /dev/zero cannot be read: it is not a regular file'],
])('a secret that is not there is a problem where it is asked for: %j', async (source, expected) => {
  const loaded = await load(destinations(post(source)), { EMPTY: '' });
  expect(messages(loaded)).toEqual([`9:16 "url": ${expected}`]);
});

test('a secret file of more than 64 KiB is a problem', async () => {
  const large = join(await temporaryFolder(), 'large');
  await writeFile(large, 'x'.repeat(64 * 1024 + 1));
  expect(messages(await load(destinations(post({ file: large }))))[0]).toContain('it has more than 64 KiB');
});

test('what is loaded shows no secret, however it is printed', async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'url'), `https://h/${CANARY}?${CANARY}`);
  const content = destinations(
    post(`https://${CANARY}:${CANARY}@h/p?token=${CANARY}`),
    post({ env: 'HOOK_URL' }),
    post({ file: join(folder, 'url') }),
  );
  const loaded = await load(content, { HOOK_URL: `https://i/${CANARY}?${CANARY}` });
  expect(loaded.config?.routes).toHaveLength(4);
  for (const printed of [JSON.stringify(loaded), inspect(loaded, { depth: null, showHidden: true })]) {
    expect(printed).not.toContain(CANARY);
  }
});

test.each([
  [post(`ftp://${CANARY}@h/`)],
  [post(`https://${CANARY}:${CANARY}@:x/`)],
  [post(CANARY)],
  [post({ env: 'BAD' })],
  [post({ env: `${CANARY}!` })],
  [post({ x: CANARY })],
  [post([CANARY])],
  [post('http://h/', { headers: { 'X-Key': [CANARY] } })],
  [post('http://h/', { headers: CANARY })],
  [post('http://h/', { auth: { bearer: { env: CANARY, x: CANARY } } })],
  [post('http://h/', { auth: CANARY, signing_secret: { token: CANARY } })],
  [{ matches: { all: true }, destination: `https://${CANARY}@h/` }],
  [{ matches: { all: true }, destination: { type: 'custom_sql', db_dsn: [CANARY], db_password: [CANARY] } }],
  [{ matches: { all: true }, destination: { type: `https://${CANARY}@h/` }, passwrd: CANARY }],
  [{ name: `https://${CANARY}@h/\u0007`, matches: { all: true }, destination: { type: 'leave_in_queue' } }],
])('no problem quotes a secret: %#', async (entry) => {
  const loaded = await load(destinations(entry), { BAD: `${CANARY} is no URL` });
  expect(loaded.problems.length).toBeGreaterThan(0);
  expect(messages(loaded).join('\n')).not.toContain(CANARY);
});

test('no syntax problem quotes the text', async () => {
  const loaded = await load(`{"db_password": ${CANARY}, "x": '${CANARY}', ${CANARY}: "\\q${CANARY}" "${CANARY}\n}`);
  expect(loaded.problems.length).toBeGreaterThan(1);
  expect(messages(loaded).join('\n')).not.toContain(CANARY);
});
