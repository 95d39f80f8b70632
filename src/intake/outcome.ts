// From a request's good events to the units that are stored, and from what became of those to the request's answer.

import { codeOf, messageOf } from '../lib/errors.ts';
import { type EventProblem, invalidEvents, type Receipt, type Refused, unavailable } from './answers.ts';
import type { RefusedRow, Unit } from './insert-units.ts';
import type { GoodEvent, Submission } from './submission.ts';

/** Sums over all requests. */
export interface Counts {
  recorded: number;
  suppressed: number;
  rejected: number;
}

export interface Answer {
  readonly settle: (receipt: Receipt) => void;
  readonly refuse: (reason: Refused) => void;
}

/** What is to be stored of a submission. It is answered when every unit has been told its end, at once if there is none. */
export function unitsOf(submission: Submission, { settle, refuse }: Answer, counts: Counts): readonly Unit[] {
  const { store, total, events, partial } = submission;
  const ids: (string | null)[] = new Array(total).fill(null);
  const problems = [...submission.problems];
  const admitted: GoodEvent[] = [];
  const suppressed: GoodEvent[] = [];
  for (const event of events) {
    const isOn = store.switches?.isOn(event.type, event.ofStudio) ?? true;
    (isOn ? admitted : suppressed).push(event);
  }
  let open = 0;

  const finish = (): void => {
    const recorded = admitted.filter(({ index }) => ids[index] !== null);
    for (const { type, ofStudio } of recorded) store.switches?.count(type, ofStudio, 'recorded');
    counts.recorded += recorded.length;
    counts.rejected += new Set(problems.map(({ index }) => index)).size;
    if (recorded.length + suppressed.length === 0 && problems.length > 0) {
      refuse(invalidEvents(sorted(problems), total));
      return;
    }
    for (const { type, ofStudio } of suppressed) store.switches?.count(type, ofStudio, 'suppressed');
    counts.suppressed += suppressed.length;
    settle({ ids, suppressed: suppressed.map(({ index }) => index), problems: sorted(problems) });
  };

  const unit = (group: readonly GoodEvent[]): Unit => {
    open += 1;
    const end = (): void => {
      open -= 1;
      if (open === 0) finish();
    };
    return {
      rows: group.map(({ row }) => row),
      stored(given) {
        for (const [at, { index }] of group.entries()) ids[index] = given[at] ?? null;
        end();
      },
      refused(rows) {
        problems.push(...rows.map((row) => problemOf(group, row)));
        if (partial) return end();
        counts.rejected += rows.length;
        refuse(invalidEvents(problems, total));
      },
      failed(error) {
        if (!partial) return refuse(unavailable(false, `PostgreSQL refused for the time being (${codeOf(error)})`));
        problems.push(...group.map((_, at) => problemOf(group, { at, error: `not recorded: ${messageOf(error)}` })));
        return end();
      },
    };
  };

  const units = partial ? admitted.map((event) => unit([event])) : admitted.length > 0 ? [unit(admitted)] : [];
  if (units.length === 0) finish();
  return units;
}

function problemOf(group: readonly GoodEvent[], { at, error }: RefusedRow): EventProblem {
  const event = group[at];
  return { index: event?.index ?? 0, ...(event?.line ? { line: event.line } : {}), field: null, message: error };
}

const sorted = (problems: readonly EventProblem[]): EventProblem[] => [...problems].sort((a, b) => a.index - b.index);
