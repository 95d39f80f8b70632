// Saves ten times a second while something goes on, one saving at a time, and less often, down to twice a second, where
// saving takes long. The timer also keeps the process alive while a replay waits for nothing but the moment of a retry.

const EVERY_MS = 100;
const AT_LEAST_EVERY_MS = 500;

export class Saver {
  readonly #save: () => Promise<void>;
  readonly #failed = new AbortController();
  #saving: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;
  #ended = false;

  /** @param save not called again before it has resolved. */
  constructor(save: () => Promise<void>) {
    this.#save = save;
  }

  /** Aborts when saving has failed; `end` throws why. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  /** Saves for the first time. @throws whatever `save` throws. */
  async start(): Promise<void> {
    await this.#save();
    this.#saveIn(EVERY_MS);
  }

  #saveIn(ms: number): void {
    this.#timer = setTimeout(async () => {
      const beganMs = performance.now();
      await this.now();
      const tookMs = performance.now() - beganMs;
      if (!this.#ended) this.#saveIn(Math.min(Math.max(EVERY_MS, 3 * tookMs), AT_LEAST_EVERY_MS));
    }, ms);
  }

  /** Resolves when the saving under way, or else a new one, has ended; never rejects. */
  now(): Promise<void> {
    if (this.failed.aborted) return Promise.resolve();
    this.#saving ??= this.#save()
      .catch((error: unknown) => this.#failed.abort(error))
      .finally(() => {
        this.#saving = null;
      });
    return this.#saving;
  }

  /** Saves for the last time. @throws what a saving threw. */
  async end(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    await this.#saving;
    this.failed.throwIfAborted();
    await this.#save();
  }
}
