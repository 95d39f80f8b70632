import { expect, test } from 'vitest';
import yargs from 'yargs';
import { readArguments, replayOptions } from '../../../src/cli/replay/arguments.ts';

const parse = async (words: readonly string[]) =>
  readArguments(
    await replayOptions(yargs())
      .command('replay [files..]', '')
      .parseAsync(['replay', ...words]),
  );

test('options stand before and behind the files, which are made absolute', async () => {
  const parsed = await parse(['--type', 'scomp', 'a', '--type', 'x', 'b', '--where', 'email=a=b', '--', '-c']);
  expect(parsed.wishes).toMatchObject({
    named: ['a', 'b', '-c'].map((name) => `${process.cwd()}/${name}`),
    filters: { types: ['scomp', 'x'], where: [{ field: 'email', value: 'a=b' }], destinations: [] },
  });
});

test.each([
  [['--from', '1795302762457', 'events.jsonl'], /these are milliseconds/],
  [['--from', '2026-02-31', 'events.jsonl'], /--from takes seconds/],
  [['--from', '20', '--to', '10', 'events.jsonl'], /nothing lies between/],
  [['--where', 'email', 'events.jsonl'], /FIELD=VALUE/],
  [['--rate', '0', 'events.jsonl'], /--rate takes/],
  [['--rate', 'fast', 'events.jsonl'], /--rate takes/],
  [['--attempts', '1.5', 'events.jsonl'], /--attempts takes/],
  [['--dry-run', '--resume'], /leave --resume out/],
  [['--new-config', 'events.jsonl'], /goes with --resume/],
  [[], /name the log files/],
])('%j is wrong usage', async (words, message) => {
  await expect(parse(words)).rejects.toMatchObject({
    code: 'USAGE',
    exitCode: 2,
    message: expect.stringMatching(message),
  });
});
