// A strict reader of the Prometheus text format (0.0.4): what promtool would object to is an error here.
// https://prometheus.io/docs/instrumenting/exposition_formats/

export interface MetricSample {
  /** With `_bucket`, `_sum`, `_count` where it has them. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface MetricFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: MetricSample[];
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)/y;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const TYPES = new Set(['counter', 'gauge', 'histogram', 'summary', 'untyped']);

/** @throws {Error} at the first thing that is not as it must be. */
export function parseMetrics(text: string): ReadonlyMap<string, MetricFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line has no newline');
  const families = new Map<string, MetricFamily>();
  const seen = new Set<string>();
  let help: { name: string; text: string } | null = null;
  let family: MetricFamily | null = null;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, kind, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (kind === 'HELP') {
      if (!NAME.test(name) || families.has(name) || rest === '') throw new Error(`bad or repeated HELP: ${line}`);
      help = { name, text: rest };
    } else if (kind === 'TYPE') {
      if (help?.name !== name || !TYPES.has(rest)) throw new Error(`TYPE without its HELP, or unknown: ${line}`);
      family = { name, type: rest, help: help.text, samples: [] };
      families.set(name, family);
    } else {
      const sample = parseSample(line);
      if (family === null || nameOfFamily(sample.name, family) !== family.name)
        throw new Error(`a sample outside of its family: ${line}`);
      const series = `${sample.name}${JSON.stringify(Object.entries(sample.labels).sort())}`;
      if (seen.has(series)) throw new Error(`a series twice: ${line}`);
      seen.add(series);
      family.samples.push(sample);
    }
  }
  for (const each of families.values()) check(each);
  return families;
}

/** The value of one series. @throws {Error} when there is none, or more than one. */
export function metricValue(
  families: ReadonlyMap<string, MetricFamily>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const found = [...families.values()]
    .flatMap(({ samples }) => samples)
    .filter((each) => each.name === name && Object.entries(labels).every(([key, value]) => each.labels[key] === value));
  if (found.length !== 1) throw new Error(`${found.length} series ${name} ${JSON.stringify(labels)}`);
  return found[0]?.value ?? Number.NaN;
}

function parseSample(line: string): MetricSample {
  const [, name = '', inner, value = ''] = SAMPLE.exec(line) ?? [];
  if (!NAME.test(name)) throw new Error(`not a sample: ${line}`);
  const labels: Record<string, string> = {};
  let at = 0;
  while (inner !== undefined && at < inner.length) {
    LABEL.lastIndex = at;
    const [whole, label = '', text = ''] = LABEL.exec(inner) ?? [];
    if (whole === undefined || label in labels) throw new Error(`bad or repeated label: ${line}`);
    labels[label] = text.replace(/\\(.)/g, (_, char) => (char === 'n' ? '\n' : char));
    at += whole.length;
  }
  const number = value === '+Inf' ? Infinity : value === 'Nan' || value === 'NaN' ? NaN : Number(value);
  if (Number.isNaN(number) && !/^nan$/i.test(value)) throw new Error(`not a number: ${line}`);
  return { name, labels, value: number };
}

const nameOfFamily = (name: string, { type }: MetricFamily): string =>
  type === 'histogram' || type === 'summary' ? name.replace(/_(?:bucket|sum|count)$/, '') : name;

function check({ name, type, samples }: MetricFamily): void {
  if (type === 'counter' && !name.endsWith('_total')) throw new Error(`a counter without _total: ${name}`);
  if (type !== 'counter' && name.endsWith('_total') && name.startsWith('tailrace_'))
    throw new Error(`_total, but no counter: ${name}`);
  if (/_(?:ms|milliseconds|kb|mb|minutes)(?:_|$)/.test(name)) throw new Error(`not a base unit: ${name}`);
  if (type === 'counter' && samples.some(({ value }) => !(value >= 0)))
    throw new Error(`a counter below zero: ${name}`);
  if (type !== 'histogram') return;
  const byLabels = new Map<string, MetricSample[]>();
  for (const sample of samples) {
    const { le: _le, ...labels } = sample.labels;
    const key = JSON.stringify(labels);
    byLabels.set(key, [...(byLabels.get(key) ?? []), sample]);
  }
  for (const series of byLabels.values()) {
    const buckets = series.filter((each) => each.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => (labels.le === '+Inf' ? Infinity : Number(labels.le)));
    const count = series.find((each) => each.name === `${name}_count`)?.value;
    if (bounds.at(-1) !== Infinity || buckets.at(-1)?.value !== count)
      throw new Error(`no +Inf that counts all: ${name}`);
    if (bounds.some((bound, at) => at > 0 && bound <= (bounds[at - 1] ?? 0))) throw new Error(`bounds: ${name}`);
    if (buckets.some(({ value }, at) => at > 0 && value < (buckets[at - 1]?.value ?? 0)))
      throw new Error(`buckets are not cumulated: ${name}`);
    if (!series.some((each) => each.name === `${name}_sum`)) throw new Error(`no sum: ${name}`);
  }
}
