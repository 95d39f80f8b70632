// Every example in --help, in the README and in the pages is run as it stands, by bash, in a world of its own.

import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allCommands } from '../../src/cli.ts';
import { requireTool } from '../helpers/require-tool.ts';
import { WAYS, type Way } from './ways.ts';
import { createExampleWorld, type World } from './world.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Pages whose examples a test of their own runs, in a world of theirs and against what the page shows. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'docs/explain-and-plan.md': 'test/explain-and-plan.test.ts',
  'docs/migration.md': 'test/examples/migration.test.ts',
  'docs/verify-log.md': 'test/acceptance/verify-log.test.ts',
};
const pagesBelow = (await readdir(join(ROOT, 'docs'), { recursive: true })).map((path) => `docs/${path}`);
const PAGES = ['README.md', ...pagesBelow.filter((path) => path.endsWith('.md') && !ELSEWHERE[path]).sort()];
const TOOLS = ['jq', 'psql', 'curl', 'openssl', 'man'];

/** The command lines of the console blocks, without the comments behind them. */
function linesOf(page: string): string[] {
  const blocks = [...page.matchAll(/^```console\n(.*?)^```/gms)].map(([, block = '']) => block);
  return blocks.flatMap((block) =>
    [...block.matchAll(/^\$ (.*)$/gm)].map(([, line = '']) => line.replace(/ {2,}#.*$/, '')),
  );
}

const commands = await allCommands();
const sources = new Map<string, readonly string[]>([
  ...commands.map(({ usage, examples }) => [`${usage.split(' ')[0]} --help`, examples.map(([line]) => line)] as const),
  ...(await Promise.all(PAGES.map(async (page) => [page, linesOf(await readFile(join(ROOT, page), 'utf8'))] as const))),
]);
/** Each line once, under the first place that has it. */
const places = new Map(
  [...sources].toReversed().flatMap(([source, lines]) => lines.map((line) => [line, source] as const)),
);

test('every command shows an example', () => {
  expect(commands.filter(({ examples }) => examples.length === 0).map(({ usage }) => usage)).toEqual([]);
});

test.each(Object.entries(ELSEWHERE))('the examples of %s are run by %s', async (page, file) => {
  expect(await readFile(join(ROOT, file), 'utf8')).toContain(page);
});

test('no way is kept for an example that is gone', () => {
  expect(Object.keys(WAYS).filter((line) => !places.has(line))).toEqual([]);
});

/** Of all of them: nearly all time goes into starting programs. */
let world: World;
beforeAll(async () => {
  world = await createExampleWorld();
}, 300_000);
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
});

describe
  .skipIf(!TOOLS.every(requireTool))
  .each(
    [...sources]
      .map(([source, all]) => [source, all.filter((line) => places.get(line) === source && !WAYS[line]?.not)] as const)
      .filter(([, lines]) => lines.length > 0),
  )('%s', (source, lines) => {
  test.each(lines)('$ %s', { timeout: 180_000 }, async (line) => {
    const way: Way = WAYS[line] ?? {};
    if (way.after !== undefined) expect(await world.bash(way.after)).toMatchObject({ code: 0 });
    const { code, stdout, stderr } = await world.bash(way.as ?? line, way);
    const isRight =
      (way.until ? code === null : (way.codes ?? [0]).includes(code ?? -1)) &&
      (way.stderr ? way.stderr.test(stderr) : stderr === '');
    if (!isRight) {
      expect.fail(
        `the example in ${source} ended with ${code ?? 'SIGTERM'}: ${line}\n${world.unmapped(`${stdout.slice(-2_000)}\n${stderr.slice(-4_000)}`)}\n` +
          'mend it, or say in test/examples/ways.ts how it is to be run or why it is not, or add what it names to test/examples/world.ts',
      );
    }
  });
});

describe.skipIf(!TOOLS.every(requireTool))('the first run of the README', () => {
  test('prints what is shown', { timeout: 180_000 }, async () => {
    await using bare = await createExampleWorld({ bare: true });
    const page = await readFile(join(ROOT, 'README.md'), 'utf8');
    const [, section = ''] = /^## First run\n(.*?)^## /ms.exec(page) ?? [];
    const [, config = ''] = /^```json\n(.*?)^```/ms.exec(section) ?? [];
    const shown = [...section.matchAll(/^```console\n(.*?)^```/gms)].flatMap(([, block = '']) =>
      [...block.matchAll(/^\$ (.*)\n((?:(?!\$ ).+\n)*)/gm)].map(([, line = '', output = '']) => ({ line, output })),
    );
    const compared = shown.filter(({ line }) => !/^export|^tailrace (?:run|status)$/.test(line));
    expect(compared).toHaveLength(4);
    for (const { line, output } of compared) {
      const ended = await bare.bash(line);
      expect({ line, ...ended }).toEqual({ line, code: 0, stdout: output, stderr: '' });
      if (line === 'tailrace init') await writeFile(join(bare.root, 'var/log/tailrace/event_processor.json'), config);
    }
  });
});
