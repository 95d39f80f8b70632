// A small chart of characters: one line per series, one column per part of the time.

const STEPS = [...' ▁▂▃▄▅▆▇█'];
const WIDTH = 60;
const LABEL_WIDTH = 18;

/** A series from 0 to its highest value; a column shows the highest of its part. */
export function chart(label: string, values: readonly number[]): string {
  const most = Math.max(...values);
  const columns = inColumns(values).map((part) => {
    if (part.length === 0) return ' ';
    const step = Math.round((Math.max(...part) / most) * (STEPS.length - 1));
    return STEPS[Math.max(1, step)] ?? ' ';
  });
  const least = Math.min(...values);
  return `${label.padEnd(LABEL_WIDTH)}${columns.join('')}  ${least.toFixed(0)} to ${most.toFixed(0)}`;
}

/** What happened when: the mark of the first thing in each part, in the columns of `chart`. */
export function marks(label: string, each: readonly (string | null)[]): string {
  const columns = inColumns(each).map((part) => part.find((mark) => mark !== null) ?? ' ');
  return `${label.padEnd(LABEL_WIDTH)}${columns.join('')}`.trimEnd();
}

function inColumns<T>(values: readonly T[]): T[][] {
  const width = Math.min(WIDTH, values.length);
  return Array.from({ length: width }, (_, column) =>
    values.slice(Math.floor((column * values.length) / width), Math.floor(((column + 1) * values.length) / width)),
  );
}
