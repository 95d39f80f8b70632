import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { drawUpAccounts, type Evidence } from '../../src/demo/accounts.ts';

type Fate = 'delivered' | 'dropped' | 'left' | 'waiting' | 'failed';

/** What is found after a demo in which each event met its fate. */
function evidenceOf(fates: readonly Fate[]): Evidence {
  const ids = (...wanted: Fate[]) => fates.flatMap((fate, at) => (wanted.includes(fate) ? [String(at + 1)] : []));
  const count = (fate: Fate) => ids(fate).length;
  return {
    recorded: fates.length,
    lines: fates.map((fate, at) => ({
      id: String(at + 1),
      eventType: fate === 'dropped' ? 'delivery_attempt' : 'scomp',
    })),
    acceptedIds: new Set(ids('delivered')),
    queuedIds: new Set(ids('left', 'waiting', 'failed')),
    droppedTypes: new Set(['delivery_attempt']),
    status: { left: count('left'), waiting: count('waiting'), failed: count('failed') },
  };
}

const someFates = fc.array(fc.constantFrom<Fate>('delivered', 'dropped', 'left', 'waiting', 'failed'), {
  minLength: 1,
});

test('counts each event by its fate', () => {
  const accounts = drawUpAccounts(evidenceOf(['delivered', 'delivered', 'dropped', 'left', 'waiting', 'failed']));
  expect(accounts).toEqual({
    ...{ recorded: 6, delivered: 2, dropped: 1, left: 1, waiting: 1, failed: 1, logged: 6 },
    problems: [],
  });
});

test('finds nothing amiss whatever the fates are', () => {
  fc.assert(
    fc.property(someFates, (fates) => {
      expect(drawUpAccounts(evidenceOf(fates)).problems).toEqual([]);
    }),
  );
});

describe('notices', () => {
  const without = (ids: ReadonlySet<string>) => new Set([...ids].slice(1));
  const faults: Record<string, { fate: Fate; spoil: (evidence: Evidence) => Evidence }> = {
    'a line that is missing': { fate: 'delivered', spoil: (it) => ({ ...it, lines: it.lines.slice(1) }) },
    'a line that stands there twice': {
      fate: 'delivered',
      spoil: (it) => ({ ...it, lines: [...it.lines, ...it.lines.slice(0, 1)] }),
    },
    'a line twice in the place of another': {
      fate: 'delivered',
      spoil: (it) => ({ ...it, lines: [...it.lines.slice(1), ...it.lines.slice(-1)] }),
    },
    'a row that is gone although nobody accepted it': {
      fate: 'delivered',
      spoil: (it) => ({ ...it, acceptedIds: without(it.acceptedIds) }),
    },
    'a row that is gone although it was to be left': {
      fate: 'left',
      spoil: (it) => ({ ...it, queuedIds: without(it.queuedIds) }),
    },
    'a row that status does not count': {
      fate: 'failed',
      spoil: (it) => ({ ...it, status: { ...it.status, failed: it.status.failed - 1 } }),
    },
  };

  test.each(Object.entries(faults))('%s', (_name, { fate, spoil }) => {
    fc.assert(
      fc.property(someFates, (fates) => {
        expect(drawUpAccounts(spoil(evidenceOf([fate, ...fates, 'delivered']))).problems).not.toEqual([]);
      }),
    );
  });
});
