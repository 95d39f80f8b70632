// Which events are recorded, for a process that records: the control directory's files where there is one, what
// PostgreSQL keeps otherwise. Looked at anew at least every half second; counts what passes and what does not.

import { hostname } from 'node:os';
import { switchOf } from '../event/recording-switches.ts';
import { codeOf } from '../lib/errors.ts';
import type { ControlDirectory, ControlState } from './control-directory.ts';
import type { QueryClient } from './queue-table.ts';
import {
  addCounts,
  engineSwitches,
  OTHER_TYPES,
  type RecordingCount,
  readSwitches,
  storeSwitches,
  switchKey,
} from './switch-store.ts';
import { watchControlDirectory } from './watch-control.ts';

/** How old what was read from PostgreSQL may be; SPEC 7 allows a second, and a batch from a pipe takes its time too. */
const MAX_AGE_MS = 300;
const INSUFFICIENT_PRIVILEGE = '42501';

/** What a recorder asks. */
export interface Switches {
  /** Looks at the switches unless that was done a moment ago. Call it before each batch. @throws what the client throws. */
  refresh(): Promise<void>;
  /** @param type current or former name. @param ofStudio it has a Studio id. */
  isOn(type: string, ofStudio: boolean): boolean;
  /** Notes what became of an event, or of so many. */
  count(type: string, ofStudio: boolean, outcome: 'recorded' | 'suppressed', events?: number): void;
  /** Adds what was noted to the counts in PostgreSQL. */
  flush(): Promise<void>;
}

export interface SwitchesOptions {
  /** null: the Engine's switches are those in PostgreSQL. */
  readonly directory: ControlDirectory | null;
  /** A file that cannot be understood and counts as off; once for each. */
  readonly onProblem: (path: string, problem: string) => void;
}

/** Where switches were mirrored from: `host:directory`. */
export const placeOf = ({ path }: ControlDirectory): string => `${hostname()}:${path}`;

/**
 * Opens the switches on a connected client, which nobody else uses at the same moment.
 *
 * @throws {TailraceError} `SWITCHES_MISSING`.
 */
export async function openSwitches(
  client: QueryClient,
  { directory, onProblem }: SwitchesOptions,
): Promise<Switches & AsyncDisposable> {
  const ending = new AbortController();
  let engine: ControlState | null = null;
  let mirrored: ControlState | null = null;
  let watching = Promise.resolve();
  if (directory !== null) {
    await new Promise<void>((resolve, reject) => {
      const onState = (state: ControlState): void => {
        engine = state;
        resolve();
      };
      watching = watchControlDirectory(directory, { signal: ending.signal, onState, onProblem });
      watching.catch(reject);
    });
  }
  let stored: ReadonlySet<string> = new Set();
  let readAt = Number.NEGATIVE_INFINITY;
  let counts = new Map<string, RecordingCount>();

  /** A producer's role need not be allowed to: then a processor with this directory does it. */
  const mirror = async (): Promise<void> => {
    if (directory === null || engine === null || engine === mirrored) return;
    mirrored = engine;
    await storeSwitches(client, engineSwitches(engine.on), placeOf(directory)).catch((error: unknown) => {
      if (codeOf(error) !== INSUFFICIENT_PRIVILEGE) throw error;
    });
  };

  const refresh = async (): Promise<void> => {
    if (performance.now() - readAt >= MAX_AGE_MS) {
      const startedAt = performance.now();
      stored = await readSwitches(client);
      readAt = startedAt;
    }
    await mirror();
  };
  const dispose = async (): Promise<void> => {
    ending.abort();
    await watching;
  };
  await refresh().catch(async (error: unknown) => {
    await dispose();
    throw error;
  });

  return {
    refresh,
    isOn(type, ofStudio) {
      const found = switchOf(type, ofStudio);
      if (found === null) return true;
      return found.origin === 'engine' && engine !== null ? engine.on.has(found.type) : stored.has(switchKey(found));
    },
    count(type, ofStudio, outcome, events = 1) {
      const found = switchOf(type, ofStudio);
      const key = found ? switchKey(found) : OTHER_TYPES;
      const before = counts.get(key) ?? {
        type: found?.type ?? OTHER_TYPES,
        ofStudio: found?.origin === 'studio',
        recorded: 0,
        suppressed: 0,
      };
      counts.set(key, { ...before, [outcome]: before[outcome] + events });
    },
    async flush() {
      if (counts.size === 0) return;
      const noted = [...counts.values()];
      counts = new Map();
      await addCounts(client, noted);
    },
    [Symbol.asyncDispose]: dispose,
  };
}
