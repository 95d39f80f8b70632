// The file that an intent was going to, as a recovery finds it: whether it is that file, and how much of the intent it has.

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { codeOf } from '../../lib/errors.ts';
import { fingerprintAt, isSameFingerprint } from './fingerprint.ts';
import type { LoadedIntent } from './load.ts';

const COMPARED_BYTES = 256 * 1024;
const SAFELY = constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
/** Nothing is there that could be our file; any other error ends by itself or with the operator's help. */
const NOT_OURS = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ENXIO']);

/** Opens what may be our file; null when nothing of the kind is there. @throws errors that end by themselves, or with help. */
export async function openUnlessForeign(path: string, access: number): Promise<FileHandle | null> {
  try {
    return await open(path, access | SAFELY);
  } catch (error) {
    if (NOT_OURS.has(codeOf(error) ?? '')) return null;
    throw error;
  }
}

/** Whether it is the file that the intent was going to: the inode, and the bytes before its place. */
export async function isFileOf(file: FileHandle, { place }: LoadedIntent): Promise<boolean> {
  const stats = await file.stat({ bigint: true });
  if (!stats.isFile() || stats.ino !== place.inode || Number(stats.size) < place.offset) return false;
  return isSameFingerprint(await fingerprintAt(file, place.offset), place.before);
}

/** How many of the bytes stand at the offset, and the file's size. */
export async function compare(
  file: FileHandle,
  bytes: Buffer,
  offset: number,
): Promise<{ readonly equal: number; readonly size: number }> {
  const size = Number((await file.stat({ bigint: true })).size);
  const found = Buffer.alloc(Math.min(COMPARED_BYTES, bytes.length));
  let equal = 0;
  while (equal < bytes.length) {
    const { bytesRead } = await file.read(found, 0, Math.min(found.length, bytes.length - equal), offset + equal);
    if (bytesRead === 0) break;
    const same = commonPrefix(found.subarray(0, bytesRead), bytes.subarray(equal, equal + bytesRead));
    equal += same;
    if (same < bytesRead) break;
  }
  return { equal, size };
}

function commonPrefix(a: Buffer, b: Buffer): number {
  if (a.equals(b)) return a.length;
  let at = 0;
  while (a[at] === b[at]) at += 1;
  return at;
}
