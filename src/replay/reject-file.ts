// What could not be delivered, as the lines were: the file can be replayed like a log file. What an interrupted run wrote
// behind its last checkpoint is cut off by the next one, which tries those again.

import { constants } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { TailraceError } from '../lib/errors.ts';
import { writeProblem } from '../lib/file-problem.ts';

/** Events bear addresses of people: readable by the owner and the group only. */
const MODE = 0o640;
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT;
const LINE_END = Buffer.from('\n');
/** So much may wait to be written; whoever adds lines asks `isBehind`. */
const MAX_HELD_BYTES = 1024 * 1024;

/** How far the file goes by a checkpoint. */
export interface RejectPosition {
  readonly path: string;
  /** Decimal digits. */
  readonly inode: string;
  readonly bytes: number;
}

export class RejectFile implements AsyncDisposable {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #inode: string;
  /** Written, or being written. */
  #bytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #isClosed = false;

  private constructor(path: string, handle: FileHandle, inode: string, bytes: number) {
    this.path = path;
    this.#handle = handle;
    this.#inode = inode;
    this.#bytes = bytes;
  }

  /**
   * Opens the file: for a new replay, or for one that goes on, as its checkpoint says; anew when it has been moved away.
   *
   * @param kept null: a new replay.
   * @throws {TailraceError} `REJECTS_EXIST` when the file has lines that are not ours; `REJECTS_NOT_WRITABLE`.
   */
  static async open(path: string, kept: RejectPosition | null): Promise<RejectFile> {
    const handle = await open(path, FLAGS, MODE).catch((error: unknown) => {
      throw notWritable(path, error);
    });
    try {
      const stats = await handle.stat({ bigint: true });
      const inode = String(stats.ino);
      const bytes = kept?.path === path && kept.inode === inode && stats.size >= kept.bytes ? kept.bytes : 0;
      const isOurs = kept?.path === path && kept.inode === inode;
      if (stats.size > 0n && !isOurs) {
        const message = `the reject file ${path} has lines of something else in it; move it away, or name another with --rejects`;
        throw new TailraceError('REJECTS_EXIST', message);
      }
      if (stats.isFile()) await handle.truncate(bytes);
      return new RejectFile(path, handle, inode, bytes);
    } catch (error) {
      await handle.close();
      throw error instanceof TailraceError ? error : notWritable(path, error);
    }
  }

  /** So much waits to be written that no more should be added before `flush`. */
  get isBehind(): boolean {
    return this.#heldBytes > MAX_HELD_BYTES;
  }

  /** Where it stands when all that was added so far is written. */
  get position(): RejectPosition {
    return { path: this.path, inode: this.#inode, bytes: this.#bytes + this.#heldBytes };
  }

  /** Keeps a line, without its line feed, for the next `flush`. */
  add(line: Buffer): void {
    this.#held.push(line, LINE_END);
    this.#heldBytes += line.length + LINE_END.length;
  }

  /**
   * Resolves when what was added before the call is on disk.
   *
   * @throws {TailraceError} `REJECTS_NOT_WRITABLE`; from then on always.
   */
  flush(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    if (this.#heldBytes === 0) return;
    const bytes = Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    this.#bytes += bytes.length;
    try {
      await this.#handle.appendFile(bytes);
      await this.#handle.datasync();
    } catch (error) {
      throw notWritable(this.path, error);
    }
  }

  /** Takes the file away when there is nothing in it; to be called when the replay is over. */
  async removeEmpty(): Promise<void> {
    if (this.position.bytes === 0) await unlink(this.path).catch(() => {});
  }

  /** Safe to call twice. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#writing.catch(() => {});
    await this.#handle.close();
  }
}

function notWritable(path: string, cause: unknown): TailraceError {
  const message = `the reject file ${path} cannot be written: ${writeProblem(cause)}; mend that, or name another with --rejects`;
  return new TailraceError('REJECTS_NOT_WRITABLE', message, { cause });
}
