// Finds the `?` placeholders of a `custom_sql` statement, as its server's own lexer would: a question mark in a literal,
// a quoted identifier or a comment is none. PostgreSQL's operators ?, ?| and ?& are written ??, ??| and ??&.

import type { SqlServerKind } from './config.ts';

export interface ScannedStatement {
  /** The statement cut at its placeholders, each `??` of PostgreSQL as the `?` it stands for. */
  readonly pieces: readonly string[];
  /** What is left open at the end of the text, for a sentence; null = nothing. */
  readonly open: string | null;
  /** A statement stands behind another one's semicolon. */
  readonly several: boolean;
}

/** A stretch of text in which nothing is a placeholder. */
interface Quote {
  readonly name: string;
  readonly begins: RegExp;
  /** Given what began it. */
  readonly ends: (opening: string) => RegExp;
}

/** A doubled closing quote belongs to the text; with `escapes` a backslash takes the next character in. */
const quoted = (name: string, begins: RegExp, close: string, escapes = false): Quote => ({
  name,
  begins,
  ends: () =>
    new RegExp(
      `(?:${escapes ? '\\\\[\\s\\S]|' : ''}[^${close}${escapes ? '\\\\' : ''}]|${close}${close})*${close}(?!${close})`,
      'y',
    ),
});

const LINE_COMMENT: Quote = { name: 'a comment', begins: /--/y, ends: () => /[^\n]*(?:\n|$)/y };
/** MySQL takes `--` for a comment only before white space: `5--?` subtracts. */
const MYSQL_LINE_COMMENT: Quote = { ...LINE_COMMENT, begins: /--(?=\s|$)|#/y };
const BLOCK_COMMENT: Quote = { name: 'a comment', begins: /\/\*/y, ends: () => /[\s\S]*?\*\//y };
const LITERAL = quoted('a literal', /'/y, "'");
const DOUBLE = quoted('a quoted identifier', /"/y, '"');

const QUOTES: Readonly<Record<SqlServerKind, readonly Quote[]>> = {
  postgresql: [
    // An identifier may end in e: only an E of its own begins an escape string.
    quoted('a literal', /(?<![\p{L}\p{N}_$])[eE]'/uy, "'", true),
    LITERAL,
    DOUBLE,
    {
      name: 'a dollar-quoted literal',
      begins: /(?<![\p{L}\p{N}_$])\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/uy,
      ends: (opening) => new RegExp(`[\\s\\S]*?${opening.replaceAll('$', '\\$')}`, 'y'),
    },
    LINE_COMMENT,
    BLOCK_COMMENT,
  ],
  mysql: [
    quoted('a literal', /'/y, "'", true),
    quoted('a literal', /"/y, '"', true),
    quoted('a quoted identifier', /`/y, '`'),
    MYSQL_LINE_COMMENT,
    BLOCK_COMMENT,
  ],
  'sql-server': [LITERAL, DOUBLE, { ...quoted('a quoted identifier', /\[/y, '\\]') }, LINE_COMMENT, BLOCK_COMMENT],
};

/** Block comments nest everywhere but in MySQL. */
const NESTS: Readonly<Record<SqlServerKind, boolean>> = { postgresql: true, mysql: false, 'sql-server': true };

/** Cuts a statement at its placeholders. */
export function scanStatement(sql: string, server: SqlServerKind): ScannedStatement {
  const pieces: string[] = [];
  let piece = '';
  let ended = false;
  let several = false;
  for (let at = 0; at < sql.length; ) {
    const span = spanAt(sql, at, server);
    if (span) {
      if (span.end < 0) return { pieces: [...pieces, piece + sql.slice(at)], open: span.name, several };
      if (ended && span.name !== 'a comment') several = true;
      piece += sql.slice(at, span.end);
      at = span.end;
      continue;
    }
    const character = sql[at] ?? '';
    at += 1;
    if (ended && !/[\s;]/.test(character)) several = true;
    if (character === ';') ended = true;
    if (character !== '?') {
      piece += character;
    } else if (server === 'postgresql' && sql[at] === '?') {
      piece += '?';
      at += 1;
    } else {
      pieces.push(piece);
      piece = '';
    }
  }
  return { pieces: [...pieces, piece], open: null, several };
}

/** The quote that begins at this place, and where it ends; -1 = nowhere. */
function spanAt(
  sql: string,
  at: number,
  server: SqlServerKind,
): { readonly name: string; readonly end: number } | null {
  for (const quote of QUOTES[server]) {
    const opening = matchAt(quote.begins, sql, at);
    if (opening === null) continue;
    const inside = at + opening.length;
    if (quote === BLOCK_COMMENT && NESTS[server]) return { name: quote.name, end: endOfNested(sql, inside) };
    const rest = matchAt(quote.ends(opening), sql, inside);
    return { name: quote.name, end: rest === null ? -1 : inside + rest.length };
  }
  return null;
}

function matchAt(pattern: RegExp, text: string, at: number): string | null {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? null;
}

function endOfNested(sql: string, inside: number): number {
  let depth = 1;
  const marks = /\/\*|\*\//g;
  marks.lastIndex = inside;
  for (let mark = marks.exec(sql); mark !== null; mark = marks.exec(sql)) {
    depth += mark[0] === '/*' ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  return -1;
}
