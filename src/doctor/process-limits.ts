// What the operating system lets a processor have: descriptors, memory. Asked of the process that runs, if it is seen.

import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config } from '../config/config.ts';
import { bytes, count } from '../lib/quantity.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

/** `engines` of package.json. */
const OLDEST_NODE = [20, 19] as const;
/** Log, journal, PostgreSQL, the configuration, Node itself. */
const OWN_DESCRIPTORS = 64;
const MIB = 1024 ** 2;
/** docs/sizing.md: 150 MB whatever the backlog, and several times the largest event. */
const OWN_MEMORY = 192 * MIB;
const COPIES_OF_AN_EVENT = 4;
/** A version 1 control group without a limit says nearly 2^63. */
const UNLIMITED = 2 ** 60;

/** Node is ours: the service most likely has the same. */
export function checkNode(version = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isOld = major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1]);
  return isOld
    ? problem('node', `${version}: older than ${OLDEST_NODE.join('.')}`, 'install a newer Node, and restart tailrace')
    : ok('node', version);
}

/**
 * @param pid of the processor; null = none is seen, and our own limits stand in.
 * @param config null = not known.
 */
export async function checkDescriptors(
  pid: string | null,
  config: Config | null,
  proc = '/proc',
): Promise<readonly Finding[]> {
  const check = 'open files';
  const limits = await readFile(join(proc, pid ?? 'self', 'limits'), 'utf8').catch(() => null);
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits ?? '')?.[1];
  if (soft === undefined) return [];
  const need = OWN_DESCRIPTORS + connectionsOf(config);
  const found = `at most ${soft === 'unlimited' ? soft : count(Number(soft))} for ${whose(pid)}, some ${count(need)} are needed`;
  return [
    soft !== 'unlimited' && Number(soft) < need
      ? problem(check, found, `in the service: LimitNOFILE=${need * 2}`)
      : ok(check, found),
  ];
}

const connectionsOf = (config: Config | null): number =>
  (config?.routes ?? []).reduce(
    (sum, { destination }) => sum + ('concurrency' in destination ? destination.concurrency : 0),
    0,
  );

/** The limit of its control group, or of the nearest one above that has one. */
export async function checkMemory(
  pid: string | null,
  config: Config | null,
  roots: { readonly proc: string; readonly groups: string } = { proc: '/proc', groups: '/sys/fs/cgroup' },
): Promise<readonly Finding[]> {
  const check = 'memory';
  const groups = await readFile(join(roots.proc, pid ?? 'self', 'cgroup'), 'utf8').catch(() => null);
  if (groups === null) return [];
  const limits: number[] = [];
  for (const line of groups.trim().split('\n')) {
    const [, controllers = '', path = '/'] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const isOne = controllers.split(',').includes('memory');
    if (!isOne && controllers !== '') continue;
    const root = isOne ? join(roots.groups, 'memory') : roots.groups;
    limits.push(...(await limitsAlong(root, path, isOne ? 'memory.limit_in_bytes' : 'memory.max')));
  }
  const limit = Math.min(...limits);
  const need = OWN_MEMORY + COPIES_OF_AN_EVENT * (config?.maxEventBytes ?? 16 * MIB);
  if (limit >= UNLIMITED) return [ok(check, `no limit for ${whose(pid)}`)];
  const found = `at most ${bytes(limit)} for ${whose(pid)}, up to ${bytes(need)} with the largest event that max_event_bytes lets in`;
  return [
    limit < need
      ? warning(check, found, `raise the limit (MemoryMax=${Math.ceil(need / MIB)}M), or lower max_event_bytes`)
      : ok(check, found),
  ];
}

async function limitsAlong(root: string, path: string, name: string): Promise<number[]> {
  const limits: number[] = [];
  for (let each = path; ; each = dirname(each)) {
    const text = await readFile(join(root, each, name), 'utf8').catch(() => null);
    if (text !== null && /^\d+$/.test(text.trim())) limits.push(Number(text));
    if (each === '/' || each === '.' || each === '') return limits;
  }
}

const whose = (pid: string | null): string => (pid === null ? 'this process' : `pid ${pid}`);
