import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runCli, spawnCli, TAILRACE } from '../helpers/cli.ts';
import { createTestDatabase } from '../helpers/postgres.ts';
import { findTool, requireTool } from '../helpers/require-tool.ts';
import { insertSteadily } from '../helpers/steady-inserts.ts';
import { waitFor } from '../helpers/wait-for.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ROTATIONS = 20;
/** Of a text that is no ASCII, and longer than rsyslog's own bound many times over. */
const LONG_TEXT = `${'Grüße 📫 '.repeat(50_000)}end`;

let directory = '';
let log = '';
let copy = '';
let children: ChildProcess[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  for (const name of ['log', 'work', 'copy', 'bin']) await mkdir(join(directory, name));
  log = join(directory, 'log/events.jsonl');
  copy = join(directory, 'copy/events.jsonl');
  const script = `#!/bin/sh\nexec '${process.execPath}' '${TAILRACE}' "$@"\n`;
  await writeFile(join(directory, 'bin/tailrace'), script, { mode: 0o755 });
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children = [];
  await rm(directory, { recursive: true, force: true });
});

/** A shipped file with the test's own paths in it. */
async function sample(path: string, name: string): Promise<string> {
  const text = await readFile(join(ROOT, path), 'utf8');
  expect(text).toContain('/var/log/tailrace/events.jsonl');
  const file = join(directory, name);
  // All rotated files are kept, to be compared with what was shipped.
  const paths = {
    'rotate 14': `rotate ${ROTATIONS}`,
    '/var/log/tailrace/events.jsonl': log,
    '/var/spool/tailrace-copy/events.jsonl': copy,
  };
  await writeFile(
    file,
    Object.entries(paths).reduce((changed, [from, to]) => changed.replaceAll(from, to), text),
  );
  return file;
}

function execute(tool: string, args: readonly string[]): ChildProcess & { said: string } {
  const env = { PATH: `${join(directory, 'bin')}:/usr/sbin:/usr/bin:/sbin:/bin` };
  const child = Object.assign(spawn(findTool(tool) ?? tool, args, { env, stdio: ['ignore', 'pipe', 'pipe'] }), {
    said: '',
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      child.said += text;
    });
  }
  children.push(child);
  return child;
}

async function startRsyslog(): Promise<ChildProcess & { said: string }> {
  const snippet = await sample('docs/deploy/rsyslog.conf', 'tailrace.conf');
  const main = join(directory, 'rsyslog.conf');
  await writeFile(main, `$WorkDirectory ${join(directory, 'work')}\ninclude(file="${snippet}")\n`);
  const checked = execute('rsyslogd', ['-N1', '-f', main]);
  expect({ code: (await once(checked, 'exit'))[0], said: checked.said }).toMatchObject({ code: 0 });
  expect(checked.said).not.toMatch(/error|warning/i);
  return execute('rsyslogd', ['-n', '-f', main, '-i', join(directory, 'rsyslog.pid')]);
}

async function endRsyslog(daemon: ChildProcess & { said: string }): Promise<void> {
  const ended = once(daemon, 'exit');
  daemon.kill('SIGTERM');
  await ended;
}

async function rotate(file: string): Promise<void> {
  const rotated = execute('logrotate', ['--force', '--state', join(directory, 'state'), file]);
  const [code] = await once(rotated, 'exit');
  expect({ code, said: rotated.said }).toEqual({ code: 0, said: '' });
}

const linesOf = (text: string): string[] => text.split('\n').slice(0, -1);

/** What tailrace has written, in all files. */
async function writtenLines(): Promise<string[]> {
  const names = (await readdir(join(directory, 'log'))).filter((name) => !name.startsWith('.'));
  const texts = names.map(async (name) => {
    const bytes = await readFile(join(directory, 'log', name));
    return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  });
  return (await Promise.all(texts)).flatMap(linesOf);
}

const shippedLines = async (): Promise<string[]> => linesOf(await readFile(copy, 'utf8'));

/** Whether the line of an event is among the last that were shipped. */
async function isShipped(id: string): Promise<boolean> {
  const file = await open(copy);
  try {
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4_000_000), 0, 4_000_000, Math.max(0, size - 4_000_000));
    return buffer.subarray(0, bytesRead).includes(`"event_id":${id},`);
  } finally {
    await file.close();
  }
}

describe.skipIf(!requireTool('rsyslogd') || !requireTool('logrotate'))(
  'the shipped rsyslog and logrotate files',
  () => {
    test(`ship every line once, as it stands in the file, over ${ROTATIONS} rotations and a restart of rsyslog`, {
      timeout: 900_000,
    }, async () => {
      await using database = await createTestDatabase();
      const config = join(directory, 'event_processor.json');
      await writeFile(config, JSON.stringify({ logfile: { filename: log } }));
      const options = ['--config', config, '--database', database.url];
      expect(await runCli(['init', ...options])).toMatchObject({ code: 0 });
      const logrotate = await sample('logrotate.d/tailrace', 'logrotate.conf');
      await database.query(`INSERT INTO events (event_type, bounce_text) VALUES ('bounce_all', $1)`, [LONG_TEXT]);
      expect(await runCli(['record', '--all', ...options, join(ROOT, 'fixtures/events.jsonl')])).toMatchObject({
        code: 0,
      });

      await using running = spawnCli(['run', ...options]);
      let rsyslog = await startRsyslog();
      {
        await using producer = insertSteadily(database, { email: 'a%msg%\\n"@example.com', pauseMs: 20 });
        const caughtUp = async (): Promise<void> => {
          const next = producer.ids.length;
          const what = `rsyslog to ship event ${next} of those produced; it said: ${rsyslog.said}`;
          await waitFor(() => producer.ids[next] !== undefined && isShipped(producer.ids[next]), {
            what,
            timeoutMs: 60_000,
          });
        };
        for (let rotation = 1; rotation <= ROTATIONS; rotation += 1) {
          // It looks once a second: a file that came and went in between would never be seen.
          await caughtUp();
          await rotate(logrotate);
          if (rotation !== ROTATIONS / 2) continue;
          await caughtUp();
          await endRsyslog(rsyslog);
          rsyslog = await startRsyslog();
        }
      }
      const count = async (): Promise<number> =>
        Number((await database.query<{ count: string }>('SELECT count(*) FROM events'))[0]?.count);
      await waitFor(async () => (await count()) === 0, { what: 'an empty queue', timeoutMs: 60_000 });
      running.signal('SIGTERM');
      expect(await running.exit).toBe(0);

      const written = (await writtenLines()).sort();
      await waitFor(async () => (await shippedLines()).length >= written.length, {
        what: `${written.length} lines at the other end`,
        timeoutMs: 60_000,
      });
      await endRsyslog(rsyslog);
      const shipped = (await shippedLines()).sort();
      expect(shipped.length).toBe(written.length);
      expect(shipped.findIndex((line, at) => line !== written[at])).toBe(-1);
      expect(new Set(written.map((line) => JSON.parse(line).event_id)).size).toBe(written.length);
      expect((await readdir(join(directory, 'log'))).filter((name) => /^events\.jsonl\./.test(name))).toHaveLength(
        ROTATIONS,
      );
      expect((await stat(log)).size).toBeGreaterThan(0);
    });
  },
);
