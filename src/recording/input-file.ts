// A file to record from, and how it is recognised later: by its place, its first bytes, and that it has not shrunk.

import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { hostname } from 'node:os';
import { fileProblem, notReadable } from '../lib/file-problem.ts';
import { createBufferPool } from './shared-bytes.ts';

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
  /** Takes back a chunk, or a part of one, that nobody looks at any more: its memory is used again. */
  readonly giveBack: (chunk: Buffer) => void;
}

/** @throws {TailraceError} `INPUT_NOT_READABLE`. */
export async function openInputFile(file: string): Promise<InputFile> {
  const handle = await open(file, constants.O_RDONLY).catch((cause: unknown) => {
    throw notReadable(file, fileProblem(cause), cause);
  });
  try {
    const stats = await handle.stat();
    if (stats.isDirectory()) throw new Error('it is a folder; name the files in it');
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
    const pool = createBufferPool(CHUNK_BYTES);
    let reading: Promise<unknown> = Promise.resolve();
    let bytesRead = 0;

    /** A file: the next chunk is read while this one is looked at. */
    async function* fileChunks(): AsyncGenerator<Buffer> {
      for (let position = 0, next = handle.read(pool.lend(), 0, CHUNK_BYTES, 0); ; ) {
        reading = next.catch(() => {}); // it may fail while the consumer is busy
        const { buffer, bytesRead: length } = await next;
        if (length === 0) return;
        position += length;
        next = handle.read(pool.lend(), 0, CHUNK_BYTES, position);
        reading = next.catch(() => {});
        bytesRead += length;
        yield buffer.subarray(0, length);
      }
    }

    /** A pipe or a device, of which nobody knows when it says more. */
    async function* streamChunks(): AsyncGenerator<Buffer> {
      const stream = handle.createReadStream({ autoClose: false, highWaterMark: CHUNK_BYTES });
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        bytesRead += chunk.length;
        yield chunk;
      }
    }

    return {
      identity,
      get bytesRead() {
        return bytesRead;
      },
      hashOf: (bytes) => hashOf(handle, bytes),
      chunks: identity ? fileChunks : streamChunks,
      giveBack: pool.giveBack,
      async [Symbol.asyncDispose]() {
        if (identity) await reading;
        await handle.close();
      },
    };
  } catch (cause) {
    await handle.close();
    throw notReadable(file, fileProblem(cause), cause);
  }
}

async function hashOf(handle: FileHandle, bytes: number): Promise<string> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, 0);
  return createHash('sha256').update(buffer.subarray(0, bytesRead)).digest('hex');
}
