// The first look at the text: is it JSON? Every syntax problem that the parser can recover from, in words. Comments
// and trailing commas are problems too: the file is shared with programs that read plain JSON.
// No message quotes the text, since what stands there may be half of a password.

import { createScanner, type ParseError, printParseErrorCode } from 'jsonc-parser';

export interface SyntaxProblem {
  readonly offset: number;
  readonly message: string;
  /** The parser's idea of the rest of the file is still right, so that other checks make sense. */
  readonly harmless: boolean;
}

type ErrorName = ReturnType<typeof printParseErrorCode>;

const NO_COMMENTS = 'JSON has no comments; take it out';

const MESSAGES: Partial<Record<ErrorName, string>> = {
  InvalidSymbol:
    'expected a JSON value, found something else; text and keys go in double quotes, true, false and null are lower case',
  InvalidNumberFormat: 'this number is not written as JSON wants it',
  PropertyNameExpected: 'expected a key in double quotes',
  ValueExpected: 'expected a value',
  ColonExpected: 'expected ":" after the key',
  CommaExpected: 'expected a comma before this',
  CloseBraceExpected: 'expected "}"',
  CloseBracketExpected: 'expected "]"',
  EndOfFileExpected: 'expected the end of the file: the configuration is complete before this',
  InvalidCommentToken: NO_COMMENTS,
  UnexpectedEndOfComment: 'JSON has no comments, and this one has no end; take it out',
  UnexpectedEndOfString: 'this text has no closing double quote on its line',
  UnexpectedEndOfNumber: 'this number is not complete',
  InvalidUnicode: 'expected four hexadecimal digits after \\u',
  InvalidEscapeCharacter: 'this text has a backslash that JSON does not know; write \\\\ for a backslash',
  InvalidCharacter: 'this text contains a control character; write it as an escape such as \\t or \\n',
};

/** Errors after which the parser reads on with the right structure. */
const HARMLESS: ReadonlySet<ErrorName> = new Set([
  'InvalidCommentToken',
  'CommaExpected',
  'InvalidEscapeCharacter',
  'InvalidUnicode',
  'InvalidCharacter',
]);

/** Texts and comments that a `#` may stand in without beginning one; then a comment as Perl and the shell write it. */
const HASH_COMMENTS = /"(?:[^"\\\n]|\\.)*"?|\/\/[^\n]*|\/\*[\s\S]*?\*\/|(#[^\r\n]*)/g;

/**
 * Takes out comments that begin with `#`, which the parser does not know, so that the rest can be looked at.
 *
 * @returns `json`: the text with blanks in their place, every other character at its offset.
 */
export function withoutHashComments(text: string): {
  readonly json: string;
  readonly problems: readonly SyntaxProblem[];
} {
  const problems: SyntaxProblem[] = [];
  const json = text.replace(HASH_COMMENTS, (found: string, comment: string | undefined, offset: number) => {
    if (comment === undefined) return found;
    problems.push({ offset, message: NO_COMMENTS, harmless: true });
    return ' '.repeat(comment.length);
  });
  return { json, problems };
}

/** Says in words what the parser found: at most one problem per place, without those that only follow from another. */
export function explainSyntaxErrors(text: string, errors: readonly ParseError[]): SyntaxProblem[] {
  const problems = new Map<number, SyntaxProblem>();
  let cause: ParseError | undefined;
  for (const error of errors) {
    const name = printParseErrorCode(error.error);
    const follows = name === 'PropertyNameExpected' || name === 'ValueExpected';
    // Where a word is no value, the parser misses the value as well, and then reads on in the middle of things.
    if (cause && follows && !/\n\s*\S/.test(text.slice(cause.offset, error.offset))) continue;
    if (!follows) cause = name === 'InvalidSymbol' ? error : undefined;
    const problem = explain(text, error);
    if (!problems.has(problem.offset)) problems.set(problem.offset, problem);
  }
  return [...problems.values()];
}

function explain(text: string, error: ParseError): SyntaxProblem {
  const name = printParseErrorCode(error.error);
  const harmless = HARMLESS.has(name);
  if (text.trim() === '') return { offset: 0, message: 'expected a configuration, found an empty file', harmless };
  if (name === 'PropertyNameExpected' || name === 'ValueExpected') {
    const comma = trailingComma(text, error.offset);
    if (comma !== null) {
      const message = `JSON allows no comma before "${text[error.offset]}"; take it out`;
      return { offset: comma, message, harmless: true };
    }
  }
  const found = error.offset >= text.trimEnd().length ? ', found the end of the file' : '';
  return { offset: error.offset, message: (MESSAGES[name] ?? 'this is not JSON') + found, harmless };
}

/** The offset of a comma that stands right before a closing bracket at `offset`, and right after a value. */
function trailingComma(text: string, offset: number): number | null {
  if (text[offset] !== '}' && text[offset] !== ']') return null;
  const before = text.slice(0, offset).trimEnd();
  if (!before.endsWith(',') || /[[{,:]$/.test(before.slice(0, -1).trimEnd())) return null;
  return before.length - 1;
}

/**
 * Finds where brackets are nested deeper than `limit`: the parser is recursive, this is not.
 *
 * @returns the offset of the first bracket that is too deep, or null.
 */
export function findTooDeep(text: string, limit: number): number | null {
  const scanner = createScanner(text, true);
  for (let depth = 0; scanner.getPosition() < text.length; ) {
    scanner.scan();
    const first = text[scanner.getTokenOffset()];
    if (first === '{' || first === '[') depth += 1;
    if (first === '}' || first === ']') depth -= 1;
    if (depth > limit) return scanner.getTokenOffset();
  }
  return null;
}
