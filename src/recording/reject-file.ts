// Keeps what could not be recorded: JSON lines with the place, the reason and the input as it was read, so that
// `jq -r .input` gives back what has to be mended. Made when the first event is rejected, only ever added to.

import { access, type FileHandle, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { TailraceError } from '../lib/errors.ts';
import { writeProblem } from '../lib/file-problem.ts';

export interface Rejection {
  /** The input's path, or `stdin`. */
  readonly source: string;
  readonly line: number;
  readonly error: string;
  readonly input: string;
}

/** Events bear addresses of people: readable by the owner and the group only. */
const MODE = 0o640;

export class RejectFile {
  readonly path: string;
  #handle: FileHandle | null = null;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Whether there is a folder for it and none in its place, asked before the first event is recorded.
   *
   * @throws {TailraceError} `REJECTS_NOT_WRITABLE`.
   */
  async checkPlace(): Promise<void> {
    const stats = await stat(this.path).catch(() => null);
    if (stats?.isDirectory()) throw this.#notWritable({ code: 'EISDIR' });
    try {
      // With the slash a file in the folder's place is an error.
      await access(`${dirname(this.path)}/`);
    } catch (cause) {
      throw this.#notWritable(cause);
    }
  }

  /** @throws {TailraceError} `REJECTS_NOT_WRITABLE`. */
  async add({ source, line, error, input }: Rejection): Promise<void> {
    try {
      this.#handle ??= await open(this.path, 'a', MODE);
      await this.#handle.appendFile(`${JSON.stringify({ source, line, error, input })}\n`);
    } catch (cause) {
      throw this.#notWritable(cause);
    }
  }

  #notWritable(cause: unknown): TailraceError {
    const message = `the reject file ${this.path} cannot be written: ${writeProblem(cause)}; mend that, or name another with --rejects`;
    return new TailraceError('REJECTS_NOT_WRITABLE', message, { cause });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }
}
