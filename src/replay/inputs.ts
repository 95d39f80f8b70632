// The files of a replay, in the order in which they were written, and how they are recognised by a later run: by their
// first bytes, unpacked, and their inode where two begin alike. A rotation may have moved or compressed them meanwhile.

import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';
import { TailraceError } from '../lib/errors.ts';
import { regularFiles } from '../log-file/journal/search.ts';
import { inOrder, openWritten, type WrittenFile } from '../log-file/written-files.ts';

/** How much of a file's beginning tells it from others. */
const HEAD_BYTES = 64 * 1024;

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
    const head = await headOf(file, HEAD_BYTES);
    const { path, inode, size } = file;
    const identity = { path, inode: String(inode), bytes: head.packed ? null : size };
    inputs.push(inputOf(file, { ...identity, headBytes: head.bytes, headHash: head.hash }));
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
    const file = at < from ? null : await findOne(identity);
    if (file === null && at >= from) throw notFound(identity.path);
    inputs.push(file === null ? gone(identity) : inputOf(file, identity));
  }
  return inputs;
}

function inputOf(file: Omit<WrittenFile, 'firstUs'>, identity: FileIdentity): Input {
  return { identity, size: file.size, open: (onOpen) => openWritten(file, onOpen) };
}

/** One that has been replayed whole. */
function gone(identity: FileIdentity): Input {
  return { identity, size: 0, open: () => Promise.reject(notFound(identity.path)) };
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
