// Saves ten times a second while something goes on, one saving at a time. The timer also keeps the process alive
// while a replay waits for nothing but the moment of a retry.

const EVERY_MS = 100;

export class Saver {
  readonly #save: () => Promise<void>;
  readonly #failed = new AbortController();
  #saving: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;

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
    this.#timer = setInterval(() => void this.now(), EVERY_MS);
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
    clearInterval(this.#timer);
    await this.#saving;
    this.failed.throwIfAborted();
    await this.#save();
  }
}
