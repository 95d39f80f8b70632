// The samples of docs/deploy that nothing can be run with here: that they say what they mean to, in a form that their
// programs take.

import { execFile } from 'node:child_process';
import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { requireTool } from '../helpers/require-tool.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LOG = '/var/log/tailrace/events.jsonl';
/** A line of the largest row, if nothing in it has to be escaped. */
const LONGEST_ROW = 16 * 1024 * 1024;
const INSTRUCTIONS = 'FROM RUN COPY WORKDIR ENV VOLUME USER STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD'.split(' ');

const read = (path: string): Promise<string> => readFile(join(ROOT, path), 'utf8');
const readYaml = async (path: string) => parse(await read(path), { merge: true, strict: true });

describe('the Containerfile', () => {
  interface Instruction {
    readonly name: string;
    readonly words: readonly string[];
    readonly flags: ReadonlyMap<string, string>;
  }

  async function instructions(): Promise<Instruction[]> {
    const text = (await read('docs/deploy/Containerfile')).replace(/^\s*#.*\n/gm, '').replace(/\\\n/g, ' ');
    return text.split('\n').flatMap((line) => {
      const [name, ...rest] = line.trim().split(/\s+/);
      if (!name) return [];
      const flags = rest.flatMap((word) => {
        const [, flag, value] = /^--([a-z-]+)=(.*)$/.exec(word) ?? [];
        return flag === undefined ? [] : [[flag, value ?? ''] as const];
      });
      return [{ name, words: rest.filter((word) => !word.startsWith('--')), flags: new Map(flags) }];
    });
  }

  /** Whether the build gets to see a path: the last line of .dockerignore that matches it, or a folder of it, counts. */
  async function isSent(path: string): Promise<boolean> {
    const folders = path.split('/').map((_name, at, names) => names.slice(0, at + 1).join('/'));
    let sent = true;
    for (const line of (await read('.dockerignore')).split('\n')) {
      const pattern = line.replace(/^!/, '');
      if (pattern === '' || pattern.startsWith('#')) continue;
      const matches = new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`);
      if (folders.some((folder) => matches.test(folder))) sent = line.startsWith('!');
    }
    return sent;
  }

  test('has only instructions that there are, in stages that come one after the other', async () => {
    const all = await instructions();
    expect(all.map(({ name }) => name).filter((name) => !INSTRUCTIONS.includes(name))).toEqual([]);
    const stages: string[] = [];
    for (const { name, words, flags } of all) {
      if (name === 'COPY' && flags.has('from')) expect(stages).toContain(flags.get('from'));
      if (name !== 'FROM') continue;
      const [image = '', as, stage] = words;
      if (!image.includes('/')) expect(stages).toContain(image);
      else expect(image).toMatch(/^docker\.io\/library\/node:2\d-slim$/);
      if (as === 'AS') stages.push(stage ?? '');
    }
    expect(stages).toEqual(['build', 'tailrace', 'logrotate']);
    expect(all[0]?.name).toBe('FROM');
  });

  test('copies what is there and what is sent to the build, and nothing else is sent', async () => {
    const copied = (await instructions()).filter(({ name, flags }) => name === 'COPY' && !flags.has('from'));
    const sources = copied.flatMap(({ words }) => words.slice(0, -1));
    expect(sources).toEqual(expect.arrayContaining(['package.json', 'package-lock.json', 'src', 'bin']));
    for (const source of sources) {
      await access(join(ROOT, source));
      expect(await isSent(source), source).toBe(true);
    }
    for (const path of [
      'node_modules',
      'dist',
      '.git',
      'test/tsconfig.json',
      'docs/deploy/compose.yaml',
      'README.md',
    ]) {
      expect(await isSent(path), path).toBe(false);
    }
  });

  test('runs as an account that is not root, in the form that hands signals on', async () => {
    const all = await instructions();
    expect(all.filter(({ name }) => name === 'USER').map(({ words }) => words[0])).toEqual([
      'tailrace',
      'root',
      'tailrace',
    ]);
    for (const { name, words } of all) {
      if (name !== 'ENTRYPOINT' && name !== 'CMD') continue;
      expect(JSON.parse(words.join(' ')), name).toEqual(expect.arrayContaining([expect.any(String)]));
    }
  });
});

test('compose.yaml names services, volumes, targets and files that there are', async () => {
  const { services, volumes } = await readYaml('docs/deploy/compose.yaml');
  expect(Object.keys(services)).toEqual(['postgres', 'init', 'tailrace', 'logrotate', 'fluent-bit']);
  const containerfile = await read('docs/deploy/Containerfile');
  for (const [name, service] of Object.entries<Record<string, never>>(services)) {
    const {
      build,
      depends_on: depends = {},
      volumes: mounts = [],
    } = service as {
      build?: { context: string; dockerfile: string; target: string };
      depends_on?: Record<string, unknown> | string[];
      volumes?: string[];
    };
    if (build) {
      await access(join(ROOT, 'docs/deploy', build.context, build.dockerfile));
      expect(containerfile).toContain(` AS ${build.target}\n`);
    } else expect(service, name).toHaveProperty('image', expect.stringMatching(/^docker\.io\/.+:\d/));
    for (const other of Array.isArray(depends) ? depends : Object.keys(depends)) expect(services).toHaveProperty(other);
    for (const mount of mounts) {
      const [source = '', target = ''] = mount.split(':');
      expect(target).toMatch(/^\//);
      if (!source.startsWith('.')) expect(volumes).toHaveProperty(source);
      else if (source !== './event_processor.json') await access(join(ROOT, 'docs/deploy', source));
    }
  }
  for (const name of ['tailrace', 'logrotate', 'fluent-bit']) {
    expect(services[name].volumes.join()).toMatch(/\blog:\/var\/log\/tailrace\b/);
  }
});

describe('the samples for shippers', () => {
  test('fluent-bit.yaml follows the file across rotations, reads long lines, and throws nothing away', async () => {
    const { pipeline, parsers } = await readYaml('docs/deploy/fluent-bit.yaml');
    const [input] = pipeline.inputs;
    expect(input).toMatchObject({ name: 'tail', path: LOG, parser: parsers[0].name, read_from_head: true });
    expect(input).not.toHaveProperty('ignore_older');
    expect(Number(/^(\d+)MB$/.exec(input.buffer_max_size)?.[1]) * 1_000_000).toBeGreaterThan(LONGEST_ROW * 2);
    expect(input.refresh_interval).toBeLessThan(60);
    expect(input.db).toMatch(/^\//);
    for (const output of pipeline.outputs) expect(output).toMatchObject({ match: input.tag, retry_limit: 'no_limits' });
  });

  test('vector.yaml follows the file across rotations, reads long lines, and throws nothing away', async () => {
    const { sources, transforms, sinks, data_dir: data } = await readYaml('docs/deploy/vector.yaml');
    expect(sources.tailrace).toMatchObject({
      type: 'file',
      include: [LOG],
      read_from: 'beginning',
      oldest_first: true,
    });
    expect(sources.tailrace.fingerprint).toEqual({ strategy: 'checksum', lines: 1 });
    expect(sources.tailrace).not.toHaveProperty('ignore_older_secs');
    expect(sources.tailrace).not.toHaveProperty('rotate_wait_secs');
    expect(sources.tailrace.max_line_bytes).toBeGreaterThan(LONGEST_ROW * 2);
    expect(transforms.event.inputs).toEqual(['tailrace']);
    expect(sinks.out).toMatchObject({ inputs: ['event'], acknowledgements: { enabled: true } });
    expect(sinks.out.buffer.when_full).toBe('block');
    expect(data).toMatch(/^\//);
  });
});

describe.skipIf(!requireTool('systemd-analyze'))('the unit', () => {
  /** With a program and an account that every machine has. */
  async function unit(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const text = await read('docs/deploy/tailrace.service');
    const file = join(folder, 'tailrace.service');
    const changed = text
      .replace('/usr/local/bin/tailrace', '/bin/true')
      .replace(/^(User|Group)=tailrace$/gm, '$1=root')
      .replace('EnvironmentFile=', 'EnvironmentFile=-');
    expect(changed).not.toBe(text);
    await writeFile(file, changed);
    return file;
  }
  const analyze = (...args: string[]) => promisify(execFile)('systemd-analyze', ['--no-pager', ...args]);

  test('is one that systemd takes without a word', async () => {
    expect(await analyze('verify', await unit())).toEqual({ stdout: '', stderr: '' });
  });

  test('leaves the process little that it does not need', async () => {
    const { stdout } = await analyze('security', '--offline=true', '--threshold=30', await unit());
    expect(stdout).toMatch(/Overall exposure level for tailrace\.service: [0-2]\.\d OK/);
  });

  test('lets the helper speak for it, and gives the stopping the time that it takes', async () => {
    const text = await read('docs/deploy/tailrace.service');
    expect(text).toMatch(/^Type=notify$/m);
    expect(text).toMatch(/^NotifyAccess=all$/m);
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(text)?.[1])).toBeGreaterThan(10);
    expect(text).not.toMatch(/^MemoryDenyWriteExecute=/m);
  });
});
