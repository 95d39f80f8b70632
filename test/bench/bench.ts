// The bench: runs rows of the goals table one after another, prints a table of each and writes all figures as JSON. Its
// exit code says whether it ran, not whether goals were reached: a benchmark is no test. Only the soak judges.

import { mkdtemp, writeFile } from 'node:fs/promises';
import { arch, cpus, platform, release, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { messageOf } from '../../src/lib/errors.ts';
import { type Finding, isReached, median, type Row, ratios } from './finding.ts';
import { killAll } from './measured.ts';
import { type BenchOptions, parseOptions, USAGE } from './options.ts';
import { GOAL_ROWS, NAMED_ROWS } from './rows/all.ts';
import { SoakFailed } from './rows/soak.ts';
import { type Bench, createBench } from './scene.ts';
import { SERVER_SETTINGS } from './server.ts';
import { formatTable } from './table.ts';

interface Result {
  readonly row: Row;
  readonly seconds: number;
  readonly findings: readonly Finding[];
  readonly error: string | null;
  /** What the row itself says has failed, for an exit code other than 0. */
  readonly failed: boolean;
}

/** @returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let options: BenchOptions;
  let rows: readonly Row[];
  try {
    options = parseOptions(args);
    rows = chosen(options.names);
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n\n${USAGE}\n`);
    return 2;
  }
  if (options.list) {
    process.stdout.write(list());
    return 0;
  }
  const results: Result[] = [];
  const interrupted = onInterrupt();
  await using bench = await createBench(options);
  const about = await describe(bench);
  process.stdout.write(`${about.lines.join('\n')}\n\n`);
  for (const row of rows) {
    const result = await Promise.race([runRow(bench, row), interrupted]);
    if (result === null) {
      // The server and the folders go as the bench is left.
      killAll();
      return 130;
    }
    results.push(result);
    const head = `${row.name}${row.number === null ? '' : ` (row ${row.number})`}: ${row.title}`;
    process.stdout.write(`${formatTable(head, result.findings)}`);
    if (result.error !== null) process.stdout.write(`  FAILED: ${result.error}\n`);
    process.stdout.write('\n');
  }
  const file = options.json
    ? resolve(options.json)
    : join(await mkdtemp(join(tmpdir(), 'tailrace-bench-')), 'bench.json');
  await writeFile(file, `${JSON.stringify({ ...about.facts, options, rows: results.map(toJson) }, null, 2)}\n`);
  process.stdout.write(`all figures: ${file}\n`);
  return results.some(({ failed }) => failed) ? 1 : 0;
}

/** Resolves when a person has had enough. */
function onInterrupt(): Promise<null> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => resolve(null));
  });
}

function chosen(names: readonly string[]): readonly Row[] {
  if (names.length === 0) return GOAL_ROWS;
  const all = [...GOAL_ROWS, ...NAMED_ROWS];
  return names.map((name) => {
    const row = all.find((each) => each.name === name);
    if (!row) throw new Error(`there is no row ${name}; there are ${all.map((each) => each.name).join(', ')}`);
    return row;
  });
}

function list(): string {
  const line = ({ name, number, title }: Row): string =>
    `${name.padEnd(12)}${String(number ?? '').padStart(3)}  ${title}\n`;
  return [...GOAL_ROWS, ...NAMED_ROWS].map(line).join('');
}

async function runRow(bench: Bench, row: Row): Promise<Result> {
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  try {
    return { row, findings: await row.run(bench), seconds: seconds(), error: null, failed: false };
  } catch (error) {
    // The rows after it are worth having all the same.
    const findings = error instanceof SoakFailed ? error.findings : [];
    return { row, findings, seconds: seconds(), error: messageOf(error), failed: true };
  }
}

async function describe(bench: Bench) {
  const { server, options, queues } = bench;
  await using queue = await queues.create(0);
  const [version] = await queue.query<{ server_version: string }>('SHOW server_version');
  const machine = {
    cpus: cpus().length,
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
  };
  const postgres = {
    kind: server.kind,
    from: server.from,
    version: version?.server_version ?? 'unknown',
    settings: SERVER_SETTINGS,
  };
  const settings = Object.entries(SERVER_SETTINGS).map(([name, value]) => `${name} ${value}`);
  return {
    facts: { at: new Date().toISOString(), machine, postgres },
    lines: [
      `${machine.cpus} × ${machine.cpu}, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}`,
      `PostgreSQL ${postgres.version} (${server.kind}): ${server.from}; fsync on, ${settings.join(', ')}`,
      `${options.events.toLocaleString('en-US')} events, ${options.pairs} rounds in turn; figures are medians, RATIO is the median of the rounds' ratios; CPU s and RSS: tailrace`,
    ],
  };
}

function toJson({ row, seconds, findings, error }: Result): object {
  return {
    ...{ name: row.name, number: row.number, title: row.title, seconds, error },
    findings: findings.map((found) => ({
      ...found,
      median: found.ours ? median(found.ours.values) : null,
      medianAgainst: found.against ? median(found.against.values) : null,
      ratio: found.against ? median(ratios(found)) : null,
      reached: isReached(found),
    })),
  };
}
