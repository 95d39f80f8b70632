// The intents of a journal of which something is not settled, by their numbers and by the ids in them. An id belongs to
// the newest intent that it stands in.

import type { LogPlace } from './intent.ts';
import type { Scratch } from './load.ts';
import type { SegmentFacts } from './segments.ts';

export interface OpenIntent {
  readonly seq: number;
  readonly ids: readonly string[];
  readonly lastTimeUs: number;
  readonly replaces?: number | undefined;
  /** Where the bytes from index `from` on go. */
  place: LogPlace;
  from: number;
  /** All its lines are on disk in a log file. */
  logged: boolean;
  facts: SegmentFacts;
  read: (scratch?: Scratch) => Promise<Buffer>;
  /** Ids that are not settled. */
  left: number;
}

export class OpenIntents {
  readonly #bySeq = new Map<number, OpenIntent>();
  readonly #byId = new Map<string, OpenIntent>();
  readonly #onSettled: (seq: number) => void;

  /** @param onSettled told the number of an intent when all of it is settled. */
  constructor(onSettled: (seq: number) => void) {
    this.#onSettled = onSettled;
  }

  /** How many ids are not settled. */
  get ids(): number {
    return this.#byId.size;
  }

  get(seq: number): OpenIntent | undefined {
    return this.#bySeq.get(seq);
  }

  /** The intent that an unsettled id belongs to. */
  of(id: string): OpenIntent | undefined {
    return this.#byId.get(id);
  }

  /** Ascending by number. */
  inOrder(): readonly OpenIntent[] {
    return [...this.#bySeq.values()].sort((a, b) => a.seq - b.seq);
  }

  /** Takes an intent in, of whose ids some are not settled. */
  add(intent: OpenIntent, unsettled: readonly string[]): void {
    if (unsettled.length === 0) {
      this.#onSettled(intent.seq);
      return;
    }
    intent.facts.open += 1;
    intent.left = unsettled.length;
    this.#bySeq.set(intent.seq, intent);
    for (const id of unsettled) {
      // An older intent that the id came back after, or whose lines this one replaces. Never deleted and set again: a Map
      // would keep the room of both.
      const older = this.#byId.get(id);
      this.#byId.set(id, intent);
      if (older) this.#letGo(older);
    }
  }

  /** An id is settled; unknown ones are none of ours. */
  settle(id: string): void {
    const intent = this.#byId.get(id);
    if (!intent) return;
    this.#byId.delete(id);
    this.#letGo(intent);
  }

  /** What was unsettled of an intent stands in another segment from now on. */
  move(intent: OpenIntent, to: Pick<OpenIntent, 'facts' | 'read'>): void {
    intent.facts.open -= 1;
    Object.assign(intent, to);
    intent.facts.open += 1;
  }

  #letGo(intent: OpenIntent): void {
    intent.left -= 1;
    if (intent.left > 0) return;
    intent.facts.open -= 1;
    this.#bySeq.delete(intent.seq);
    this.#onSettled(intent.seq);
  }
}
