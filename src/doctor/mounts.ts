// The file system that the log is on: does it answer at all, of what kind is it, how is it mounted, how much room is left.

import { spawn } from 'node:child_process';
import { readFile, realpath, statfs } from 'node:fs/promises';
import { dirname, sep } from 'node:path';
import { codeOf } from '../lib/errors.ts';
import { bytes, count } from '../lib/quantity.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

const ANSWER_MS = 5_000;
const MIB = 1024 ** 2;
const LITTLE = { bytes: 1024 * MIB, share: 0.1, inodes: 10_000 };
const VERY_LITTLE = { bytes: 256 * MIB, inodes: 1_000 };

/** File systems whose locks, renames or fsync are another host's word, or a program's. */
const REMOTE = /^(nfs\d?|cifs|smb\d?|smbfs|9p|ceph|glusterfs|lustre|afs|ncpfs|davfs|gfs2?|ocfs2|beegfs|fuse(\..+)?)$/;
const IN_MEMORY = /^(tmpfs|ramfs)$/;

export interface Mount {
  readonly point: string;
  /** For example `ext4`. */
  readonly type: string;
  readonly source: string;
  readonly isReadOnly: boolean;
}

/**
 * Whether the file system of a path answers. A child asks: a call on a server that is gone never returns, and cannot be
 * killed, but a child can be left behind.
 */
export async function answers(path: string, timeoutMs = ANSWER_MS, program = 'stat'): Promise<boolean> {
  const child = spawn(program, ['-f', path], { stdio: 'ignore' });
  child.unref();
  return await new Promise((resolve) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      resolve(false);
    }, timeoutMs);
    const end = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    // Whatever it says; where there is no such program nothing can be learnt.
    child.once('exit', end);
    child.once('error', end);
  });
}

/** The first folder on the way up that is there. */
export async function nearestFolder(path: string): Promise<string> {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      return await realpath(folder);
    } catch (error) {
      if ((codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR') || dirname(folder) === folder) throw error;
    }
  }
}

/**
 * The mount that a real path is on.
 *
 * @param mountinfo text of /proc/self/mountinfo: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
 */
export function mountOf(path: string, mountinfo: string): Mount | null {
  let best: Mount | null = null;
  for (const line of mountinfo.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , , point = '', options = ''] = before.split(' ');
    const [type = '', source = '', superOptions = ''] = after.split(' ');
    const folder = unescaped(point);
    const holds = folder === sep || path === folder || path.startsWith(`${folder}${sep}`);
    if (folder === '' || !holds || (best !== null && folder.length < best.point.length)) continue;
    const isReadOnly = [options, superOptions].some((each) => each.split(',').includes('ro'));
    best = { point: folder, type, source: unescaped(source), isReadOnly };
  }
  return best;
}

/** A space stands there as `\040`. */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** The mount of a folder; null where the system does not tell. */
export async function readMount(folder: string, proc = '/proc'): Promise<Mount | null> {
  const mountinfo = await readFile(`${proc}/self/mountinfo`, 'utf8').catch(() => null);
  return mountinfo === null ? null : mountOf(folder, mountinfo);
}

/** What kind it is. */
export function checkMount(mount: Mount | null): Finding {
  const check = 'file system';
  if (mount === null) return ok(check, 'not known: this system does not tell');
  const { point, type, source, isReadOnly } = mount;
  const where = `${type}, ${source} on ${point}`;
  if (isReadOnly) {
    return problem(
      check,
      `${where}: mounted read-only; after an error of the disk the kernel does so by itself`,
      "see the kernel's log first: dmesg",
      `$ mount -o remount,rw ${point}`,
    );
  }
  if (REMOTE.test(type)) {
    return warning(
      check,
      `${where}: not tested; locks and fsync may not hold, and a server that is gone stops the writing`,
      'put the log file and the hidden folder beside it on a local disk',
    );
  }
  if (IN_MEMORY.test(type)) {
    return warning(check, `${where}: in memory, and gone with the next boot`, 'put the log file on a disk');
  }
  if (type === 'overlay') return ok(check, `${where}: a container's own layer, which goes with the container`);
  return ok(check, where);
}

export interface Room {
  readonly findings: readonly Finding[];
  readonly freeBytes: number;
}

/** How much is left on the file system of a folder, for those who are not root. */
export async function checkRoom(folder: string): Promise<Room> {
  const check = 'disk left';
  const { bsize, blocks, bavail, files, ffree } = await statfs(folder);
  const free = bavail * bsize;
  const size = blocks * bsize;
  const share = size === 0 ? 1 : free / size;
  const found = `${bytes(free)} of ${bytes(size)} (${Math.floor(share * 100)} %)`;
  const advice = [
    'remove or move away rotated files; while there is no space nothing is written, delivered or deleted',
    `$ du -xsh ${folder}/* | sort -h | tail`,
  ];
  const room =
    free < VERY_LITTLE.bytes
      ? problem(check, found, ...advice)
      : free < LITTLE.bytes || share < LITTLE.share
        ? warning(check, found, ...advice)
        : ok(check, found);
  return { findings: [room, ...checkInodes(files, ffree, folder)], freeBytes: free };
}

/** File systems that make inodes as they need them say 0. */
function checkInodes(files: number, left: number, folder: string): readonly Finding[] {
  const check = 'inodes left';
  if (files === 0) return [];
  const found = `${count(left)} of ${count(files)}`;
  const advice = [
    'somewhere on this file system are very many small files:',
    `$ du --inodes -x ${folder} | sort -n | tail`,
  ];
  if (left < VERY_LITTLE.inodes) return [problem(check, found, ...advice)];
  return [left < LITTLE.inodes || left < files * LITTLE.share ? warning(check, found, ...advice) : ok(check, found)];
}
