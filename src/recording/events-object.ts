// Tells an object around an array of events from the first of many JSON lines, by the beginning of the input alone.

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s"{}[\]:,]+/gy;
const SPACE = /\s*/y;

/**
 * Whether a text that opens an object has, at its top level, a member `events` that is an array.
 *
 * @param text the beginning of an input; its last token may be cut off.
 * @returns undefined: more of the input has to be seen.
 */
export function isEventsObject(text: string): boolean | undefined {
  const tokens = tokensOf(text);
  let depth = 0;
  let before: string[] = [];
  for (const token of tokens) {
    if (depth === 1 && token === '[' && before.join(' ') === '"events" :') return true;
    if (depth === 1 && token === ':' && before.at(-1) === '"event_type"') return false;
    if (token === '{' || token === '[') depth += 1;
    if (token === '}' || token === ']') depth -= 1;
    // A whole object without it: a line, whatever comes behind it.
    if (depth <= 0) return false;
    before = [...before.slice(-1), token];
  }
  return undefined;
}

function* tokensOf(text: string): Generator<string> {
  let at = 0;
  for (;;) {
    SPACE.lastIndex = at;
    TOKENS.lastIndex = at + (SPACE.exec(text)?.[0].length ?? 0);
    const found = TOKENS.exec(text);
    if (!found) return;
    at = TOKENS.lastIndex;
    yield found[0];
  }
}
