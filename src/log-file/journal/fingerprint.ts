// What identifies a log file across restarts, besides its inode: the bytes before an offset.

import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { FINGERPRINT_BYTES, type Fingerprint } from './intent.ts';

/** The fingerprint of what stands before an offset. */
export async function fingerprintAt(file: FileHandle, offset: number): Promise<Fingerprint> {
  const length = Math.min(FINGERPRINT_BYTES, offset);
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, offset - length);
  return { length: bytesRead, crc: crc32(buffer.subarray(0, bytesRead)) };
}

/** Whether two fingerprints are of the same bytes. */
export const isSameFingerprint = (a: Fingerprint, b: Fingerprint): boolean => a.length === b.length && a.crc === b.crc;
