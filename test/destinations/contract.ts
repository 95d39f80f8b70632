// What every destination promises (src/destinations/destination.ts), run against each of them.

import { describe, expect, test } from 'vitest';
import type { Destination } from '../../src/destinations/destination.ts';
import { sampleEvent } from './samples.ts';

export interface Subject extends AsyncDisposable {
  readonly destination: Destination;
  /** From now on events with these ids are refused; null where nothing is ever refused. */
  readonly refuse: ((ids: ReadonlySet<string>) => void) | null;
  /** From now on nothing is answered; null where nothing is asked. */
  readonly hang: (() => void) | null;
}

const events = (...ids: readonly number[]) => ids.map((id) => sampleEvent({ id: String(id) }));
const never = () => ({ signal: new AbortController().signal });

/** Declares the contract's tests for one destination. */
export function describeDestination(name: string, create: () => Promise<Subject>): void {
  describe(name, () => {
    test('accepts events with one result each', async () => {
      await using subject = await create();
      const { destination } = subject;
      expect(await destination.deliver(events(1), never())).toEqual([{ ok: true }]);
      expect(await destination.deliver(events(2, 3, 4), never())).toEqual([{ ok: true }, { ok: true }, { ok: true }]);
    });

    test('answers an empty list with an empty list', async () => {
      await using subject = await create();
      expect(await subject.destination.deliver([], never())).toEqual([]);
    });

    test('takes more events than it has connections', async () => {
      await using subject = await create();
      const many = events(...Array.from({ length: 100 }, (_, id) => id));
      const results = await subject.destination.deliver(many, never());
      expect(results.map(({ ok }) => ok)).toEqual(many.map(() => true));
    });

    test('keeps concurrent calls apart', async () => {
      await using subject = await create();
      subject.refuse?.(new Set(['2', '5']));
      const calls = [events(1, 2), events(3), events(), events(4, 5, 6)];
      const results = await Promise.all(calls.map((call) => subject.destination.deliver(call, never())));
      const refused = subject.refuse
        ? [[true, false], [true], [], [true, false, true]]
        : calls.map((c) => c.map(() => true));
      expect(results.map((call) => call.map(({ ok }) => ok))).toEqual(refused);
    });

    test('says of each event in the order given whether it was accepted, as values', async () => {
      await using subject = await create();
      subject.refuse?.(new Set(['8', '6']));
      const results = await subject.destination.deliver(events(9, 8, 7, 6), never());
      expect(results.map(({ ok }) => ok)).toEqual(
        subject.refuse ? [true, false, true, false] : [true, true, true, true],
      );
      for (const result of results) if (!result.ok) expect(result.error).toMatch(/^[^\n]+$/);
    });

    test('ends with failures, not with exceptions, when it is aborted', async () => {
      await using subject = await create();
      subject.hang?.();
      const abort = new AbortController();
      const under = subject.destination.deliver(events(1, 2), { signal: abort.signal });
      abort.abort();
      const costsNothing = subject.destination.outcome !== 'delivered';
      expect((await under).map(({ ok }) => ok)).toEqual([costsNothing, costsNothing]);
      const after = await subject.destination.deliver(events(3), { signal: abort.signal });
      expect(after.map(({ ok }) => ok)).toEqual([costsNothing]);
    });

    test('closes twice, and then gives values, not exceptions', async () => {
      await using subject = await create();
      await subject.destination.deliver(events(1), never());
      await Promise.all([subject.destination.close(), subject.destination.close()]);
      await subject.destination.close();
      const results = await subject.destination.deliver(events(1, 2), never());
      const costsNothing = subject.destination.outcome !== 'delivered';
      expect(results.map(({ ok }) => ok)).toEqual([costsNothing, costsNothing]);
    });

    test('fails what is under way when it is closed', async () => {
      await using subject = await create();
      subject.hang?.();
      const under = subject.destination.deliver(events(1), never());
      await subject.destination.close();
      expect((await under).map(({ ok }) => ok)).toEqual([subject.hang === null]);
    });

    test('leaves no listener behind on the signal', async () => {
      await using subject = await create();
      const { signal } = new AbortController();
      let listeners = 0;
      const add = signal.addEventListener.bind(signal);
      const remove = signal.removeEventListener.bind(signal);
      signal.addEventListener = (...args: Parameters<typeof add>) => {
        listeners += 1;
        add(...args);
      };
      signal.removeEventListener = (...args: Parameters<typeof remove>) => {
        listeners -= 1;
        remove(...args);
      };
      await subject.destination.deliver(events(1, 2, 3), { signal });
      expect(listeners).toBe(0);
    });
  });
}
