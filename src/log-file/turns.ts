// One at a time at the log file: a batch, or a look at the path.

export class Turns {
  #current: Promise<void> | null = null;

  /** The end of the turn under way, null while there is none; never rejects. */
  get current(): Promise<void> | null {
    return this.#current;
  }

  /** Does the work when nobody else has the turn: at once, when nobody has it now. */
  async take<T>(work: () => Promise<T>): Promise<T> {
    while (this.#current !== null) await this.#current;
    const mine = work();
    this.#current = mine.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await mine;
    } finally {
      this.#current = null;
    }
  }
}
