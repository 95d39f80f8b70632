// Keeps what could not be recorded: JSON lines with the place, the reason and the input as it was read, so that
// `jq -r .input` gives back what has to be mended. Made when the first event is rejected, only ever added to.

import { type FileHandle, open } from 'node:fs/promises';
import { messageOf, TailraceError } from '../lib/errors.ts';

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

  /** @throws {TailraceError} `REJECTS_NOT_WRITABLE`. */
  async add({ source, line, error, input }: Rejection): Promise<void> {
    try {
      this.#handle ??= await open(this.path, 'a', MODE);
      await this.#handle.appendFile(`${JSON.stringify({ source, line, error, input })}\n`);
    } catch (cause) {
      const message = `the reject file cannot be written: ${messageOf(cause)}; name another with --rejects`;
      throw new TailraceError('REJECTS_NOT_WRITABLE', message, { cause });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }
}
