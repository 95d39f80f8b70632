// Spares looking at a file's content, or at all that is in a folder, while its own stamp says that nothing stirred: one
// call of the file system instead of a dozen. The stamp is device, inode and time of change; the last is the system's, which no
// editor can set back, and a folder's changes with each name that comes, goes or becomes another file.

import { stat } from 'node:fs/promises';

/** The coarsest clock of a file system that is in use (FAT's) counts in two seconds: a second change may bear the same stamp. */
const GRAIN_MS = 2_500;
/** Looked all the same this often: a file system over a network may keep no such time. */
const ANYWAY_MS = 10_000;

export class Stillness {
  readonly #path: string;
  /** null: it cannot be had. */
  #stamp: string | null = null;
  /** When this stamp was first seen. */
  #sinceMs = 0;
  /** When a look began that found all well, and behind which no change could bear the same stamp; null = none did. */
  #provenMs: number | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Looks, unless nothing can have changed since all was well.
   *
   * @param look resolves with whether all is well.
   * @returns what `look` says; true when it was spared. Rejects with what `look` throws.
   */
  async isWell(look: () => Promise<boolean>): Promise<boolean> {
    const beganMs = performance.now();
    const stamp = await stampOf(this.#path);
    if (stamp === null || stamp !== this.#stamp) {
      this.#stamp = stamp;
      this.#sinceMs = performance.now();
      this.#provenMs = null;
    } else if (this.#provenMs !== null && beganMs - this.#provenMs < ANYWAY_MS) return true;
    this.#provenMs = null;
    const isWell = await look();
    if (isWell && stamp !== null && beganMs - this.#sinceMs > GRAIN_MS) this.#provenMs = beganMs;
    return isWell;
  }
}

async function stampOf(path: string): Promise<string | null> {
  try {
    const { dev, ino, ctimeNs } = await stat(path, { bigint: true });
    return `${dev} ${ino} ${ctimeNs}`;
  } catch {
    return null;
  }
}
