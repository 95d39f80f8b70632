// The world in which examples are run as they stand: a folder in the place of /, whose etc, var, run, archive and tmp are
// what the examples name; a real PostgreSQL; a destination that refuses, so that something has failed; the built program.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { TAILRACE } from '../helpers/cli.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { createTestDatabase } from '../helpers/postgres.ts';
import { waitFor } from '../helpers/wait-for.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Where a path of the world begins in a command line. */
const PATHS = /(?<![\w.~$}*/-])\/(?=(?:var|etc|run|archive|tmp)\/)/g;
/** With the parameters that are to be kept. */
const DATABASES = /postgres(?:ql)?:\/\/[^\s'"?]*(?:\?([^\s'"]*))?/g;
const FOLDERS = [
  ...['etc/tailrace', 'etc/bash_completion.d', 'etc/systemd/system', 'run/tailrace', 'archive', 'tmp', 'bin', '.zfunc'],
  ...['var/log/app', 'var/log/replay'],
];
const PATIENCE_MS = 90_000;

export interface Ended {
  /** null: it was stopped, as it had to be. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface World extends AsyncDisposable {
  /** Stands in the place of /. */
  readonly root: string;
  readonly url: string;
  /** The text with the world's paths turned back into those of the examples. */
  unmapped(text: string): string;
  /** Runs a command line in bash, its paths and database URLs replaced by the world's. */
  bash(line: string, options?: BashOptions): Promise<Ended>;
}

export interface BashOptions {
  /** It goes on until it has said this on either stream, and is stopped with SIGTERM then. */
  readonly until?: RegExp | undefined;
  /** Where it is run, below the root; default var/log/tailrace. */
  readonly folder?: string | undefined;
  /** Runs meanwhile; the address on which it says to listen takes the place of 127.0.0.1 and port in the line. */
  readonly beside?: string | undefined;
}

/** @param options.bare only programs, folders and an empty database. */
export async function createExampleWorld(options: { readonly bare?: boolean } = {}): Promise<World> {
  const root = await mkdtemp(join(tmpdir(), 'tailrace-examples-'));
  const database = await createTestDatabase();
  const receiver = await createHttpReceiver({ status: 503 });
  const accepting = await createHttpReceiver();
  const home = join(root, 'var/log/tailrace');
  for (const folder of FOLDERS) await mkdir(join(root, folder), { recursive: true });
  await mkdir(home, { recursive: true });
  const program = (name: string, text: string) =>
    writeFile(join(root, 'bin', name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  await program('tailrace', `exec '${process.execPath}' '${TAILRACE}' "$@"`);
  await program('producer', `echo '{"event_type": "scomp", "email": "ann@example.org"}'`);

  const mapped = (line: string): string =>
    line
      .replace(PATHS, `${root}/`)
      .replace(DATABASES, (_, kept?: string) =>
        kept?.startsWith('options=') ? `${database.url}&${kept}` : database.url,
      );
  const environment = {
    PATH: `${join(root, 'bin')}${delimiter}${process.env.PATH}`,
    HOME: root,
    SHELL: '/bin/bash',
    TAILRACE_DATABASE_URL: database.url,
    SUPPRESSION_URL: receiver.url(),
    MANPAGER: 'cat',
  };
  /** Starts a line in a process group of its own. */
  const start = (line: string, cwd: string) => {
    const child = spawn('bash', ['-o', 'pipefail', '-c', mapped(line)], { cwd, detached: true, env: environment });
    const said = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        said[stream] += text;
      });
    }
    child.stdin.on('error', () => undefined).end();
    let isOver = false;
    const closed = once(child, 'close').then(([code]) => {
      isOver = true;
      return code as number | null;
    });
    const stop = async (signal: NodeJS.Signals): Promise<void> => {
      if (!isOver && child.pid) process.kill(-child.pid, signal);
      await closed;
    };
    const says = async (pattern: RegExp): Promise<boolean> => {
      await waitFor(() => isOver || pattern.test(said.stdout) || pattern.test(said.stderr), { timeoutMs: PATIENCE_MS });
      return !isOver;
    };
    return { said, closed, stop, says };
  };

  const world: World = {
    root,
    url: database.url,
    unmapped: (text) => text.replaceAll(root, ''),
    async bash(line, { until, folder, beside } = {}) {
      const other = beside ? start(beside, home) : null;
      try {
        let text = line;
        if (other) {
          await other.says(/"address":"[^"]*:\d+"/);
          text = line.replace(
            /127\.0\.0\.1:\d+/,
            `127.0.0.1:${/"address":"[^"]*:(\d+)"/.exec(other.said.stderr)?.[1]}`,
          );
        }
        const one = start(text, folder === undefined ? home : join(root, folder));
        const patience = setTimeout(() => void one.stop('SIGKILL'), PATIENCE_MS);
        try {
          if (until === undefined || !(await one.says(until))) return { code: await one.closed, ...one.said };
          await one.stop('SIGTERM');
          return { code: null, ...one.said };
        } finally {
          clearTimeout(patience);
        }
      } finally {
        await other?.stop('SIGTERM');
      }
    },
    async [Symbol.asyncDispose]() {
      await receiver.close();
      await accepting.close();
      await database[Symbol.asyncDispose]();
      await rm(root, { recursive: true, force: true });
    },
  };
  if (!options.bare) {
    await furnish(world, home, receiver.url());
    await furnishReplay(join(root, 'var/log/replay'), accepting.url());
  }
  return world;
}

/** A configuration, a queue in which something failed, is left and is to come, a log file with its journal, and files. */
async function furnish(world: World, home: string, url: string): Promise<void> {
  const lane = { type: 'http_post', url, retry: { initial_ms: 300_000, max_ms: 300_000 } };
  const config = (log: string) => ({
    configuration_mode: 'json',
    use_json_for_http_post: true,
    logfile: { filename: join(home, log) },
    event_destinations: [
      { name: 'suppression list', matches: { event_type: 'scomp' }, destination: lane },
      { name: 'statistics', matches: { event_type: 'engine_open' }, destination: lane },
      { matches: { event_type: 'studio_open' }, destination: { type: 'leave_in_queue' } },
      { matches: { all: true }, destination: { type: 'drop_from_queue' } },
    ],
  });
  const put = (path: string, value: unknown) => writeFile(join(world.root, path), JSON.stringify(value));
  await put('var/log/tailrace/event_processor.json', config('events.jsonl'));
  await put('var/log/tailrace/new.json', config('events.jsonl'));
  await put('etc/tailrace/event_processor.json', config('events.jsonl'));
  await put('var/log/tailrace/a.json', config('a.jsonl'));
  for (let shard = 0; shard < 4; shard += 1)
    await put(`etc/tailrace/shard-${shard}.json`, config(`shard-${shard}.jsonl`));
  await writeFile(join(world.root, 'etc/tailrace/tokens'), 'a-token-of-more-than-16-characters\n', { mode: 0o600 });
  for (const input of ['monday.json', 'friday.jsonl', 'wednesday.jsonl', 'tuesday.json', 'monday.jsonl'])
    await writeFile(join(home, input), '{"event_type": "delivery_attempt"}\n');
  await copyFile(join(home, 'monday.jsonl'), join(world.root, 'var/log/app/events.jsonl'));
  await symlink(join(ROOT, 'docs'), join(home, 'docs'));
  await symlink(join(world.root, 'archive'), join(home, 'archive'));
  const rejection = { source: 'events.jsonl', line: 1, error: 'event_type: missing', input: '{}' };
  await writeFile(join(world.root, 'var/log/app/events.jsonl.rejected.jsonl'), `${JSON.stringify(rejection)}\n`);

  const events = `{"event_type": "scomp", "event_unique_id": "d1f0c2"}
{"event_type": "engine_open"}
{"event_type": "bounce_bad_address", "email": "bo@example.org", "bounce_text": "mailbox is full"}
{"event_type": "delivery_attempt", "headers": {"Subject": "News"}}
{"event_type": "studio_open"}
`;
  for (const line of [
    'tailrace init',
    'tailrace recording enable --all',
    `psql -qX "$TAILRACE_DATABASE_URL" -c "SELECT setval('events_seq', 4710)" >/dev/null`,
    `echo '${events}' | tailrace record --all`,
    'tailrace run --once',
    'cp events.jsonl /archive/events.jsonl-20261121 && gzip -k /archive/events.jsonl-20261121',
    'gzip -k monday.jsonl && cp monday.jsonl.gz /var/log/app/events.jsonl.gz',
    `echo '${events}' | tailrace record --all`,
  ]) {
    const { code, stderr } = await world.bash(line);
    if (code !== 0) throw new Error(`cannot furnish the world: ${line}\n${stderr}`);
  }
}

/** Log files of some length, and a configuration whose destinations take what is sent again. */
async function furnishReplay(folder: string, url: string): Promise<void> {
  const entries = [
    { name: 'crm', matches: { event_type: 'scomp' }, continue: true, destination: { type: 'http_post', url } },
    { name: 'statistics', matches: { all: true }, destination: { type: 'http_post', url } },
  ];
  await writeFile(
    join(folder, 'event_processor.json'),
    JSON.stringify({ use_json_for_http_post: true, event_destinations: entries }),
  );
  const line = (id: number) =>
    `{"time_written_to_logfile":1795302762.${String(id).padStart(6, '0')},"event_id":${id},"event_time":1795302760,"event_type":"scomp","listid":"weekly"}\n`;
  const lines = Array.from({ length: 80 }, (_, at) => line(at + 1));
  await writeFile(join(folder, 'events.jsonl.1.gz'), gzipSync(lines.slice(0, 40).join('')));
  await writeFile(join(folder, 'events.jsonl'), lines.slice(40).join(''));
}
