import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import yargs from 'yargs';
import { check } from '../../src/cli/check.ts';
import { INITIAL_CONFIG } from '../../src/config/initial.ts';
import { printJsonSchema } from '../../src/config/json-schema.ts';

/** Runs the command as cli.ts does, with the arguments after `check`. */
async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const parser = yargs()
    .command(check.usage, check.summary, (builder) => check.options(builder))
    .exitProcess(false);
  const code = await check.run(await parser.parseAsync(['check', ...args]), {
    env,
    stdin: new PassThrough(),
    stdout,
    stderr,
  });
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}

async function configFile(content: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-check-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'event_processor.json');
  await writeFile(file, content);
  return file;
}

test('a good file is one line on standard output and exit code 0', async () => {
  const file = await configFile(INITIAL_CONFIG);
  expect(await run([file])).toEqual({ code: 0, stdout: `${file}: good (1 destination, no log file)\n`, stderr: '' });
});

test('the line names the log file and counts the destinations', async () => {
  const file = await configFile('{"logfile": {"filename": "/var/log/tailrace/events.jsonl"}}');
  expect((await run([file])).stdout).toBe(`${file}: good (no destinations, log file /var/log/tailrace/events.jsonl)\n`);
});

test('problems are lines with a place on standard error and exit code 1', async () => {
  const file = await configFile('{\n  "logfil": {},\n  "logfile": {}\n}');
  expect(await run([file])).toEqual({
    code: 1,
    stdout: '',
    stderr: [
      `${file}:2:3: unknown key "logfil" at the top level; did you mean "logfile"?`,
      `${file}:3:14: "filename" is missing: expected the path of the log file`,
      '',
    ].join('\n'),
  });
});

test('warnings are said and leave the file good', async () => {
  const file = await configFile(
    JSON.stringify({
      event_destinations: [
        { matches: { event_type: 'scmp' }, destination: { type: 'drop_from_queue' } },
        { matches: { all: true }, destination: { type: 'leave_in_queue' } },
      ],
    }),
  );
  const { code, stdout, stderr } = await run([file]);
  expect(code).toBe(0);
  expect(stdout).toContain('good (2 destinations');
  expect(stderr).toBe(`${file}:1:49: warning: unknown event type "scmp"; did you mean "scomp"?\n`);
});

test('the file may come from --config and from the environment', async () => {
  const file = await configFile(INITIAL_CONFIG);
  expect((await run(['--config', file])).code).toBe(0);
  expect((await run([], { TAILRACE_CONFIG: file })).code).toBe(0);
  expect((await run(['/nowhere.json'], { TAILRACE_CONFIG: file })).stderr).toBe(
    '/nowhere.json:1:1: the configuration cannot be read: there is no such file\n',
  );
});

test('--json prints one object for programs', async () => {
  const file = await configFile('{}');
  const { code, stdout } = await run([file, '--json']);
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toEqual({
    file,
    good: false,
    problems: [{ line: 1, column: 1, message: expect.stringContaining('found neither') }],
    warnings: [],
  });
});

test('--print-schema prints the JSON Schema and needs no file', async () => {
  expect(await run(['--print-schema'])).toEqual({ code: 0, stdout: printJsonSchema(), stderr: '' });
});
