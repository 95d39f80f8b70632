import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findEventType } from '../../src/event/catalog.ts';
import { matchesOf } from '../../src/router/match.ts';

interface InWords {
  readonly types: readonly string[] | null;
  readonly classes: readonly string[] | null;
  readonly continues: boolean;
}

/** As SPEC 5 puts it: the first entry all of whose conditions the event meets, whatever the case, and on with `continue`. */
function naive(routes: readonly InWords[], type: string | null, mailclass: string | null): number[] {
  const found = [];
  for (const [at, { types, classes, continues }] of routes.entries()) {
    const sameType = (name: string): boolean => {
      const current = (some: string): string => (findEventType(some)?.name ?? some).toLowerCase();
      return type !== null && current(name) === current(type);
    };
    if (types !== null && !types.some(sameType)) continue;
    if (classes !== null && !classes.some((name) => name.toLowerCase() === mailclass?.toLowerCase())) continue;
    found.push(at);
    if (!continues) return found;
  }
  return found;
}

const current = (name: string): string => (findEventType(name)?.name ?? name).toLowerCase();

const TYPES = [
  'bounce_all',
  'hook_stat',
  'Hook_Unsub',
  'engine_unsub',
  'SCOMP',
  'hook_scomp',
  'toString',
  'my_own',
  '',
];
const CLASSES = ['transactional', 'Transactional', 'bulk', 'constructor', ''];

const someOf = (names: readonly string[]) =>
  fc.option(fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }), { freq: 2 });

test('an event takes the routes it matches up to the first without continue, former names and case included', () => {
  const routes = fc.array(fc.record({ types: someOf(TYPES), classes: someOf(CLASSES), continues: fc.boolean() }), {
    maxLength: 6,
  });
  const type = fc.option(fc.constantFrom(...TYPES, ...TYPES.map((name) => name.toUpperCase())), { freq: 9 });
  const mailclass = fc.option(fc.constantFrom(...CLASSES));
  fc.assert(
    fc.property(routes, type, mailclass, (wanted, eventType, mailClass) => {
      const matches = wanted.map(({ types, classes, continues }) => ({
        continues,
        matches: {
          eventTypes: types && new Set(types.map(current)),
          mailClasses: classes && new Set(classes.map((name) => name.toLowerCase())),
        },
      }));
      expect(matchesOf(matches, eventType, mailClass)).toEqual(naive(wanted, eventType, mailClass));
    }),
    { numRuns: 2_000 },
  );
});
