// The files of a replay, in the order in which they were written, and how they are recognised by a later run: by their
// first bytes, unpacked, and their inode where two begin alike. A rotation may have moved or compressed them meanwhile.

import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { TailraceError } from '../lib/errors.ts';
import { regularFiles } from '../log-file/journal/search.ts';
import { inOrder, openWritten, type WrittenFile } from '../log-file/written-files.ts';

/** How much of a file's beginning tells it from others. */
const HEAD_BYTES = 64 * 1024;
const LINE_FEED = 0x0a;
/** A line that is being written is complete after this. */
const LOOK_AGAIN_MS = 50;
const MOST_LOOKS = 20;

/** What is kept of a file. */
export interface FileIdentity {
  /** As it was named. */
  readonly path: string;
  /** Decimal digits. */
  readonly inode: string;
  /** Bytes that are replayed of it, unpacked: what is written later is left alone; null: it was packed, and is read to its end. */
  readonly bytes: number | null;
  readonly headBytes: number;
  /** SHA-256 of its first `headBytes` bytes, unpacked; hexadecimal. */
  readonly headHash: string;
}

export interface Input {
  readonly identity: FileIdentity;
  /** Bytes on the disk, packed or not. */
  readonly size: number;
  /**
   * Opens it from its beginning, unpacked.
   *
   * @param onOpen told what to ask for the bytes on the disk that have been read.
   */
  open(onOpen?: (source: { readonly bytesRead: number }) => void): Promise<Readable>;
}

/**
 * Finds the files that were named, for a replay from their beginning.
 *
 * @throws {TailraceError} `INPUT_NOT_READABLE`.
 */
export async function findInputs(paths: readonly string[]): Promise<readonly Input[]> {
  const inputs: Input[] = [];
  for (const file of await inOrder(paths)) {
    const { path, inode } = file;
    const head = await headOf(file, HEAD_BYTES);
    const bytes = head.bytes === 0 ? 0 : head.packed ? null : await wholeSize(file);
    const identity = { path, inode: String(inode), bytes, headBytes: head.bytes, headHash: head.hash };
    inputs.push(inputOf({ ...file, size: bytes ?? file.size }, identity));
  }
  return inputs;
}

/**
 * Finds the files of an interrupted replay again.
 *
 * @param from index of the first one that is still needed; those before it may be gone.
 * @throws {TailraceError} `CHECKPOINT_OF_OTHER_FILE`.
 */
export async function findAgain(identities: readonly FileIdentity[], from: number): Promise<readonly Input[]> {
  const inputs: Input[] = [];
  for (const [at, identity] of identities.entries()) {
    // Nothing will be read of it.
    if (at < from || identity.bytes === 0) {
      inputs.push({ identity, size: 0, open: () => Promise.reject(notFound(identity.path)) });
      continue;
    }
    const file = await findOne(identity);
    if (file === null) throw notFound(identity.path);
    inputs.push(inputOf({ ...file, size: Math.min(file.size, identity.bytes ?? file.size) }, identity));
  }
  return inputs;
}

function inputOf(file: Omit<WrittenFile, 'firstUs'>, identity: FileIdentity): Input {
  return { identity, size: file.size, open: (onOpen) => openWritten(file, onOpen) };
}

/** The size of a plain file; where it ends within a line that is just being written, with that line. */
async function wholeSize(file: WrittenFile): Promise<number> {
  let { size } = file;
  const handle = await open(file.path).catch(() => null);
  if (handle === null) return size;
  try {
    for (let looks = 0; looks < MOST_LOOKS; looks += 1) {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
      if (bytesRead === 0 || buffer[0] === LINE_FEED) return size;
      await sleep(LOOK_AGAIN_MS);
      const stats = await handle.stat({ bigint: true });
      // Rotated meanwhile, or a line that a crash has cut.
      if (stats.ino !== file.inode || Number(stats.size) <= size) return size;
      size = Number(stats.size);
    }
    return size;
  } finally {
    await handle.close();
  }
}

/** Where it was, or else under another name in its folder. */
async function findOne(identity: FileIdentity): Promise<WrittenFile | null> {
  const others = await regularFiles(dirname(identity.path)).catch(() => []);
  others.sort((a, b) => Number(isInode(b, identity)) - Number(isInode(a, identity)));
  for (const path of [identity.path, ...others.map((other) => other.path)]) {
    const [file] = await inOrder([path]).catch(() => []);
    if (file === undefined) continue;
    const head = await headOf(file, identity.headBytes).catch(() => null);
    if (head === null || head.hash !== identity.headHash) continue;
    const isShorter = !head.packed && identity.bytes !== null && file.size < identity.bytes;
    if (!isShorter) return file;
  }
  return null;
}

const isInode = ({ inode }: { readonly inode: bigint }, identity: FileIdentity): boolean =>
  String(inode) === identity.inode;

async function headOf(file: WrittenFile, most: number) {
  let packed = false;
  const stream = await openWritten(file, (_, isPacked) => {
    packed = isPacked;
  });
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const part = chunk.subarray(0, most - bytes);
      hash.update(part);
      bytes += part.length;
      if (bytes >= most) break;
    }
  } catch (error) {
    // What is damaged farther on is said when it is read.
    if (bytes === 0) throw error;
  } finally {
    stream.destroy();
  }
  return { packed, bytes, hash: hash.digest('hex') };
}

function notFound(path: string): TailraceError {
  return new TailraceError(
    'CHECKPOINT_OF_OTHER_FILE',
    `${path} is not the file that the replay began with, and no file beside it is: bring it back, or start a new replay with another --checkpoint`,
  );
}
