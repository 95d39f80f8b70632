import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

/** From top to bottom; each may import what stands below it. Those of one line are siblings and do not import one another. */
const LAYERS: readonly (readonly string[])[] = [
  ['main.ts'],
  ['cli.ts'],
  ['cli'],
  ['demo'],
  // What `run --http` shows of what stands below.
  ['monitor'],
  // Ways to put together what stands below: out of the queue, into it, out of the log, and only looking. They know nothing of
  // each other.
  ['processor.ts', 'intake', 'replay', 'dry-run', 'doctor', 'metrics'],
  // The processor's two halves: what becoming the writer takes, and what a writer does.
  ['take-over', 'pipeline.ts'],
  ['queue', 'log-file', 'router', 'destinations', 'recording', 'http'],
  ['flow'],
  ['config'],
  ['event'],
  ['lib'],
];
/** The one arrow between siblings: the router knows what a destination is, not which ones there are. */
const SIBLING_TYPES = { from: 'router', to: 'destinations/destination.ts' };
const VAGUE_NAMES = ['index.ts', 'utils.ts', 'util.ts', 'helpers.ts', 'manager.ts', 'types.ts', 'common.ts'];
const MOST_LINES = 300;

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

async function sourceFiles(): Promise<string[]> {
  return (await readdir(SRC, { recursive: true })).filter((path) => path.endsWith('.ts')).sort();
}

/** Relative imports and re-exports of one source text; paths relative to src. */
function importsOf(from: string, text: string): Import[] {
  const statements = text.matchAll(
    /^(?:import|export)\s+(type\s)?[^'";]*?from\s+'(\.[^']*)'|\bimport\(\s*'(\.[^']*)'/gm,
  );
  return [...statements].map((match) => ({
    from,
    to: relative(SRC, resolve(SRC, dirname(from), match[2] ?? match[3] ?? '')),
    typeOnly: match[1] !== undefined,
  }));
}

async function allImports(): Promise<Import[]> {
  const files = await sourceFiles();
  const texts = await Promise.all(files.map((file) => readFile(join(SRC, file), 'utf8')));
  return files.flatMap((file, at) => importsOf(file, texts[at] ?? ''));
}

/** The folder of a file, or the file itself at the top level of src. */
function unitOf(path: string): string {
  return path.split('/')[0] ?? '';
}

function layerOf(path: string): number {
  return LAYERS.findIndex((layer) => layer.includes(unitOf(path)));
}

function isAllowed(arrow: Import): boolean {
  if (unitOf(arrow.from) === unitOf(arrow.to)) return true;
  if (arrow.typeOnly && unitOf(arrow.from) === SIBLING_TYPES.from && arrow.to === SIBLING_TYPES.to) return true;
  return layerOf(arrow.from) < layerOf(arrow.to);
}

/** The first cycle that a walk along the arrows meets, as a list of files. */
function findCycle(imports: readonly Import[]): string[] | undefined {
  const finished = new Set<string>();
  const walk = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (finished.has(file)) return undefined;
    for (const { to } of imports.filter(({ from }) => from === file)) {
      const cycle = walk(to, [...path, file]);
      if (cycle) return cycle;
    }
    finished.add(file);
    return undefined;
  };
  for (const file of new Set(imports.map(({ from }) => from))) {
    const cycle = walk(file, []);
    if (cycle) return cycle;
  }
  return undefined;
}

test('every file of src belongs to a layer', async () => {
  expect((await sourceFiles()).filter((file) => layerOf(file) < 0)).toEqual([]);
});

test('imports point downwards, and stages do not import one another', async () => {
  const upward = (await allImports()).filter((arrow) => !isAllowed(arrow));
  expect(upward.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
});

test('no files import one another in a circle', async () => {
  expect(findCycle(await allImports())).toBeUndefined();
});

test('each import names a file that exists', async () => {
  const files = new Set(await sourceFiles());
  expect((await allImports()).filter(({ to }) => !files.has(to))).toEqual([]);
});

test('a file name says what is in it, and no file only hands on others', async () => {
  const files = await sourceFiles();
  expect(files.filter((file) => VAGUE_NAMES.includes(file.split('/').at(-1) ?? ''))).toEqual([]);
  const barrels = [];
  for (const file of files) {
    const code = (await readFile(join(SRC, file), 'utf8')).replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    const statements = code.split(';').map((statement) => statement.trim());
    if (statements.every((statement) => statement === '' || /^export\b[^=]*\bfrom\s/.test(statement)))
      barrels.push(file);
  }
  expect(barrels).toEqual([]);
});

test(`no file has more than ${MOST_LINES} lines`, async () => {
  const long = [];
  for (const file of await sourceFiles()) {
    const lines = (await readFile(join(SRC, file), 'utf8')).trimEnd().split('\n').length;
    if (lines > MOST_LINES) long.push(`${file}: ${lines}`);
  }
  expect(long).toEqual([]);
});

test('the rules above do tell a wrong arrow and a circle from right ones', () => {
  const arrow = (from: string, to: string, typeOnly = false): Import => ({ from, to, typeOnly });
  expect(importsOf('cli/run.ts', "import type { A } from '../pipeline.ts';\nimport {\n  b,\n} from './b.ts';")).toEqual(
    [arrow('cli/run.ts', 'pipeline.ts', true), arrow('cli/run.ts', 'cli/b.ts')],
  );
  expect(isAllowed(arrow('event/event.ts', 'queue/table.ts', true))).toBe(false);
  expect(isAllowed(arrow('queue/table.ts', 'log-file/clock.ts'))).toBe(false);
  expect(isAllowed(arrow('router/lane.ts', 'destinations/destination.ts'))).toBe(false);
  expect(isAllowed(arrow('router/lane.ts', 'destinations/destination.ts', true))).toBe(true);
  expect(isAllowed(arrow('pipeline.ts', 'queue/table.ts'))).toBe(true);
  expect(findCycle([arrow('a', 'b'), arrow('b', 'c'), arrow('c', 'a')])).toEqual(['a', 'b', 'c', 'a']);
  expect(findCycle([arrow('a', 'b'), arrow('a', 'c'), arrow('b', 'c')])).toBeUndefined();
});
