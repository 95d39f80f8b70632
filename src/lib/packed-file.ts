// The bytes of a file of lines, as it lies on the disk or unpacked: gzip is told by the first bytes, whatever the name, since
// scripts of logrotate's name files as they like. Whoever cuts lines out of them says what a damaged end means.

import { constants, createReadStream, type ReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { fileProblem, notReadable } from './file-problem.ts';

/** Large enough that the calls cost nothing beside the lines in them. */
const CHUNK_BYTES = 256 * 1024;
const GZIP = Buffer.from([0x1f, 0x8b]);
/** So many bytes tell gzip from anything else. */
export const GZIP_MAGIC_BYTES = GZIP.length;
/** What else logrotate is told to compress with, by the first bytes. */
const OTHER_PACKERS: readonly (readonly [magic: Buffer, name: string])[] = [
  [Buffer.from('28b52ffd', 'hex'), 'zstd'],
  [Buffer.from('fd377a585a00', 'hex'), 'xz'],
  [Buffer.from('425a68', 'hex'), 'bzip2'],
];
const MAGIC_BYTES = 6;

/** A file that is open for reading. */
export interface OpenedFile {
  readonly handle: FileHandle;
  /** It is gzip. */
  readonly isPacked: boolean;
}

/** Whether bytes begin as gzip does. */
export const isGzip = (head: Buffer): boolean => head.subarray(0, GZIP.length).equals(GZIP);

/**
 * Opens a regular file. A pipe would keep us waiting for its writer.
 *
 * @throws {TailraceError} `INPUT_NOT_READABLE`.
 */
export async function openRegular(path: string): Promise<FileHandle> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    throw notReadable(path, fileProblem(cause), cause);
  });
  try {
    const stats = await handle.stat();
    if (stats.isFile()) return handle;
    throw notReadable(path, stats.isDirectory() ? 'it is a folder; name the files in it' : 'it is not a regular file');
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * Tells whether a file has to be unpacked; closes it when it cannot be read.
 *
 * @throws {TailraceError} `INPUT_NOT_READABLE`, also when it is packed in a way that is not known here.
 */
export async function tellPacked(path: string, handle: FileHandle): Promise<OpenedFile> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(MAGIC_BYTES), 0, MAGIC_BYTES, 0).catch(async (cause) => {
    await handle.close();
    throw notReadable(path, fileProblem(cause), cause);
  });
  const head = buffer.subarray(0, bytesRead);
  const packer = OTHER_PACKERS.find(([magic]) => head.subarray(0, magic.length).equals(magic))?.[1];
  if (packer === undefined) return { handle, isPacked: isGzip(head) };
  await handle.close();
  throw notReadable(path, `it is compressed with ${packer}; unpack it first (only gzip is read as it is)`);
}

/** A stream of the bytes on the disk, which closes the file at its end. */
export const streamOf = (handle: FileHandle): ReadStream =>
  createReadStream('', { fd: handle, start: 0, highWaterMark: CHUNK_BYTES });

/** The stream unpacked, several gzip members too; it fails with zlib's error when they are cut or broken. */
export const gunzipped = (source: Readable): Readable =>
  pipeline(source, createGunzip({ chunkSize: CHUNK_BYTES }), () => {}); // its iterator tells

/**
 * All the bytes, unpacked, for whoever has done with each chunk before asking for the next: the memory of a chunk is used
 * again, which takes a third of the time off a pass over gigabytes. Closes the file.
 *
 * @throws zlib's error, or that of reading; what came before is good.
 */
export async function* scanBytes({ handle, isPacked }: OpenedFile): AsyncGenerator<Buffer> {
  if (isPacked) {
    yield* gunzipped(streamOf(handle)) as AsyncIterable<Buffer>;
    return;
  }
  try {
    yield* readAhead(handle);
  } finally {
    await handle.close();
  }
}

/** The next chunk is read while this one is looked at. */
async function* readAhead(handle: FileHandle): AsyncGenerator<Buffer> {
  let [spare, other] = [Buffer.allocUnsafeSlow(CHUNK_BYTES), Buffer.allocUnsafeSlow(CHUNK_BYTES)];
  let position = 0;
  let reading = handle.read(other, 0, CHUNK_BYTES, 0);
  try {
    for (;;) {
      const { buffer, bytesRead } = await reading;
      if (bytesRead === 0) return;
      position += bytesRead;
      reading = handle.read(spare, 0, CHUNK_BYTES, position);
      reading.catch(() => {}); // it may fail while the consumer is busy
      yield buffer.subarray(0, bytesRead);
      [spare, other] = [other, spare];
    }
  } finally {
    await reading.catch(() => {});
  }
}
