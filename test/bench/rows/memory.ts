// Row 5: the most memory that a drain holds, over backlogs of very different length.

import { type Drain, drain, inTurn } from '../drain.ts';
import { finding, type Row } from '../finding.ts';
import { allTo } from '../scene.ts';

const MOST_MIB = 160;
const FLAT = 1.15;

export const memoryRow: Row = {
  name: 'memory',
  number: 5,
  title: 'peak RSS over backlogs of very different length',
  async run(bench) {
    const { events, full } = bench.options;
    // Three times and some: a million with the default of 300,000.
    const sizes = [Math.min(10_000, events), Math.ceil((events * 10) / 3), ...(full ? [10_000_000] : [])];
    const destinations = [
      ['file', {}],
      ['file + POST of 100', allTo({ type: 'http_post', url: bench.receiver.url(), batch: { max_events: 100 } })],
    ] as const;
    const findings = [];
    for (const [what, config] of destinations) {
      const drains = new Map<number, Drain[]>(sizes.map((size) => [size, []]));
      const sides = sizes.map((size) => async () => {
        drains.get(size)?.push(await drain(bench, size, config));
      });
      await inTurn(bench, `memory, ${what}`, ...sides);
      const peaks = (size: number) => (drains.get(size) ?? []).map(({ peakMiB }) => peakMiB);
      for (const [at, size] of sizes.entries()) {
        const label = size.toLocaleString('en-US');
        const common = {
          what: `${what}, ${label} events`,
          ours: { label: 'tailrace', unit: 'MiB', values: peaks(size) },
          cpuSeconds: (drains.get(size) ?? []).map(({ cpuSeconds }) => cpuSeconds),
          peakMiB: peaks(size),
        };
        findings.push(finding({ ...common, goal: { of: 'value', sign: '<=', limit: MOST_MIB } }));
        if (at === 0) continue;
        const first = sizes[0] ?? 0;
        findings.push(
          finding({
            ...common,
            what: `  to the shortest`,
            against: { label: `${first.toLocaleString('en-US')} events`, unit: 'MiB', values: peaks(first) },
            goal: { of: 'ratio', sign: '<=', limit: FLAT },
          }),
        );
      }
    }
    return full
      ? findings
      : [...findings, finding({ what: '10,000,000 events', skipped: '10 million events: only with --full' })];
  },
};
