// What a hand at the keyboard gives by mistake: a file that is not there, a folder in its place, bytes that are no lines.
// Each is said in words, with what to do, and never by a stack trace or the name of a system call.

import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type CliResult, runCli } from '../helpers/cli.ts';
import { createTestDatabase } from '../helpers/postgres.ts';

const CONFIG = { logfile: { filename: 'events.jsonl' } };

async function createScene() {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-odd-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'event_processor.json'), JSON.stringify(CONFIG));
  return {
    folder,
    write: (name: string, content: string | Buffer) => writeFile(join(folder, name), content),
    run: (args: readonly string[], env = {}): Promise<CliResult> => runCli(args, { cwd: folder, env }),
  };
}

test('a journal that is not there is said by the folder that was looked for', async () => {
  const { run } = await createScene();
  expect(await run(['journal', 'events.jsonl'])).toMatchObject({
    code: 1,
    stderr:
      'tailrace: cannot read the journal in .events.jsonl.tailrace: there is no such folder; name a log file, its state folder or a segment\n',
  });
  expect(await run(['journal', 'journal-000001'])).toMatchObject({
    code: 1,
    stderr:
      'tailrace: cannot read journal-000001: there is no such file; name a log file, its state folder or a segment\n',
  });
});

test('a demo in a folder that cannot be made is wrong usage', async () => {
  const { run, write, folder } = await createScene();
  await write('file', '');
  for (const place of ['file', '/proc/tailrace-demo']) {
    const path = place === 'file' ? join(folder, place) : place;
    const { code, stderr } = await run(['demo', '--directory', place]);
    expect(code).toBe(2);
    expect(stderr).toMatch(new RegExp(`^tailrace: ${path} cannot be used: .*; name a new folder with --directory\n$`));
    expect(stderr).not.toContain('mkdir');
  }
});

test('what a terminal would obey in a bad line is shown, not done', async () => {
  const { run, write } = await createScene();
  await write('bad.jsonl', '\u001b[2J\u001b]0;mine\u0007\n');
  for (const args of [
    ['explain', 'bad.jsonl'],
    ['replay', '--dry-run', '--config', 'post.json', 'bad.jsonl'],
  ]) {
    await write(
      'post.json',
      JSON.stringify({
        event_destinations: [
          { matches: { all: true }, destination: { type: 'http_post', url: 'http://127.0.0.1:1/' } },
        ],
      }),
    );
    const { code, stderr } = await run(args);
    expect(code).toBe(1);
    expect(stderr).toContain('bad.jsonl:1: it is not JSON');
    expect(stderr).toContain('\\u{1b}');
    expect(stderr).not.toContain('\u001b');
  }
});

test('trace says why it could not look into a file, and does not wait for a pipe', async () => {
  await using database = await createTestDatabase();
  const { run, write, folder } = await createScene();
  const env = { TAILRACE_DATABASE_URL: database.url };
  expect(await run(['init'], env)).toMatchObject({ code: 0 });
  await mkdir(join(folder, 'folder'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  await write('packed.zst', Buffer.from('28b52ffd00', 'hex'));
  const names = ['absent', 'folder', 'pipe', 'packed.zst'];
  const { code, stdout } = await run(['trace', '1', ...names], env);
  expect(code).toBe(1);
  const [absent, dir, pipe, packed] = names.map((name) => join(folder, name));
  expect(stdout).toContain(`${absent} cannot be read: there is no such file\n`);
  expect(stdout).toContain(`${dir} cannot be read: it is a folder; name the files in it\n`);
  expect(stdout).toContain(`${pipe} cannot be read: it is not a regular file\n`);
  expect(stdout).toContain(`${packed} cannot be read: it is compressed with zstd; unpack it first`);
  expect(JSON.parse((await run(['trace', '--json', '1', ...names], env)).stdout)).toMatchObject({
    unreadable: [absent, dir, pipe, packed],
  });
  expect(await run(['init', '--config', 'nowhere/c.json'], env)).toMatchObject({
    code: 1,
    stderr: 'tailrace: cannot write nowhere/c.json: its folder does not exist; name another place with --config\n',
  });
});
