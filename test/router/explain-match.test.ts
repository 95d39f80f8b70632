import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalType } from '../../src/event/catalog.ts';
import { explainMatches } from '../../src/router/explain-match.ts';
import { matchesOf } from '../../src/router/match.ts';

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

const routeOf = (types: readonly string[] | null, classes: readonly string[] | null, continues = false) => ({
  continues,
  matches: {
    eventTypes: types && new Set(types.map(canonicalType)),
    mailClasses: classes && new Set(classes.map((name) => name.toLowerCase())),
  },
});

const someOf = (names: readonly string[]) =>
  fc.option(fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }), { freq: 2 });

test('says taken of exactly the routes that the router takes, and why of the others', () => {
  const routes = fc.array(fc.tuple(someOf(TYPES), someOf(CLASSES), fc.boolean()), { maxLength: 6 });
  const type = fc.option(fc.constantFrom(...TYPES, ...TYPES.map((name) => name.toUpperCase())), { freq: 9 });
  const mailclass = fc.option(fc.constantFrom(...CLASSES));
  fc.assert(
    fc.property(routes, type, mailclass, (words, eventType, mailClass) => {
      const wanted = words.map(([types, classes, continues]) => routeOf(types, classes, continues));
      const verdicts = explainMatches(wanted, eventType, mailClass);
      const taken = matchesOf(wanted, eventType, mailClass);
      expect(verdicts.flatMap(({ verdict }, at) => (verdict === 'taken' ? [at] : []))).toEqual(taken);
      verdicts.forEach(({ verdict, taken_by, conditions }, at) => {
        // Its conditions are all met, or one of them says why not.
        expect(conditions.every(({ matched }) => matched)).toBe(verdict !== 'other');
        expect(taken_by).toBe(verdict === 'behind' ? taken.at(-1) : null);
        if (verdict === 'behind') {
          expect(taken_by).toBeLessThan(at);
          expect(wanted[taken_by ?? -1]?.continues).toBe(false);
        }
      });
    }),
    { numRuns: 2_000 },
  );
});

test('each condition says what was found and what was wanted', () => {
  const [verdict] = explainMatches([routeOf(['hook_stat', 'scomp'], ['Password-Reset'])], 'HOOK_STAT', 'newsletter');
  expect(verdict).toEqual({
    verdict: 'other',
    taken_by: null,
    conditions: [
      {
        key: 'event_type',
        matched: true,
        found: 'HOOK_STAT',
        current_name: 'bounce_all',
        wanted: ['bounce_all', 'scomp'],
      },
      { key: 'mail_class', matched: false, found: 'newsletter', current_name: null, wanted: ['password-reset'] },
    ],
  });
});

test('an event without a type or class meets no condition on it, and meets `all`', () => {
  const verdicts = explainMatches([routeOf(['scomp'], null), routeOf(null, ['x']), routeOf(null, null)], null, null);
  expect(verdicts.map(({ verdict }) => verdict)).toEqual(['other', 'other', 'taken']);
  expect(verdicts[2]?.conditions).toEqual([{ key: 'all', matched: true, found: null, current_name: null, wanted: [] }]);
});
