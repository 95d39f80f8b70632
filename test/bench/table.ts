// The findings for a person: one line each, medians, then the notes.

import { type Finding, type Goal, isReached, median, ratios } from './finding.ts';

const HEADS = ['WHAT', 'TAILRACE', 'AGAINST', '', 'RATIO', 'GOAL', '', 'CPU s', 'RSS MiB'] as const;
/** Columns of text; numbers stand at the right. */
const TEXTS = new Set([0, 3, 5, 6]);

/** The table, with a line feed at its end. */
export function formatTable(row: string, findings: readonly Finding[]): string {
  const lines = [[...HEADS], ...findings.map(cells)];
  const widths = HEADS.map((_, at) => Math.max(...lines.map((line) => [...(line[at] ?? '')].length)));
  const table = lines.map((line) =>
    line
      .map((cell, at) => pad(cell, widths[at] ?? 0, TEXTS.has(at)))
      .join('  ')
      .trimEnd(),
  );
  const notes = new Set(
    findings.flatMap(({ notes, skipped }) => [...(skipped ? [`SKIPPED: ${skipped}`] : []), ...notes]),
  );
  return `${[row, ...table, ...[...notes].map((note) => `  · ${note}`)].join('\n')}\n`;
}

function cells(found: Finding): string[] {
  const { what, ours, against, goal, cpuSeconds, peakMiB } = found;
  const reached = isReached(found);
  return [
    what,
    ours ? `${number(median(ours.values))} ${ours.unit}` : '-',
    against ? number(median(against.values)) : '',
    against?.label ?? '',
    against && ours ? median(ratios(found)).toFixed(2) : '',
    goal ? formatGoal(goal, ours?.unit ?? '') : '',
    reached === null ? '' : reached ? 'reached' : 'MISSED',
    cpuSeconds.length > 0 ? median(cpuSeconds).toFixed(2) : '',
    peakMiB.length > 0 ? median(peakMiB).toFixed(0) : '',
  ];
}

function formatGoal({ of, sign, limit }: Goal, unit: string): string {
  return of === 'ratio' ? `${sign} ${limit} ×` : `${sign} ${limit} ${unit}`;
}

/** Three digits that mean something. */
function number(value: number): string {
  if (Number.isNaN(value)) return '?';
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toPrecision(3);
}

function pad(text: string, width: number, left: boolean): string {
  const spaces = ' '.repeat(Math.max(0, width - [...text].length));
  return left ? text + spaces : spaces + text;
}
