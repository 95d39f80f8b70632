import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { scanStatement } from '../../src/config/sql-statement.ts';

const count = (sql: string, server: 'postgresql' | 'mysql' | 'sql-server'): number =>
  scanStatement(sql, server).pieces.length - 1;

describe('placeholders everywhere', () => {
  test.each([
    ['SELECT 1', 0],
    ['?', 1],
    ['INSERT INTO t VALUES (?, ?,?)', 3],
    ["SELECT '?', 'it''s ?', ?", 1],
    ["SELECT ''?''", 1],
    ['SELECT ? -- is it?\n, ?', 2],
    ['SELECT ? -- is it?', 1],
    ['SELECT /* ? */ ?', 1],
    ['CALL p(?, ?);', 2],
  ])('%s', (sql, expected) => {
    for (const server of ['postgresql', 'mysql', 'sql-server'] as const) expect(count(sql, server)).toBe(expected);
  });
});

describe.each([
  [
    'postgresql',
    [
      ["SELECT E'it\\'s ?', ?", 1],
      ["SELECT 'a\\', ?", 1],
      ["SELECT typeE'?', ?", 1],
      ['SELECT "a?" "b""?", ?', 1],
      ['SELECT $$ ? $$, $a$ ? $$ ? $a$, ?', 1],
      ['SELECT a$$b?c$$d', 1],
      ['SELECT /* a /* ? */ ? */ ?', 1],
      ['SELECT # ?', 1],
      ['SELECT h ?? ?, h ??| ?, h ??& ?', 3],
      ['SELECT [?]', 1],
    ],
  ],
  [
    'mysql',
    [
      ["SELECT 'it\\'s ?', ?", 1],
      ['SELECT "a\\"?", ?', 1],
      ['SELECT `a?``?`, ?', 1],
      ['SELECT ? # is it?\n, ?', 2],
      ['SELECT 5--?', 1],
      ['SELECT /* a /* ? */ ?', 1],
      ['SELECT $$?$$', 1],
    ],
  ],
  [
    'sql-server',
    [
      ['SELECT [a?]]?], ?', 1],
      ['SELECT "a?", ?', 1],
      ["SELECT 'a\\', ?", 1],
      ['EXEC p ?, ?', 2],
      ['SELECT # ?', 1],
      ['SELECT /* a /* ? */ ? */ ?', 1],
    ],
  ],
] as const)('placeholders of %s', (server, cases) => {
  test.each(cases.map(([sql, expected]) => ({ sql, expected })))('$sql', ({ sql, expected }) => {
    expect(count(sql, server)).toBe(expected);
  });
});

test('the pieces are the statement around its placeholders, with the operators of PostgreSQL as they are meant', () => {
  expect(scanStatement("UPDATE t SET a = ? WHERE b ?? '?' AND c = ?", 'postgresql').pieces).toEqual([
    'UPDATE t SET a = ',
    " WHERE b ? '?' AND c = ",
    '',
  ]);
});

test.each([
  ["SELECT 'a", 'a literal'],
  ['SELECT "a', 'a quoted identifier'],
  ['SELECT $x$ a $$', 'a dollar-quoted literal'],
  ['SELECT /* /* */', 'a comment'],
])('what has no end is named: %s', (sql, open) => {
  expect(scanStatement(sql, 'postgresql').open).toBe(open);
});

test.each([
  ['SELECT 1; SELECT 2', true],
  ["SELECT ';'; 'x'", true],
  ['SELECT 1;', false],
  ['SELECT 1; -- end\n ; /* end */', false],
  ["SELECT ';'", false],
])('a second statement is noticed: %s', (sql, several) => {
  expect(scanStatement(sql, 'postgresql').several).toBe(several);
});

test('every text is scanned to its end, and nothing of it is lost', () => {
  const text = fc.array(
    fc.constantFrom("'", '"', '`', '[', ']', '?', '$', '$$', '--', '\n', '/*', '*/', '\\', 'E', 'a', '#', ';', ' '),
  );
  fc.assert(
    fc.property(text, fc.constantFrom('mysql', 'sql-server'), (parts, server) => {
      const sql = parts.join('');
      expect(scanStatement(sql, server).pieces.join('?')).toBe(sql);
    }),
  );
});
