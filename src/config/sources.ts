// The files that one configuration was made from: the configuration file and those its secrets are in. Each is read
// once, so that a load sees one state of it, and can be compared with the disk later.

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { fileProblem } from '../lib/file-problem.ts';
import { Stillness } from '../lib/stillness.ts';

/** The text of a file, or why there is none: words that follow "cannot be read: ". */
export type SourceText = { readonly text: string } | { readonly failure: string };

interface Source {
  readonly maxBytes: number;
  readonly content: SourceText;
  readonly stillness: Stillness;
}

/** What was read for one configuration. Its texts can be secrets and are only handed to whoever names the file. */
export class Sources {
  readonly #sources = new Map<string, Source>();

  /** Reads a UTF-8 file of at most `maxBytes`, a byte order mark left out; the first time from the disk. Never throws. */
  async read(file: string, maxBytes: number): Promise<SourceText> {
    const known = this.#sources.get(file);
    if (known) return known.content;
    const content = await readText(file, maxBytes);
    this.#sources.set(file, { maxBytes, content, stillness: new Stillness(file) });
    return content;
  }

  /** Whether a file that was read is different on the disk now, or can be read now and could not before. */
  async haveChanged(): Promise<boolean> {
    for (const [file, { maxBytes, content, stillness }] of this.#sources) {
      const isSame = async (): Promise<boolean> => sameText(content, await readText(file, maxBytes));
      if (!(await stillness.isWell(isSame))) return true;
    }
    return false;
  }

  /** Whether the same files were read with the same content. */
  equal(other: Sources): boolean {
    if (this.#sources.size !== other.#sources.size) return false;
    return [...this.#sources].every(([file, { content }]) => {
      const theirs = other.#sources.get(file);
      return theirs !== undefined && sameText(content, theirs.content);
    });
  }
}

function sameText(a: SourceText, b: SourceText): boolean {
  if ('text' in a) return 'text' in b && a.text === b.text;
  return 'failure' in b && a.failure === b.failure;
}

async function readText(path: string, maxBytes: number): Promise<SourceText> {
  let file: FileHandle;
  try {
    // Without O_NONBLOCK, opening a named pipe would wait for a writer.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return { failure: fileProblem(error) };
  }
  try {
    const stats = await file.stat();
    if (stats.isDirectory()) return { failure: 'it is a directory' };
    if (!stats.isFile()) return { failure: 'it is not a regular file' };
    const bytes = await readAtMost(file, maxBytes + 1);
    if (bytes.length > maxBytes) return { failure: `it has more than ${maxBytes / 1024} KiB` };
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) };
  } catch (error) {
    return { failure: fileProblem(error) };
  } finally {
    await file.close();
  }
}

/** Up to `limit` bytes from the start; the size that the file system names may be wrong by now. */
async function readAtMost(file: FileHandle, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let length = 0; length < limit; ) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(Math.min(65_536, limit - length)));
    if (bytesRead === 0) break;
    chunks.push(buffer.subarray(0, bytesRead));
    length += bytesRead;
  }
  return Buffer.concat(chunks);
}
