// What the switches make of one batch: asked once for each kind of event in it, and told once, not event by event.

import type { Switches } from './switches.ts';

/** What a switch hangs on. */
interface Kind {
  readonly type: string;
  readonly ofStudio: boolean;
}

interface KindTally extends Kind {
  readonly isOn: boolean;
  events: number;
}

export interface Tally {
  /** Counts an event. @returns whether its switch is on. */
  passes(event: Kind): boolean;
  /** Tells the switches; `refused` are those that passed and were not stored after all. */
  note(switches: Pick<Switches, 'count'>, refused: readonly Kind[]): void;
  /** Event type → how many were switched off, these and those before. */
  suppressed(before: ReadonlyMap<string, number>): ReadonlyMap<string, number>;
}

/** Creates the tally of one batch, for the switches as they are now. */
export function createTally(switches: Pick<Switches, 'isOn'>): Tally {
  const ofEngine = new Map<string, KindTally>();
  const ofStudio = new Map<string, KindTally>();

  const tallyOf = (event: Kind): KindTally => {
    const kinds = event.ofStudio ? ofStudio : ofEngine;
    const known = kinds.get(event.type);
    if (known !== undefined) return known;
    const { type } = event;
    const made = { type, ofStudio: event.ofStudio, isOn: switches.isOn(type, event.ofStudio), events: 0 };
    kinds.set(type, made);
    return made;
  };
  const all = (): KindTally[] => [...ofEngine.values(), ...ofStudio.values()];

  return {
    passes(event) {
      const kind = tallyOf(event);
      kind.events += 1;
      return kind.isOn;
    },
    note({ count }, refused) {
      for (const each of refused) tallyOf(each).events -= 1;
      for (const { type, ofStudio: isStudio, isOn, events } of all()) {
        if (events > 0) count(type, isStudio, isOn ? 'recorded' : 'suppressed', events);
      }
    },
    suppressed(before) {
      const sums = new Map(before);
      for (const { type, isOn, events } of all()) {
        if (!isOn) sums.set(type, (sums.get(type) ?? 0) + events);
      }
      return sums;
    },
  };
}
