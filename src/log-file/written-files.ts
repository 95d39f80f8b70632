// Log files that were written before, as they are read again: the ones that a person names, put into the order in which
// they were written, and the bytes of each, unpacked. Names say nothing of the order: `.1` is younger than `.2.gz`, but
// `-20261121` is older than `-20261122`. The stamp of the first line does.

import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { codeOf, messageOf, TailraceError } from '../lib/errors.ts';
import { fileProblem, notReadable } from '../lib/file-problem.ts';
import {
  GZIP_MAGIC_BYTES,
  gunzipped,
  isGzip,
  openRegular,
  scanBytes,
  streamOf,
  tellPacked,
} from '../lib/packed-file.ts';
import { regularFiles } from './journal/search.ts';
import { LINE_START, STAMP_BYTES, stampAt } from './stamp.ts';

/** Where nothing of the first so many bytes is a line of ours, the file has no time. */
const SEARCHED_BYTES = 64 * 1024 * 1024;
/** Bytes that are read at a time, or ahead. */
const HELD_BYTES = 256 * 1024;
/** A file that nobody has written to for so long is not in the middle of a line. */
const STILL_WRITTEN_MS = 10_000;
/** A log file as it was found; it is read even when it is renamed within its folder meanwhile. */
export interface WrittenFile {
  /** As it was named. */
  readonly path: string;
  readonly device: bigint;
  readonly inode: bigint;
  /** As it lies on the disk, compressed or not. */
  readonly size: number;
  /** First `time_written_to_logfile` in it, in microseconds since the epoch; null: it has none. */
  readonly firstUs: number | null;
}

/**
 * Puts files of a log into the order in which they were written, the oldest first; what bears no time, as an empty file
 * does, comes before all others. A file that is named twice, by a link too, is taken once.
 *
 * @throws {TailraceError} `INPUT_NOT_READABLE`, which names the file. A damaged one is no error here.
 */
export async function inOrder(paths: readonly string[]): Promise<readonly WrittenFile[]> {
  const found = new Map<string, Omit<WrittenFile, 'firstUs'>>();
  // All of them first, and quickly: a rotation in between would give the names to other files.
  for (const path of paths) {
    const file = await identify(path);
    const key = `${file.device}:${file.inode}`;
    if (!found.has(key)) found.set(key, file);
  }
  const files: WrittenFile[] = [];
  for (const file of found.values()) files.push({ ...file, firstUs: await firstStamp(file) });
  const time = ({ firstUs }: WrittenFile): number => firstUs ?? Number.NEGATIVE_INFINITY;
  return files.sort((a, b) => (time(a) < time(b) ? -1 : Number(time(a) > time(b))));
}

/**
 * The bytes of a log file, gunzipped when they are packed, whatever its name; several gzip members too.
 *
 * @param file its path; or what `inOrder` found, which is then looked for under other names in its folder when a
 *   rotation has moved it.
 * @param onOpen told of the file that is being read: bytes of it as it lies on the disk, and whether it is packed.
 * @returns a stream that fails with a TailraceError naming the file: `INPUT_NOT_READABLE`, or `INPUT_DAMAGED` when it
 *   is packed and cut or broken; what came before is good.
 * @throws {TailraceError} `INPUT_NOT_READABLE`.
 */
export async function openWritten(
  file: string | Omit<WrittenFile, 'firstUs'>,
  onOpen: (source: { readonly bytesRead: number }, packed: boolean) => void = () => {},
): Promise<Readable> {
  const path = typeof file === 'string' ? file : file.path;
  const handle = typeof file === 'string' ? await openRegular(file) : await openAgain(file);
  const { isPacked } = await tellPacked(path, handle);
  const source = streamOf(handle);
  onOpen(source, isPacked);
  const content = isPacked ? gunzipped(source) : source;
  const stream = Readable.from(explained(path, content), { objectMode: false, highWaterMark: HELD_BYTES });
  // Also when nobody has read from it.
  return stream.once('close', () => content.destroy());
}

/**
 * The same for whoever has done with each chunk before asking for the next: the memory of a chunk is used again, which
 * takes a third of the time off a pass over gigabytes.
 *
 * @throws {TailraceError} as `openWritten`, and its stream.
 */
export async function* scanWritten(file: Omit<WrittenFile, 'firstUs'>): AsyncGenerator<Buffer> {
  const opened = await tellPacked(file.path, await openAgain(file));
  yield* explained(file.path, scanBytes(opened));
}

/**
 * What has been written to a file since it was read to `position`; null when it is packed, gone, or nobody has written to it
 * lately.
 */
export async function readBehind(file: Omit<WrittenFile, 'firstUs'>, position: number): Promise<Buffer | null> {
  const handle = await openAgain(file).catch(() => null);
  if (handle === null) return null;
  try {
    const { mtimeMs } = await handle.stat();
    const head = await handle.read(Buffer.alloc(GZIP_MAGIC_BYTES), 0, GZIP_MAGIC_BYTES, 0);
    if (Date.now() - mtimeMs > STILL_WRITTEN_MS || isGzip(head.buffer)) return null;
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(HELD_BYTES), 0, HELD_BYTES, position);
    return buffer.subarray(0, bytesRead);
  } catch {
    return null;
  } finally {
    await handle.close();
  }
}

/** The same bytes, with errors that name the file. */
async function* explained(path: string, content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* content;
  } catch (error) {
    if (!codeOf(error)?.startsWith('Z_')) throw notReadable(path, fileProblem(error), error);
    const why = `${path} is cut or damaged: gzip says "${messageOf(error)}"`;
    throw new TailraceError('INPUT_DAMAGED', why, { cause: error });
  }
}

async function firstStamp(file: Omit<WrittenFile, 'firstUs'>): Promise<number | null> {
  // A line may begin where two chunks meet; the first one needs no line feed before it.
  let kept = Buffer.from('\n');
  let searched = 0;
  try {
    for await (const chunk of scanWritten(file)) {
      const bytes = Buffer.concat([kept, chunk]);
      for (let at = bytes.indexOf(LINE_START); at >= 0; at = bytes.indexOf(LINE_START, at + 1)) {
        const timeUs = stampAt(bytes, at + LINE_START.length);
        if (timeUs !== null) return timeUs;
      }
      searched += chunk.length;
      if (searched > SEARCHED_BYTES) return null;
      kept = Buffer.from(bytes.subarray(-(LINE_START.length + STAMP_BYTES)));
    }
  } catch (error) {
    // Whoever reads it is told.
    if (codeOf(error) !== 'INPUT_DAMAGED') throw error;
  }
  return null;
}

async function identify(path: string): Promise<Omit<WrittenFile, 'firstUs'>> {
  const handle = await openRegular(path);
  try {
    const { dev, ino, size } = await handle.stat({ bigint: true });
    return { path, device: dev, inode: ino, size: Number(size) };
  } finally {
    await handle.close();
  }
}

/** A file that is known, wherever in its folder it is now. */
async function openAgain({ path, device, inode }: Omit<WrittenFile, 'firstUs'>): Promise<FileHandle> {
  const others = async (): Promise<readonly string[]> =>
    (await regularFiles(dirname(path)).catch(() => [])).filter((each) => each.inode === inode).map((each) => each.path);
  for (const candidate of [path, ...(await others())]) {
    const handle = await openRegular(candidate).catch((error: unknown) => {
      if (candidate === path && codeOf(error) === 'INPUT_NOT_READABLE') return null;
      throw error;
    });
    if (handle === null) continue;
    const stats = await handle.stat({ bigint: true });
    if (stats.ino === inode && stats.dev === device) return handle;
    await handle.close();
  }
  throw notReadable(path, 'it was rotated away while other files were read; start again');
}
