// A string that must not reach a log line, an error, `status` or a metric. Whoever needs it says `reveal()`, which is
// easy to find in a review; every other way of turning it into text gives `[secret]`.

import { inspect } from 'node:util';

const MASK = '[secret]';

export class Secret {
  readonly #value: string;
  readonly #shown: string;

  /** @param shown what a person may see of it: a URL without its token. */
  constructor(value: string, shown: string = MASK) {
    this.#value = value;
    this.#shown = shown;
  }

  /** As much of it as a person may see, for whoever explains what is sent. */
  get shown(): string {
    return this.#shown;
  }

  /** The string itself, for the one place that sends it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  [inspect.custom](): string {
    return MASK;
  }
}
