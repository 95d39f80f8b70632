// What can be wrong with a log: one name for each kind, for scripts, and what a person does about it.

/** Every kind of finding, and the advice that is printed with it. */
export const ADVICE = {
  not_json: 'the file was damaged or edited; `tailrace trace ID` says what became of the event',
  cut_line:
    'a crash, a full disk or a move cut it off; see whether its event has a whole line elsewhere: `tailrace trace ID`',
  nul_bytes: 'a power cut left bytes that were never written; look for the events of that moment with `tailrace trace`',
  not_utf8: 'the file was damaged or edited with another encoding',
  empty_line: 'no line of tailrace is empty: something else wrote to the file',
  carriage_return: 'the file was converted to CRLF, or something else wrote to it: `sed -i "s/\\r$//"` on a copy',
  too_long: 'no line of tailrace is that long: something else wrote to the file',
  not_an_object: 'something else wrote to the file',
  not_compact:
    'the line was rewritten by another program; programs that look for lines as tailrace writes them may miss it',
  key_missing: 'another program wrote or filtered the line, or this is another kind of log',
  key_order: 'another program rewrote the line; programs that rely on the order may read it wrongly',
  key_twice: 'another program rewrote the line, and its readers do not agree on which value counts',
  bad_value: 'another program wrote or rewrote the line',
  time_not_later:
    'were files put together in the wrong order, lines doubled, or are these the logs of two shards? Verify the log of each shard by itself',
  clock_set_back:
    'when the clock was set back by more than five seconds the lines follow it, with the warning "clock stepped back" among the messages of that time; otherwise files were put together in the wrong order',
  event_twice:
    'readers of the log count it twice; `tailrace trace ID` shows where both lines stand. Was a file copied, restored or packed halfway?',
  file_damaged: 'look for a whole copy; what stands before the damage was verified',
  line_missing:
    'was a file left out, removed, or does it belong to another shard? `tailrace trace ID FILE…` looks for it',
  row_came_back:
    'the row was put back (a restored backup?): tailrace would write a second line. Delete the row before `tailrace run`, if the event is done with',
} as const;

export type FaultKind = keyof typeof ADVICE;

/** What is wrong with a line, or at a place in it. */
export interface Fault {
  readonly kind: FaultKind;
  /** Byte of the line, from 1; null: it is about the whole line. */
  readonly column: number | null;
  /** What was found, and what was expected. */
  readonly message: string;
}

/** A fault and where it is. */
export interface Finding extends Fault {
  /** null: it is about the queue. */
  readonly file: string | null;
  /** From 1; null: it is about the whole file. */
  readonly line: number | null;
  readonly eventId: string | null;
}

/** Keeps the first findings that were made, and counts them all. */
export class Findings {
  readonly #most: number;
  readonly #kept: Finding[] = [];
  readonly #counts = new Map<FaultKind, number>();

  /** @param most so many are kept. */
  constructor(most: number) {
    this.#most = most;
  }

  get kept(): readonly Finding[] {
    return this.#kept;
  }

  /** How many of each kind. */
  get counts(): ReadonlyMap<FaultKind, number> {
    return this.#counts;
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** @param finding made only when it is kept. */
  add(kind: FaultKind, finding: () => Omit<Finding, 'kind'>): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    if (this.#kept.length < this.#most) this.#kept.push({ kind, ...finding() });
  }
}
