// How the shards of one queue scale: starts a PostgreSQL of its own, fills the queue with the fixture's mix, and lets 1, 2
// and 4 processes empty it (log file, journal, DELETE; no destination), three times in turn. Prints the medians.
//
//   npm run build && node test/bench/shards.mjs [rows] [shards …]        200000 1 2 4; ROUNDS=1: once instead of three times

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../dist/demo/embedded-postgres.js';

const ROUNDS = Number(process.env.ROUNDS ?? 3);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const [rows = 200_000, ...wanted] = process.argv.slice(2).map(Number);
const sizes = wanted.length > 0 ? wanted : [1, 2, 4];

const folder = await mkdtemp(join(tmpdir(), 'tailrace-bench-'));
const server = await startEmbeddedPostgres({
  directory: tmpdir(),
  settings: { shared_buffers: '512MB', max_wal_size: '4GB', checkpoint_timeout: '30min' },
});
const client = new pg.Client({ connectionString: server.url('postgres') });
try {
  await client.connect();
  const version = (await client.query('SHOW server_version')).rows[0].server_version;
  const config = await configure('base');
  await tailrace(['init', '--config', config]);
  await tailrace(['record', '--all', join(ROOT, 'fixtures/events.jsonl')]);
  await client.query('CREATE TABLE template AS SELECT * FROM events; TRUNCATE events');
  process.stdout.write(
    `${rows} events, PostgreSQL ${version}, Node ${process.version}, ${availableParallelism()} cores\n`,
  );

  const runs = new Map(sizes.map((of) => [of, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const of of sizes) {
      await fill();
      const before = await cpuOfServer();
      const walBefore = await walPosition();
      const began = performance.now();
      const results = await Promise.all(Array.from({ length: of }, (_, index) => drain(index, of)));
      const seconds = (performance.now() - began) / 1_000;
      const logged = results.reduce((sum, result) => sum + result.logged, 0);
      if (logged !== rows) throw new Error(`${logged} lines instead of ${rows}`);
      const cpu = results.reduce((sum, result) => sum + result.cpuSeconds, 0);
      runs.get(of).push({
        perSecond: rows / seconds,
        cpu,
        serverCpu: (await cpuOfServer()) - before,
        wal: (await walPosition()) - walBefore,
      });
    }
  }
  process.stdout.write('shards   events/s   ratio   CPU s tailrace   CPU s PostgreSQL   WAL B/event\n');
  const first = median(runs.get(sizes[0]).map(({ perSecond }) => perSecond));
  for (const [of, all] of runs) {
    const [perSecond, cpu, serverCpu, wal] = ['perSecond', 'cpu', 'serverCpu', 'wal'].map((key) =>
      median(all.map((run) => run[key])),
    );
    process.stdout.write(
      `${String(of).padStart(6)} ${Math.round(perSecond).toLocaleString('en-US').padStart(10)} ${(perSecond / first).toFixed(2).padStart(7)} ${cpu.toFixed(1).padStart(16)} ${serverCpu.toFixed(1).padStart(18)} ${Math.round(
        wal / rows,
      )
        .toString()
        .padStart(13)}\n`,
    );
  }
} finally {
  await client.end();
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
}

/** Writes the configuration of one shard. @returns its path. */
async function configure(name) {
  const file = join(folder, `${name}.json`);
  const drop = { matches: { all: true }, destination: { type: 'drop_from_queue' } };
  await writeFile(
    file,
    JSON.stringify({ logfile: { filename: join(folder, `${name}.jsonl`) }, event_destinations: [drop] }),
  );
  return file;
}

async function fill() {
  await client.query('TRUNCATE events');
  const { rows: columns } = await client.query(
    `SELECT quote_ident(attname) AS name FROM pg_attribute WHERE attrelid = 'template'::regclass AND attnum > 0 AND attname <> 'id'`,
  );
  const list = columns.map(({ name }) => name).join(', ');
  await client.query(
    `INSERT INTO events (${list}) SELECT ${list} FROM generate_series(1, $1::int / (SELECT count(*) FROM template) + 1), template LIMIT $1`,
    [rows],
  );
  await client.query('VACUUM ANALYZE events');
  await client.query('CHECKPOINT');
}

/** `run --once` of one shard. */
async function drain(index, of) {
  const config = await configure(`shard-${index}-of-${of}`);
  const { stdout, cpuSeconds } = await tailrace([
    'run',
    '--once',
    '--config',
    config,
    ...(of > 1 ? ['--shard', `${index}/${of}`] : []),
  ]);
  return { ...JSON.parse(stdout), cpuSeconds };
}

/** Runs the built program to its end; `times` of the shell that ran it says what it cost. */
async function tailrace(args) {
  const child = spawn(
    'sh',
    ['-c', '"$@" && times >&2', 'sh', process.execPath, join(ROOT, 'bin/tailrace.js'), ...args],
    {
      env: { PATH: process.env.PATH, TAILRACE_DATABASE_URL: server.url('postgres') },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].on('data', (text) => (said[name] += text));
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`tailrace ${args[0]} ended with ${code}:\n${said.stderr}`);
  const times = [...said.stderr.matchAll(/(\d+)m([\d.]+)s/g)].map(
    ([, minutes, seconds]) => minutes * 60 + Number(seconds),
  );
  return { stdout: said.stdout, cpuSeconds: (times[2] ?? 0) + (times[3] ?? 0) };
}

/** CPU seconds of the server's processes that have ended: the sessions of the run. */
async function cpuOfServer() {
  await sleep(500);
  const stat = await readFile(`/proc/${server.pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // cutime and cstime, in ticks of 10 ms.
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

async function walPosition() {
  return Number((await client.query(`SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS at`)).rows[0].at);
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
