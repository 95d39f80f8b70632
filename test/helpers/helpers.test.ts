import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { isOnlyLate } from '../crash/oracle.ts';
import { startProgram } from '../crash/program.ts';
import { runCli, spawnCli } from './cli.ts';
import { createTestDatabase } from './postgres.ts';
import { requireTool } from './require-tool.ts';
import { SECOND_TRY } from './second-try.ts';
import { waitFor } from './wait-for.ts';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

describe('waitFor', () => {
  test('returns the first truthy value, asking again after an exception', async () => {
    let asked = 0;
    const value = await waitFor(() => {
      asked += 1;
      if (asked === 1) throw new Error('not yet');
      return asked === 3 && 'there';
    });
    expect(value).toBe('there');
  });

  test('names what it waited for, with the last exception as the cause', async () => {
    const cause = new Error('no such file');
    const waiting = waitFor(() => Promise.reject(cause), { timeoutMs: 50, what: 'the file' });
    await expect(waiting).rejects.toMatchObject({ message: 'waited 50 ms in vain for the file', cause });
  });
});

describe('requireTool', () => {
  test('finds what is on the PATH', () => {
    expect(requireTool('sh')).toBe(true);
  });

  test('says aloud what is skipped for want of a tool', () => {
    vi.stubEnv('TAILRACE_REQUIRE_TOOLS', '');
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    expect(requireTool('no-such-tool')).toBe(false);
    expect(write).toHaveBeenCalledWith(expect.stringContaining('SKIPPED for want of no-such-tool'));
  });

  test('fails where all tests must run', () => {
    vi.stubEnv('TAILRACE_REQUIRE_TOOLS', '1');
    expect(() => requireTool('no-such-tool')).toThrow('no-such-tool is not installed');
  });
});

test('a wait that ran out of time gets a second try, whoever waited; what was found wrong does not', async () => {
  const { condition } = SECOND_TRY;
  await expect(waitFor(() => false, { timeoutMs: 1 })).rejects.toThrow(condition);
  await using running = spawnCli(['intake', '--database', 'postgresql://127.0.0.1:1/none', '--listen', '127.0.0.1:0']);
  await expect(running.waitForStderr('what is never said', 1)).rejects.toThrow(condition);
  await using program = startProgram({
    args: ['intake', '--database', 'postgresql://127.0.0.1:1/none', '--listen', '127.0.0.1:0'],
  });
  await expect(program.says(/what is never said/, 1)).rejects.toThrow(condition);
  await expect(readFile('/none')).rejects.toThrow(condition);
  expect('expected [ 1 ] to deeply equal []').not.toMatch(condition);
  expect('Error: event 7 has two lines').not.toMatch(condition);
});

test('of what a judge finds, only what may still come is left to a second try', () => {
  expect(
    isOnlyLate(['3 × lost from the log (1 | 2 | 3)', '1 × not received (4)', '2 × delivered event in (1: )']),
  ).toBe(true);
  const final = [
    'repeated (4, 2 times)',
    'received though it must not be (4)',
    'torn line (x)',
    'gone from the queue and lost from the log (4)',
    'gone from the queue and not received (4)',
    'gone from the queue and not left (4: nothing)',
  ];
  for (const fault of final) {
    expect(isOnlyLate(['3 × lost from the log (1)', `1 × ${fault}`])).toBe(false);
  }
});

test('the program under test sees the database that the test names, not that of whoever runs the tests', async () => {
  vi.stubEnv('TAILRACE_DATABASE_URL', 'postgresql:///tailrace?host=/theirs');
  const options = { env: { TAILRACE_DATABASE_URL: 'postgresql:///tailrace?host=/ours' } };
  expect(await runCli(['status'], options)).toMatchObject({ code: 69, stderr: expect.stringContaining('/ours') });
  expect((await runCli(['status'])).stderr).not.toContain('/theirs');
});

describe('a program that goes on', () => {
  const unreachable = { TAILRACE_DATABASE_URL: 'postgresql:///tailrace?host=/nowhere' };

  test('is killed when the test is over', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
    const config = join(folder, 'event_processor.json');
    await writeFile(config, JSON.stringify({ logfile: { filename: join(folder, 'events.jsonl') } }));
    let exit: Promise<number>;
    {
      await using running = spawnCli(['run', '--config', config], { env: unreachable });
      exit = running.exit;
      await running.waitForStderr('nowhere');
    }
    expect(await exit).toBe(128 + 9);
    await rm(folder, { recursive: true });
  });

  test('is not waited for when it has ended before it said what was expected', async () => {
    await using running = spawnCli(['status'], { env: unreachable });
    await expect(running.waitForStderr('never said')).rejects.toThrow('the program ended with 69 before never said');
  });
});

test('a database can be made in another encoding', async () => {
  await using database = await createTestDatabase({ encoding: 'SQL_ASCII' });
  expect(await database.query('SHOW server_encoding')).toEqual([{ server_encoding: 'SQL_ASCII' }]);
});

describe('the last line of a run', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));

  /** Runs vitest in a folder of its own with the reporter alone and returns the last line of its output. */
  async function lastLineOf(files: Record<string, string>): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
    try {
      for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
      const vitest = join(root, 'node_modules/vitest/vitest.mjs');
      const reporter = join(root, 'test/helpers/count-reporter.ts');
      const args = [vitest, 'run', '--root', folder, '--globals', '--reporter', reporter];
      const output = await promisify(execFile)(process.execPath, args, { cwd: root }).catch((error) => error);
      return output.stdout.trimEnd().split('\n').at(-1);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  test('counts tests, and a file that does not load as a failed one', async () => {
    const files = {
      'tests.test.js':
        'test("a", () => {}); test("b", () => {}); test("c", () => { throw new Error("c"); }); test.skip("d", () => {});',
      'broken.test.js': 'throw new Error("at import");',
    };
    expect(await lastLineOf(files)).toBe('2 passed, 2 failed, 1 skipped');
  });

  test('does not mention skipped tests when there are none', async () => {
    expect(await lastLineOf({ 'one.test.js': 'test("a", () => {});' })).toBe('1 passed, 0 failed');
  });
});
