import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MatchConfig } from '../../src/config/config.ts';
import { findDeadRules, readMatches } from '../../src/config/matching.ts';
import { destinations, load, messages, post } from './config-file.ts';

const ALL = { all: true };

async function warningsOf(...matches: unknown[]): Promise<string[]> {
  const loaded = await load(destinations(...matches.map((rule, at) => post(`http://h/${at}`, {}, { matches: rule }))));
  expect(loaded.config).not.toBeNull();
  return messages(loaded);
}

describe('a rule that never matches is a warning', () => {
  test.each([
    ['after all', [ALL]],
    ['with the type of an earlier rule', [{ event_type: 'scomp' }, { event_type: 'SCOMP', mail_class: 'a' }]],
    ['with the former name of an earlier type', [{ event_type: 'bounce_all' }, { event_type: 'hook_stat' }]],
    ['whose types are taken by several rules', [{ event_type: 'a' }, { event_type: 'b' }, { event_type: ['a', 'b'] }]],
    [
      'whose pairs are taken one by one',
      [
        { event_type: 'a', mail_class: 'x' },
        { event_type: 'b', mail_class: ['x', 'y'] },
        { mail_class: 'y' },
        { event_type: ['a', 'b'], mail_class: ['x', 'y'] },
      ],
    ],
  ])('%s', async (_, rules) => {
    const warnings = (await warningsOf(...rules)).filter((message) => message.includes('never matches'));
    expect(warnings).toHaveLength(1);
  });

  test('that names the lines of the rules that take its events', async () => {
    const loaded = await load(`{"event_destinations": [
      {"matches": {"event_type": "scomp"}, "destination": {"type": "leave_in_queue"}},
      {"matches": {"mail_class": "a"}, "destination": {"type": "leave_in_queue"}},
      {"matches": {"event_type": "scomp", "mail_class": "a"}, "destination": {"type": "drop_from_queue"}},
      {"matches": {"all": true}, "destination": {"type": "leave_in_queue"}}
    ]}`);
    expect(messages(loaded)).toEqual([
      '4:19 warning: this rule never matches: the rules above it take all of its events (line 2)',
    ]);
  });
});

test.each([
  [
    'another class',
    [
      { event_type: 'scomp', mail_class: 'a' },
      { event_type: 'scomp', mail_class: 'b' },
    ],
  ],
  ['events without a class', [{ event_type: 'scomp', mail_class: 'a' }, { event_type: 'scomp' }]],
  ['types that no rule names', [{ event_type: 'scomp' }, { mail_class: 'a' }]],
])('a rule that still gets %s is fine', async (_, rules) => {
  expect(await warningsOf(...rules)).toEqual([]);
});

test('a rule is called dead exactly when no event can reach it', () => {
  const words = fc.option(fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 1 }), { nil: undefined });
  const rules = fc.array(fc.record({ event_type: words, mail_class: words, continues: fc.boolean() }), {
    minLength: 1,
    maxLength: 8,
  });
  // The fourth word stands for all that no rule names.
  const events = ['a', 'b', 'c', 'other'].flatMap((type) =>
    ['a', 'b', 'c', 'other'].map((name) => [type, name] as const),
  );
  const takes = ({ eventTypes, mailClasses }: MatchConfig, type: string, name: string) =>
    (eventTypes?.has(type) ?? true) && (mailClasses?.has(name) ?? true);
  fc.assert(
    fc.property(rules, (inputs) => {
      const matches = inputs.map(readMatches);
      const reached = new Set(
        events.flatMap(([type, name]) => {
          const taken = [...matches.keys()].filter((at) => takes(matches[at] as MatchConfig, type, name));
          const last = taken.findIndex((at) => !inputs[at]?.continues);
          return last < 0 ? taken : taken.slice(0, last + 1);
        }),
      );
      const dead = findDeadRules(
        matches.map((rule, at) => ({ at, matches: rule, continues: inputs[at]?.continues ?? false })),
        (at) => at,
      );
      expect(dead.map(({ path }) => path[1])).toEqual([...matches.keys()].filter((at) => !reached.has(at)));
    }),
  );
});

test('an unknown event type is a warning with the nearest known one', async () => {
  expect(await warningsOf({ event_type: ['bounce_al', 'our_own_thing', 'hook_bounce'] })).toEqual([
    '6:11 warning: unknown event type "bounce_al"; did you mean "bounce_all"?',
    '7:11 warning: unknown event type "our_own_thing"',
  ]);
});

test('a word that is given twice is a warning', async () => {
  expect(await warningsOf({ event_type: ['scomp', 'scomp', 'Hook_Scomp'], mail_class: ['a', 'A'] })).toEqual([
    '7:11 warning: "scomp" is listed twice',
    '8:11 warning: "Hook_Scomp" is the same as "scomp"',
    '12:11 warning: "A" is the same as "a"',
  ]);
});

test('a rule below one that continues still gets its events', async () => {
  const loaded = await load(
    destinations(post('http://h/1', {}, { matches: ALL, continue: true }), post('http://h/2', {}, { matches: ALL })),
  );
  expect(messages(loaded).filter((message) => !message.includes('this rule never matches'))).toEqual([]);
  expect(messages(loaded)).toHaveLength(1);
  expect(loaded.config?.routes.map(({ continues }) => continues)).toEqual([true, false, false]);
});

test.each([
  [
    'in the last entry',
    `{"event_destinations": [
      {"matches": {"all": true}, "continue": true, "destination": {"type": "leave_in_queue"}}
    ]}`,
    '2:34 warning: "continue" has no effect: there is no entry below this one',
  ],
  [
    'of a drop',
    `{"event_destinations": [
      {"matches": {"event_type": "scomp"}, "continue": true, "destination": {"type": "drop_from_queue"}},
      {"matches": {"all": true}, "destination": {"type": "leave_in_queue"}}
    ]}`,
    '2:44 warning: "continue" has no effect: nothing is dropped here, the entries below decide',
  ],
])('continue %s is a warning', async (_, text, warning) => {
  const loaded = await load(text);
  expect([loaded.config === null, messages(loaded)]).toEqual([false, [warning]]);
});
