// The metrics as Prometheus reads them. prom-client writes the text, and knows the figures of the process itself.

import { collectDefaultMetrics, type Metric, Registry } from 'prom-client';
import { FAMILIES } from './families.ts';
import type { Measured } from './family.ts';

export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
  close(): void;
}

/** @param measure asked once for each text. */
export function createMetrics(measure: () => Promise<Measured>): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  let measured: Measured | null = null;
  for (const { name, type, help, samples } of FAMILIES) {
    const metric = {
      name,
      get: async () => ({ name, type, help, aggregator: 'sum', values: measured === null ? [] : samples(measured) }),
    };
    // All that the registry asks of a metric; its own classes count by themselves, and ours only show what is counted.
    registry.registerMetric(metric as unknown as Metric);
  }
  return {
    contentType: registry.contentType,
    async text() {
      measured = await measure();
      return await registry.metrics();
    },
    close() {
      registry.clear();
    },
  };
}
