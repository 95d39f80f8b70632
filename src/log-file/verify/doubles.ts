// Tells events that stand twice from events that only bear the same id (a sequence that was set back): what the bitmap of
// seen ids cannot know. As many ids at a time as fit into memory; when some events are found twice, the rest is not
// looked at any more, since the answer is known.

import { IdBitmap, placeOf } from '../../lib/id-bitmap.ts';
import type { WrittenFile } from '../written-files.ts';
import type { Findings } from './faults.ts';
import { type LocatedLine, locate } from './locate.ts';

/** About 40 MB. */
const MOST_AT_ONCE = 100_000;
const MOST_EXAMPLES = 5;

export interface Doubles {
  /** Ids that several events bear. */
  readonly reusedIds: number;
  readonly examples: readonly string[];
  /** Ids on several lines that were not looked at more closely, since enough was found. */
  readonly notCompared: number;
}

/** Looks at ids that stand on several lines. */
export async function compareDoubles(
  files: readonly { readonly file: WrittenFile; readonly lines: number }[],
  doubled: IdBitmap,
  findings: Findings,
  mostAtOnce = MOST_AT_ONCE,
): Promise<Doubles> {
  let reusedIds = 0;
  let compared = 0;
  const examples: string[] = [];
  for (const wanted of portions(doubled, mostAtOnce)) {
    if (findings.total > 0) break;
    const seen = new Map<string, LocatedLine[]>();
    await locate(files, wanted, (line) => {
      const known = seen.get(line.eventId) ?? [];
      const first = known.find(({ identity }) => identity === line.identity);
      if (first !== undefined) findings.add('event_twice', () => twice(line, first));
      else if (known.length < MOST_EXAMPLES) seen.set(line.eventId, [...known, line]);
    });
    for (const [id, [one, other]] of seen) {
      if (one === undefined || other === undefined) continue;
      reusedIds += 1;
      if (examples.length < MOST_EXAMPLES)
        examples.push(`${id} at ${one.file}:${one.line} and ${other.file}:${other.line}`);
    }
    compared += wanted.size;
  }
  return { reusedIds, examples, notCompared: doubled.size - compared };
}

const twice = ({ file, line, eventId }: LocatedLine, first: LocatedLine) => ({
  file,
  line,
  column: null,
  eventId,
  message: `event ${eventId} stands at ${first.file}:${first.line} already`,
});

function* portions(ids: IdBitmap, most: number): Generator<IdBitmap> {
  let portion = new IdBitmap();
  for (const id of ids.ids()) {
    const { block, bit } = placeOf(id);
    portion.add(block, bit);
    if (portion.size < most) continue;
    yield portion;
    portion = new IdBitmap();
  }
  if (portion.size > 0) yield portion;
}
