import { expect, test } from 'vitest';
import { createLineReader } from '../../src/event/from-line.ts';
import { createSelection, type Filters } from '../../src/replay/selection.ts';
import { BEGAN, lineOf } from './scene.ts';

const NONE: Filters = { fromUs: null, toUs: null, types: [], where: [] };
const read = createLineReader();

const where = (...conditions: readonly string[]): Partial<Filters> => ({
  where: conditions.map((text) => ({ field: text.split('=')[0] ?? '', value: text.split('=')[1] ?? '' })),
});

/** Whether the line is selected, by its head as well as by all of it. */
function isSelected(line: string, filters: Partial<Filters>): boolean {
  const selection = createSelection({ ...NONE, ...filters });
  const parsed = read(line);
  if ('problem' in parsed) throw new Error(parsed.problem);
  const selected = selection.selects(parsed);
  // The head may leave it open, but never rules out what is selected.
  expect(selected && selection.rulesOut(line)).toBe(false);
  return selected;
}

const AT = BEGAN * 1e6 + 7_000;

test.each([
  [{}, true],
  [{ fromUs: AT }, true],
  [{ fromUs: AT + 1 }, false],
  [{ toUs: AT }, false],
  [{ toUs: AT + 1 }, true],
  [{ types: ['HOOK_scomp'] }, true],
  [{ types: ['engine_open', 'scomp'] }, true],
  [{ types: ['engine_open'] }, false],
  [where('email=a7@example.com'), true],
  [where('email=A7@example.com'), false],
  [where('event_id=7'), true],
  [where('synchronous=true', 'bounce_code=20'), true],
  [where('synchronous=t'), false],
  [where('listid='), true],
  [where('of_no_event='), true],
  [where('email='), false],
  [where('email=a7@example.com', 'bounce_code=21'), false],
])('%j selects a line: %s', (filters, selected) => {
  expect(isSelected(lineOf(7, { synchronous: true, bounce_code: 20, listid: null }), filters)).toBe(selected);
});

test('the head of a line is enough to leave it out by time and type', () => {
  const line = lineOf(7);
  for (const filters of [{ fromUs: AT + 1 }, { toUs: AT }, { types: ['engine_open'] }]) {
    expect(createSelection({ ...NONE, ...filters }).rulesOut(line)).toBe(true);
  }
});

test('what was never written to a log file is left out where a time is asked for', () => {
  expect(isSelected('{"event_id":1,"event_type":"scomp"}', { fromUs: 0 })).toBe(false);
  expect(isSelected('{"event_id":1,"event_type":"scomp"}', { types: ['scomp'] })).toBe(true);
});

test('fields are unknown until an event has them', () => {
  const selection = createSelection({ ...NONE, ...where('mine=1', 'email=x') });
  const parsed = [lineOf(1), lineOf(2, { mine: 1 })].map(read);
  expect(selection.unknownFields).toEqual(['mine', 'email']);
  for (const [at, line] of parsed.entries()) {
    if ('problem' in line) throw new Error(line.problem);
    selection.selects(line);
    expect(selection.unknownFields).toEqual(at === 0 ? ['mine'] : []);
  }
});
