// A file to record from, and how it is recognised later: by its place, its first bytes, and that it has not shrunk.

import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { hostname } from 'node:os';
import { messageOf, TailraceError } from '../lib/errors.ts';

/** How much of a file's beginning tells it from others. */
export const HEAD_BYTES = 64 * 1024;
const CHUNK_BYTES = 256 * 1024;

/** Where a file is and what it begins with. */
export interface FileIdentity {
  readonly host: string;
  /** Absolute, links resolved. */
  readonly path: string;
  readonly size: number;
  /** How many of its first bytes are hashed. */
  readonly headBytes: number;
  /** SHA-256, hexadecimal. */
  readonly headHash: string;
}

export interface InputFile extends AsyncDisposable {
  /** null: a pipe or a device, which cannot be recognised. */
  readonly identity: FileIdentity | null;
  /** What has been read of it so far. */
  readonly bytesRead: number;
  /** SHA-256 of its first bytes, as in `headHash`. */
  hashOf(headBytes: number): Promise<string>;
  /** Its content, once. */
  chunks(): AsyncIterable<Buffer>;
}

/** @throws {TailraceError} `INPUT_NOT_READABLE`. */
export async function openInputFile(file: string): Promise<InputFile> {
  const handle = await open(file, constants.O_RDONLY).catch((cause: unknown) => {
    throw notReadable(file, cause);
  });
  try {
    const stats = await handle.stat();
    if (stats.isDirectory()) throw new Error('is a directory');
    const headBytes = Math.min(stats.size, HEAD_BYTES);
    const identity = stats.isFile()
      ? {
          host: hostname(),
          path: await realpath(file),
          size: stats.size,
          headBytes,
          headHash: await hashOf(handle, headBytes),
        }
      : null;
    let bytesRead = 0;
    return {
      identity,
      get bytesRead() {
        return bytesRead;
      },
      hashOf: (bytes) => hashOf(handle, bytes),
      async *chunks() {
        const stream = handle.createReadStream({
          autoClose: false,
          highWaterMark: CHUNK_BYTES,
          ...(identity ? { start: 0 } : {}),
        });
        for await (const chunk of stream as AsyncIterable<Buffer>) {
          bytesRead += chunk.length;
          yield chunk;
        }
      },
      [Symbol.asyncDispose]: () => handle.close(),
    };
  } catch (cause) {
    await handle.close();
    throw notReadable(file, cause);
  }
}

async function hashOf(handle: FileHandle, bytes: number): Promise<string> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, 0);
  return createHash('sha256').update(buffer.subarray(0, bytesRead)).digest('hex');
}

function notReadable(file: string, cause: unknown): TailraceError {
  return new TailraceError('INPUT_NOT_READABLE', `${file} cannot be read: ${messageOf(cause)}`, { cause });
}
