// The configuration's text as a value whose every part knows its line and column. Reads plain JSON only; what the value
// means is for others.

import { findNodeAtLocation, getNodeValue, type Node, type ParseError, parseTree } from 'jsonc-parser';
import { messageOf } from '../lib/errors.ts';
import type { Finding, Path, Position, Problem } from './problem.ts';
import { explainSyntaxErrors, findTooDeep, withoutHashComments } from './syntax.ts';

/** Far beyond what a configuration needs, far below what a recursive parser bears. */
const MAX_DEPTH = 64;

export interface JsonDocument {
  /** What the text says; undefined when too much of it is no JSON to tell. */
  readonly value: unknown;
  /** Syntax errors and keys that are given twice. */
  readonly problems: readonly Problem[];
  /** Gives a finding its line and column. */
  locate(finding: Finding): Problem;
  /** Where the value at a path begins. */
  positionOf(path: Path): Position;
}

/** Parses the text of a configuration file; never throws. */
export function parseDocument(text: string): JsonDocument {
  const position = createPositions(text);
  const problemAt = (offset: number, message: string): Problem => ({ ...position(offset), message });
  const broken = (problems: readonly Problem[]): JsonDocument => ({
    value: undefined,
    problems,
    locate: (finding) => problemAt(0, finding.message),
    positionOf: () => position(0),
  });

  const tooDeep = findTooDeep(text, MAX_DEPTH);
  if (tooDeep !== null) return broken([problemAt(tooDeep, `this is nested more than ${MAX_DEPTH} deep`)]);

  const errors: ParseError[] = [];
  const { json, problems: comments } = withoutHashComments(text);
  const root = parseTree(json, errors, { disallowComments: true });
  const syntax = [...comments, ...explainSyntaxErrors(json, errors)];
  const problems = syntax.map(({ offset, message }) => problemAt(offset, message));
  if (root === undefined || syntax.some(({ harmless }) => !harmless)) return broken(problems);
  if (syntax.length === 0) {
    // The last word on what is JSON has the parser that everybody else reads the file with.
    const refusal = refusedByJsonParse(json);
    if (refusal !== null) return broken([problemAt(root.offset, refusal)]);
  }

  const offsetOf = (finding: Finding): number => {
    const node = nearest(root, finding.path);
    return (finding.key !== undefined && keyNode(node, finding.key)?.offset) || node.offset;
  };
  return {
    value: getNodeValue(root),
    problems: [...problems, ...repeatedKeys(root).map(({ first, again }) => repeated(first, again))],
    locate: (finding) => problemAt(offsetOf(finding), finding.message),
    positionOf: (path) => position(nearest(root, path).offset),
  };

  function repeated(first: Node, again: Node): Problem {
    const line = position(first.offset).line;
    return problemAt(again.offset, `the key ${JSON.stringify(again.value)} is given twice, first on line ${line}`);
  }
}

/** The node at a path, or the innermost one on the way to it. */
function nearest(root: Node, path: Path): Node {
  for (let length = path.length; length > 0; length -= 1) {
    const node = findNodeAtLocation(root, path.slice(0, length));
    if (node) return node;
  }
  return root;
}

function keyNode(object: Node, key: string): Node | undefined {
  return object.children?.find((property) => property.children?.[0]?.value === key)?.children?.[0];
}

function repeatedKeys(root: Node): { first: Node; again: Node }[] {
  const found: { first: Node; again: Node }[] = [];
  const open = [root];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    open.push(...(node.children ?? []));
    if (node.type !== 'object') continue;
    const seen = new Map<unknown, Node>();
    for (const property of node.children ?? []) {
      const key = property.children?.[0];
      if (!key) continue;
      const first = seen.get(key.value);
      if (first) found.push({ first, again: key });
      else seen.set(key.value, key);
    }
  }
  return found;
}

function refusedByJsonParse(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return `this is not JSON: ${messageOf(error).replace(/["'].*["']/s, '…')}`;
  }
}

/** A function from an offset in the text to its line and column. */
function createPositions(text: string): (offset: number) => Position {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return (offset) => {
    const within = Math.min(Math.max(offset, 0), text.trimEnd().length);
    let low = 0;
    for (let high = starts.length; high - low > 1; ) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= within) low = middle;
      else high = middle;
    }
    return { line: low + 1, column: within - (starts[low] ?? 0) + 1 };
  };
}
