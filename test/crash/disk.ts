// File systems of a test's own: one on a disk image, whose power can be cut or which can be declared broken, and one in
// memory, which can be too small. Both need root.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findTool } from '../helpers/require-tool.ts';

/** Segments of the journal, the log, and room. */
const IMAGE_BYTES = 512 * 1024 * 1024;
/** EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: nothing that is not on disk yet gets there. */
const SHUTDOWN = `import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))`;

const run = promisify(execFile);

/** Tools that `createDisk` needs. */
export const DISK_TOOLS = ['mkfs.ext4', 'mount', 'umount', 'python3'];

/** An ext4 file system of its own. */
export interface Disk extends AsyncDisposable {
  readonly path: string;
  /** Cuts its power. */
  cut(): Promise<void>;
  /** Mounts it again after a cut, which recovers it. Nobody may use it. */
  recover(): Promise<void>;
  /** The block device that it is mounted from. */
  device(): Promise<string>;
  /** Has it checked and mounts it again. Nobody may use it. */
  repair(fsck: string): Promise<void>;
}

/** Makes and mounts one. */
export async function createDisk(): Promise<Disk> {
  const home = await mkdtemp(join(tmpdir(), 'tailrace-disk-'));
  const image = join(home, 'image');
  const path = join(home, 'mount');
  await mkdir(path);
  await writeFile(image, '');
  await truncate(image, IMAGE_BYTES);
  await run(findTool('mkfs.ext4') ?? 'mkfs.ext4', ['-q', '-F', image]);
  const mount = () => run('mount', ['-o', 'loop', image, path]);
  await mount();
  return {
    path,
    cut: async () => void (await run('python3', ['-c', SHUTDOWN, path])),
    async recover() {
      await run('umount', [path]);
      await mount();
    },
    async device() {
      const { stdout } = await run('findmnt', ['--noheadings', '--output', 'SOURCE', path]);
      return stdout.trim();
    },
    async repair(fsck) {
      await run('umount', [path]);
      // 1: errors were corrected.
      await run(fsck, ['-y', '-f', image]).catch((error) => {
        if (error.code !== 1) throw error;
      });
      await mount();
    },
    async [Symbol.asyncDispose]() {
      await unmount(path);
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** A file system in memory. */
export interface MemoryDisk extends AsyncDisposable {
  readonly path: string;
  /** Mounts it with other options: `size=128m`, `ro`. */
  remount(options: string): Promise<void>;
}

/** Makes and mounts one of a size. */
export async function createMemoryDisk(size: string): Promise<MemoryDisk> {
  const path = await mkdtemp(join(tmpdir(), 'tailrace-memory-'));
  await run('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path]);
  return {
    path,
    remount: async (options) => void (await run('mount', ['-o', `remount,${options}`, path])),
    async [Symbol.asyncDispose]() {
      await unmount(path);
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** At once, or when the last process has left it. */
async function unmount(path: string): Promise<void> {
  if (!existsSync(path)) return;
  await run('umount', [path]).catch(() => run('umount', ['-l', path]));
}
