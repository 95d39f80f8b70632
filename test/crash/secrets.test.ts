// Secrets of the configuration (FAULTS G3): however they are given and whatever goes wrong, none of them is in anything
// that the program says or keeps.

import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCli } from '../helpers/cli.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { insert } from './insert.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { stop } from './sweep.ts';
import { saysAgain } from './trouble.ts';

/** `canary`, and the same in the three ways in which base64 can hold it. */
const CANARIES = /c4n4ry|YzRuNHJ5|M0bjRye|jNG40cn/i;
const BROKEN = /broken; the last good one stays in force/;
const COMMANDS = [
  ...[['--help'], ['run', '--help']],
  ...[['status'], ['status', '--json'], ['check'], ['check', '--json'], ['run', '--once'], ['retry', '--all']],
];

/** Everything that stands in tailrace's own schema. */
async function stateOf(scene: Scene): Promise<string> {
  const tables = await scene.database.query<{ name: string }>(
    `SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) AS name FROM information_schema.tables
     WHERE table_schema = 'tailrace' AND table_type = 'BASE TABLE'`,
  );
  expect(tables.length).toBeGreaterThan(0);
  const contents = await Promise.all(tables.map(({ name }) => scene.database.query(`SELECT * FROM ${name}`)));
  return JSON.stringify(contents);
}

/** Every byte of the files in a folder but for some of them. */
async function filesOf(folder: string, except: readonly string[]): Promise<string[]> {
  const texts: string[] = [];
  for (const name of await readdir(folder, { recursive: true })) {
    const path = join(folder, name);
    if ((await stat(path)).isFile() && !except.includes(name)) texts.push(await readFile(path, 'latin1'));
  }
  return texts;
}

test('a secret is in nothing that is said or kept, whatever goes wrong', async () => {
  await using scene = await createScene({ database: await createQueue() });
  await using receiver = await createHttpReceiver({ status: 500, body: 'you sent c4n4ry5' });
  // What the receiver says is a secret of each: of another one's nobody could know that it is one.
  const url = (number: number): string =>
    `http://user${number}:c4n4ry${number}@127.0.0.1:${receiver.port}/hook${number}?token=c4n4ry${number}&x=c4n4ry5`;
  await writeFile(join(scene.folder, 'secret'), url(3));
  const post = (at: unknown, format: string): object => ({
    type: 'http_post',
    url: at,
    format,
    timeout_ms: 500,
    retry: { initial_ms: 20, max_ms: 100 },
  });
  const config = {
    logfile: { filename: scene.log },
    event_destinations: [
      { name: 'named', matches: { event_type: 'engine_open' }, destination: post(url(1), 'json') },
      { matches: { event_type: 'bounce_all' }, destination: post({ env: 'HOOK' }, 'form') },
      { matches: { event_type: 'scomp' }, destination: post({ file: join(scene.folder, 'secret') }, 'json') },
      // Nobody listens there.
      {
        matches: { event_type: 'engine_click' },
        destination: post('http://u:c4n4ry4@127.0.0.1:1/?c4n4ry4', 'json'),
      },
      { matches: { all: true }, destination: post(url(5), 'form') },
    ],
  };
  const text = JSON.stringify(config, null, 2);
  await writeFile(scene.config, text);
  const env = { HOOK: url(2), TAILRACE_DATABASE_URL: scene.database.url, TAILRACE_CONFIG: scene.config };
  const said: string[] = [];
  await using program = scene.run({ env });
  await program.started();
  await insert(scene, createRandom(61), 24);
  await receiver.waitForRequests(30);
  receiver.script({ kind: 'raw', text: 'c4n4ry5' });
  await waitFor(async () => /"count":[2-9]|"n":[2-9]|attempts/.test(await stateOf(scene)), {
    what: 'failures in the state',
  });
  // Broken in all the ways in which a problem could quote what stands there.
  for (const broken of [
    text.replace('"timeout_ms"', 'c4n4ry9 "timeout_ms"'),
    text.replace('"format": "json"', '"formt": "json"'),
    text.replaceAll('http://', 'c4n4ry9://'),
    text.replace('"retry"', '"auth": { "bearer": "c4n4ry9" }, "signing_secret": "c4n4ry9", "retry"'),
    `${text}c4n4ry9`,
  ]) {
    const before = program.said;
    await writeFile(scene.config, broken);
    await saysAgain(program, BROKEN, before);
    said.push(program.said);
    const { stdout, stderr, code } = await runCli(['check'], { env, cwd: scene.folder });
    expect(code).toBe(1);
    said.push(stdout, stderr);
  }
  await writeFile(scene.config, text);
  for (const args of COMMANDS) {
    const { stdout, stderr } = await runCli(args, { env, cwd: scene.folder });
    said.push(stdout, stderr);
  }
  said.push(program.said);
  program.signal('SIGKILL');
  await program.exit;
  const { stdout, stderr } = await runCli(['journal', scene.log], { env });
  said.push(stdout, stderr);
  await receiver.close();
  await using again = scene.run({ env });
  await again.started();
  await stop(again);
  said.push(again.said);
  expect(receiver.requests.some(({ headers }) => headers.authorization === `Basic ${btoa('user1:c4n4ry1')}`)).toBe(
    true,
  );
  const kept = [await stateOf(scene), ...(await filesOf(scene.folder, ['event_processor.json', 'secret']))];
  const all = [...said, ...kept];
  expect(all.join('\n')).toContain('127.0.0.1');
  const leaks = all.flatMap((each) => [...each.matchAll(new RegExp(`.{0,120}(?:${CANARIES.source}).{0,40}`, 'gi'))]);
  expect(leaks.map(([leak]) => leak)).toEqual([]);
});
