// Text of others (events, file names in them) for a terminal, which would obey what is hidden in it.

/** What a terminal would obey or hide. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}]/gu;

/** On one line, nothing hidden: a line feed becomes `\n`, an escape `\u{1b}`. */
export function visible(text: string): string {
  return text.replace(UNPRINTABLE, (hidden) => {
    if (hidden === '\n') return '\\n';
    const code = (hidden.codePointAt(0) ?? 0).toString(16);
    return `\\u{${code}}`;
  });
}
