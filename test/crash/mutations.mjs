// The test of the tests: seeds one fault at a time into a copy of the built program and runs the part of the crash suite
// that has to notice. Each must turn it red, and the sound copy must leave it green.
//
//   node test/crash/mutations.mjs [part of a name]

import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Where the built program is taken from. */
const BUILD = process.env.TAILRACE_BUILD ?? ROOT;
const ORDER = ['order.test.ts', 'one event'];
const LATE = ['late-commits.test.ts', 'committed late'];

/** `from` stands exactly once in the file; `test` is a file of this folder and a part of the names of its tests. */
const MUTATIONS = [
  {
    name: 'no fsync of the log',
    file: 'log-file/appender.js',
    from: `await handle.sync();
            this.#options`,
    to: 'this.#options',
    test: ORDER,
  },
  {
    name: 'no fsync of the journal',
    file: 'log-file/journal/segment.js',
    from: `if (durably)
            await this.#file.datasync();`,
    to: '',
    test: ORDER,
  },
  {
    name: 'DELETE before fsync',
    file: 'log-file/appender.js',
    from: `await handle.sync();
            this.#options`,
    to: `setTimeout(() => handle.sync().catch(() => {}), 300);
            this.#options`,
    test: ORDER,
  },
  {
    name: 'no fsync of the directory',
    file: 'log-file/directory.js',
    from: 'await handle.sync();',
    to: '',
    test: ORDER,
  },
  {
    name: 'no loop on short writes',
    file: 'log-file/appender.js',
    from: `progress.written += await handle.write(lines.bytes, progress.written);`,
    to: `await handle.write(lines.bytes, progress.written);
                progress.written = lines.bytes.length;`,
    test: ['errors.test.ts', 'no torn line when it grows'],
  },
  {
    name: 'identity by inode alone',
    file: 'log-file/journal/place.js',
    from: 'return isSameFingerprint(await fingerprintAt(file, place.offset), place.before);',
    to: 'return true;',
    also: { from: 'stats.ino !== place.inode || Number(stats.size) < place.offset', to: 'stats.ino !== place.inode' },
    test: ['foreign-file.test.ts', 'another file in the same inode'],
  },
  {
    name: 'high-water mark instead of gaps and sweep',
    file: 'queue/reader.js',
    from: `yield* this.#byId(session, this.#gaps.due(performance.now()));`,
    to: '',
    also: { from: 'yield* this.#sweepOnce(session);', to: '' },
    test: LATE,
  },
  {
    name: 'fsync retried on the same descriptor',
    file: 'log-file/appender.js',
    from: 'if (!progress.unproven) {',
    to: 'if (true) {',
    test: ['order.test.ts', 'not believed the second time'],
  },
  {
    name: 'redirect followed',
    file: 'destinations/http-exchange.js',
    from: 'connection.client.dispatch(this.#request, this);',
    to: `connection.client.compose((await import('undici')).interceptors.redirect({ maxRedirections: 1 })).dispatch(this.#request, this);`,
    also: { from: '    onConnection(connection) {', to: '    async onConnection(connection) {' },
    test: LATE,
  },
  {
    name: 'pending row not written',
    file: 'queue/apply-changes.js',
    from: 'if (fail.ids.length > 0) {',
    to: 'if (fail.ids.length < 0) {',
    test: LATE,
  },
  {
    name: 'Idempotency-Key made anew for each attempt',
    file: 'destinations/http-request.js',
    from: `'idempotency-key', key]`,
    to: `'idempotency-key', key + process.pid]`,
    test: LATE,
  },
  {
    name: 'settled without a durable COMMIT',
    file: 'queue/session.js',
    from: 'SET synchronous_commit = on;',
    to: '',
    test: ['postgres.test.ts', 'commits asynchronously'],
  },
  {
    name: 'no recovery from the journal',
    file: 'log-file/journal/recover.js',
    from: 'if (intents.length === 0)',
    to: 'if (intents.length >= 0)',
    test: ['sweep.test.ts', 'in the middle of a write'],
  },
  {
    name: 'torn line not completed',
    file: 'log-file/journal/recover.js',
    from: 'done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;',
    to: 'done = bytes.length;',
    test: ['sweep.test.ts', 'in the middle of a write'],
  },
  {
    name: 'lines kept from another layout',
    file: 'take-over/adoption.js',
    from: 'logged.push(...events.filter(({ standing }) => standing.logged).map(loggedBefore));',
    to: '',
    test: ['shards.test.ts', 'killed and started'],
  },
];

/** A copy of the program that a mutation may be applied to. */
async function createCopy(mutation) {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-mutation-'));
  for (const part of ['bin', 'dist', 'package.json'])
    await cp(join(BUILD, part), join(folder, part), { recursive: true });
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  if (mutation !== null) {
    const path = join(folder, 'dist', mutation.file);
    let text = await readFile(path, 'utf8');
    for (const { from, to } of [mutation, mutation.also].filter(Boolean)) text = replaceOnce(text, from, to, mutation);
    await writeFile(path, text);
  }
  return folder;
}

function replaceOnce(text, from, to, { name, file }) {
  const parts = text.split(from);
  if (parts.length !== 2) throw new Error(`"${name}" fits dist/${file} ${parts.length - 1} times; mend mutations.mjs`);
  return parts.join(to);
}

/** Runs a part of the suite. @returns whether all of it passed, and the line that says how many did. */
async function runSuite(folder, [file, names]) {
  const args = ['vitest', 'run', '--config', '.vitest.crash.config.ts', `test/crash/${file}`, '-t', names];
  const env = { ...process.env, TAILRACE_BIN: join(folder, 'bin', 'tailrace.js'), NO_COLOR: '1' };
  const child = spawn('npx', args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
  const code = await new Promise((resolve) => child.once('close', resolve));
  const line = /^ *Tests .*$/m.exec(said)?.[0].trim() ?? 'no test ran';
  return { passed: code === 0 && /\d+ passed/.test(line), failed: code !== 0 && /\d+ failed/.test(line), line };
}

async function tryOut(name, mutation, test) {
  const folder = await createCopy(mutation);
  try {
    const started = performance.now();
    const { passed, failed, line } = await runSuite(folder, test);
    const good = mutation === null ? passed : failed;
    const seconds = Math.round((performance.now() - started) / 1_000);
    const verdict = failed ? 'red' : passed ? 'green' : 'neither';
    console.log(
      `${good ? 'good' : 'BAD '}  ${verdict.padEnd(7)}  ${name.padEnd(44)}  ${test.join(': ')}  ${seconds} s  ${line}`,
    );
    return good;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const chosen = MUTATIONS.filter(({ name }) => name.includes(process.argv[2] ?? ''));
const tests = [...new Map(chosen.map(({ test }) => [test.join(), test])).values()];
let bad = 0;
for (const test of tests) bad += (await tryOut('(the sound program)', null, test)) ? 0 : 1;
for (const mutation of chosen) bad += (await tryOut(mutation.name, mutation, mutation.test)) ? 0 : 1;
console.log(bad === 0 ? `all ${chosen.length} seeded faults were noticed` : `${bad} BAD`);
process.exitCode = bad === 0 ? 0 : 1;
