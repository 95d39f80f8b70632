// Batches on their way through the stage, one behind the other: what each may wait for of the two before it.

export interface Passage {
  /** True when all its bytes are written, though perhaps not synced, or it is done; false when it has failed before. */
  readonly written: Promise<boolean>;
  /** It has been passed on, or is held. Fails after all before it have come to their end, too. */
  readonly done: Promise<void>;
}

/** Where a batch stands when it comes in. */
export interface Entry {
  readonly before: Passage;
  readonly beforeThat: Passage;
  /** To be called, perhaps more than once, when all its bytes are written. */
  readonly setWritten: () => void;
}

const PASSED: Passage = { written: Promise.resolve(true), done: Promise.resolve() };

export class Passages {
  #last = PASSED;
  #lastButOne = PASSED;

  /** The end of the batch that came in last. */
  get done(): Promise<void> {
    return this.#last.done;
  }

  /** Takes a batch through the stage. @returns its end. */
  enter(work: (entry: Entry) => Promise<void>): Promise<void> {
    const [before, beforeThat] = [this.#last, this.#lastButOne];
    let resolve = (_written: boolean): void => undefined;
    const written = new Promise<boolean>((resolveWritten) => {
      resolve = resolveWritten;
    });
    const take = async (): Promise<void> => {
      try {
        await work({ before, beforeThat, setWritten: () => resolve(true) });
        resolve(true);
      } catch (error) {
        resolve(false);
        await before.done.catch(() => undefined);
        throw error;
      }
    };
    const done = take();
    [this.#last, this.#lastButOne] = [{ written, done }, before];
    return done;
  }
}
