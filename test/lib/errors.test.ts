import { expect, test } from 'vitest';
import { codeOf, EXIT, messageOf, TailraceError } from '../../src/lib/errors.ts';

test('an error keeps its code, its exit code and what caused it', () => {
  const cause = new Error('the socket is gone');
  const error = new TailraceError('DATABASE_UNAVAILABLE', 'cannot use the database', {
    exitCode: EXIT.unavailable,
    cause,
  });
  expect([error.code, error.exitCode, error.cause, error.message]).toEqual([
    'DATABASE_UNAVAILABLE',
    69,
    cause,
    'cannot use the database',
  ]);
  expect(new TailraceError('X', 'y').exitCode).toBe(EXIT.problem);
});

test.each([
  [{ code: '57P01' }, '57P01'],
  [{ code: 5 }, undefined],
  [null, undefined],
  ['text', undefined],
])('the code of %j is %j', (error, code) => {
  expect(codeOf(error)).toBe(code);
});

test('anything thrown has a message of one kind or another', () => {
  expect(messageOf(new AggregateError([new Error('a'), new Error('b')], 'all'))).toBe('a; b');
  expect(messageOf(new AggregateError([], 'none'))).toBe('none');
  expect(messageOf(new TypeError(''))).toBe('TypeError');
  expect(messageOf('text')).toBe('text');
  expect(messageOf(undefined)).toBe('undefined');
});
