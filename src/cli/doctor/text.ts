// The findings of `tailrace doctor` for a person: aligned, wrapped, and what can be copied left in one piece.

import type { Examination } from '../../doctor/doctor.ts';
import type { Finding, State } from '../../doctor/finding.ts';

export interface TextOptions {
  /** Columns. */
  readonly width: number;
  readonly isColourful: boolean;
}

/** SGR parameters. */
const COLOURS: Readonly<Record<State, string>> = { ok: '32', warning: '33', problem: '31;1' };
const STATE_WIDTH = 'warning'.length;
const ARROW = '→ ';

/** The whole text, with a line that adds up at its end. */
export function renderExamination({ groups }: Examination, options: TextOptions): string {
  const all = groups.flatMap(({ findings }) => findings);
  const checkWidth = Math.max(0, ...all.map(({ check }) => check.length));
  const lines = groups.flatMap(({ group, findings }, at) => [
    ...(at > 0 ? [''] : []),
    group,
    ...findings.flatMap((each) => renderFinding(each, checkWidth, options)),
  ]);
  return `${[...lines, '', summary(all)].join('\n')}\n`;
}

function renderFinding({ check, state, found, advice }: Finding, checkWidth: number, options: TextOptions): string[] {
  const indent = 2 + STATE_WIDTH + 2 + checkWidth + 2;
  const margin = ' '.repeat(indent);
  const [first = '', ...rest] = wrap(found, options.width - indent);
  const head = `  ${paint(state, options)}  ${check.padEnd(checkWidth)}  ${first}`;
  const advised = advice.flatMap((line) => {
    const [start = '', ...more] = isToCopy(line) ? [line] : wrap(line, options.width - indent - ARROW.length);
    return [`${margin}${ARROW}${start}`, ...more.map((each) => `${margin}${' '.repeat(ARROW.length)}${each}`)];
  });
  return [head, ...rest.map((line) => `${margin}${line}`), ...advised];
}

/** SQL and command lines: a break in the middle would be copied too. */
const isToCopy = (line: string): boolean => line.endsWith(';') || line.startsWith('$ ');

function paint(state: State, { isColourful }: TextOptions): string {
  const text = state.padEnd(STATE_WIDTH);
  return isColourful ? `\u001b[${COLOURS[state]}m${text}\u001b[0m` : text;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

function summary(findings: readonly Finding[]): string {
  const numberOf = (state: State): number => findings.filter((each) => each.state === state).length;
  const several = (number: number, word: string): string => `${number || 'no'} ${word}${number === 1 ? '' : 's'}`;
  return `${several(numberOf('problem'), 'problem')}, ${several(numberOf('warning'), 'warning')}, ${numberOf('ok')} ok`;
}
