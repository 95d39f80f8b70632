// docs/explain-and-plan.md: its examples do what the page shows, and its rights are enough.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCli, TAILRACE } from './helpers/cli.ts';
import { createTestDatabase, type TestDatabase } from './helpers/postgres.ts';
import { requireTool } from './helpers/require-tool.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PAGE = await readFile(join(ROOT, 'docs/explain-and-plan.md'), 'utf8');
const OPERATIONS = await readFile(join(ROOT, 'docs/operations.md'), 'utf8');
const TIMEOUT = { timeout: 120_000 };

/** Each console block: the command and what it prints. */
const EXAMPLES = [...PAGE.matchAll(/^```console\n\$ (.*)\n([\s\S]*?)```/gm)].map(([, line = '', shown = '']) => ({
  line,
  shown,
}));

let folder = '';
let database: TestDatabase;

const tailrace = (args: readonly string[], url = database.url) =>
  runCli(args, { cwd: folder, env: { TAILRACE_DATABASE_URL: url } });

/** Ages go on; how wide their column is depends on them. */
const timeless = (text: string): string =>
  text
    .replace(/\d+d( \d+h)?/g, 'AGE')
    .replace(/ +/g, ' ')
    .replace(/tailrace\/[\d.]+/g, 'tailrace/N');

/** As the page has it: the fixture, and its configuration not in force yet. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  database = await createTestDatabase();
  await writeFile(join(folder, 'new.json'), /```json\n([\s\S]*?)```/.exec(PAGE)?.[1] ?? '');
  await writeFile(join(folder, 'tailrace'), `#!/bin/sh\nexec '${process.execPath}' '${TAILRACE}' "$@"\n`, {
    mode: 0o755,
  });
  for (const args of [['init'], ['record', '--all', join(ROOT, 'fixtures/events.jsonl')], ['run', '--once']]) {
    expect(await tailrace(args)).toMatchObject({ code: 0, stderr: '' });
  }
}, 120_000);
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test('the configuration of the page is good', TIMEOUT, async () => {
  expect(await tailrace(['check', 'new.json'])).toMatchObject({ code: 0, stderr: '' });
});

test.each(EXAMPLES)('prints what the page shows: $line', TIMEOUT, async ({ line, shown }) => {
  if (/\bjq\b/.test(line) && !requireTool('jq')) return;
  const path = `${folder}${delimiter}${process.env.PATH}`;
  const env = { ...process.env, PATH: path, TAILRACE_DATABASE_URL: database.url };
  const { stdout, stderr } = await promisify(execFile)('bash', ['-o', 'pipefail', '-c', line], { cwd: folder, env });
  expect(stderr).toBe('');
  expect(timeless(stdout)).toBe(timeless(shown));
  expect(stdout).not.toMatch(/t0psecret|an-api-token|hunter2/);
});

test('the page has its examples', () => {
  expect(EXAMPLES.map(({ line }) => line.match(/tailrace (\w+)/)?.[1]).sort()).toEqual([
    'explain',
    'explain',
    'explain',
    'plan',
    'plan',
  ]);
});

test.each(['explain', 'plan'])(
  'tailrace %s --help has examples, and every option of it is on a page',
  TIMEOUT,
  async (command) => {
    const { stdout } = await runCli([command, '--help']);
    expect(stdout.split('Examples:')[1]?.match(/tailrace /g)?.length).toBeGreaterThanOrEqual(4);
    const options = [...stdout.replace(/^Examples:.*/ms, '').matchAll(/ (--[a-z-]+)/g)].map(
      ([, option = '']) => option,
    );
    expect(options.length).toBeGreaterThan(4);
    expect(options.filter((option) => !`${PAGE}${OPERATIONS}`.includes(option))).toEqual([]);
  },
);

test('the rights of status are enough, and those that the page names besides', TIMEOUT, async () => {
  const own = await createTestDatabase();
  const role = `${own.name}_status`;
  const url = own.url.replace('postgres@', `${role}@`);
  try {
    expect((await tailrace(['init'], own.url)).code).toBe(0);
    const block = [...OPERATIONS.matchAll(/```sql\n([\s\S]*?)```/g)]
      .map(([, text = '']) => text)
      .find((text) => text.includes('CREATE ROLE tailrace_status'));
    await own.query((block ?? '').replaceAll('tailrace_status', role));
    await own.query(`INSERT INTO events (event_type) VALUES ('scomp')`);
    const entries = (matches: object) => [
      { matches, destination: { type: 'drop_from_queue' } },
      { matches: { all: true }, destination: { type: 'leave_in_queue' } },
    ];
    await writeFile(
      join(folder, 'types.json'),
      JSON.stringify({ event_destinations: entries({ event_type: 'scomp' }) }),
    );
    await writeFile(join(folder, 'classes.json'), JSON.stringify({ event_destinations: entries({ mail_class: 'x' }) }));
    expect(await tailrace(['plan', '--config', 'types.json'], url)).toMatchObject({ code: 0, stderr: '' });

    const refused = [
      await tailrace(['plan', '--config', 'classes.json'], url),
      await tailrace(['explain', '--config', 'classes.json', '--id', '1'], url),
    ];
    for (const { code, stderr } of refused)
      expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('42501') });
    await own.query(`GRANT SELECT (mailclass) ON events TO ${role}`);
    expect(await tailrace(['plan', '--config', 'classes.json'], url)).toMatchObject({ code: 0, stderr: '' });
    await own.query(`GRANT SELECT ON events TO ${role}`);
    expect(await tailrace(['explain', '--config', 'classes.json', '--id', '1'], url)).toMatchObject({
      code: 0,
      stderr: '',
    });
  } finally {
    await own[Symbol.asyncDispose]();
    await database.query(`DROP ROLE IF EXISTS ${role}`);
  }
});
