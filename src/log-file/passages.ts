// Batches on their way through the stage, one behind the other: what each may wait for of the two before it.

export interface Passage {
  /** All its bytes are written, though perhaps not synced; or it is done. */
  readonly written: Promise<void>;
  /** It has been passed on, or is held. */
  readonly done: Promise<void>;
}

/** Where a batch stands when it comes in. */
export interface Entry {
  readonly before: Passage;
  readonly beforeThat: Passage;
  /** To be called, perhaps more than once, when all its bytes are written. */
  readonly setWritten: () => void;
}

const PASSED: Passage = { written: Promise.resolve(), done: Promise.resolve() };

export class Passages {
  #last = PASSED;
  #lastButOne = PASSED;

  /** The end of the batch that came in last. */
  get done(): Promise<void> {
    return this.#last.done;
  }

  /** Takes a batch through the stage. @returns its end. */
  enter(work: (entry: Entry) => Promise<void>): Promise<void> {
    let setWritten = (): void => undefined;
    const written = new Promise<void>((resolve) => {
      setWritten = resolve;
    });
    const done = work({ before: this.#last, beforeThat: this.#lastButOne, setWritten }).finally(setWritten);
    [this.#last, this.#lastButOne] = [{ written, done }, this.#last];
    return done;
  }
}
