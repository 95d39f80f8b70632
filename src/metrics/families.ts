// Every metric of ours, in the order in which they are shown; docs/monitoring.md explains each. Labels are bounded:
// destinations of the configuration, event types of the catalog and `other`, answers, states.

import { EVENT_TYPES } from '../event/catalog.ts';
import { DESTINATION_FAMILIES } from './destination-families.ts';
import { type Family, flag, histogramSamples, one } from './family.ts';

const TYPES = [...EVENT_TYPES.map(({ name }) => name), 'other'];

const PROCESS_FAMILIES: readonly Family[] = [
  {
    name: 'tailrace_build_info',
    type: 'gauge',
    help: 'Always 1; the version of tailrace and of Node.',
    samples: ({ version }) => [{ value: 1, labels: { version, node: process.version } }],
  },
  {
    name: 'tailrace_ready',
    type: 'gauge',
    help: '1 when /readyz answers 200.',
    samples: ({ ready }) => flag(ready),
  },
  {
    name: 'tailrace_writer',
    type: 'gauge',
    help: '1 while this process is the writer of the queue (of its shard), 0 while it stands by or starts.',
    samples: ({ life }) => flag(life.role === 'writer' && (life.tenure?.held() ?? false)),
  },
  {
    name: 'tailrace_writer_epoch',
    type: 'gauge',
    help: 'Number of the tenure as the writer; grows with each take-over.',
    samples: ({ life }) => one(life.tenure && Number(life.tenure.epoch)),
  },
  {
    name: 'tailrace_configuration_generation',
    type: 'gauge',
    help: 'Number of the routing configuration in force; grows with each change of it.',
    samples: ({ life }) => one(life.tenure?.generation()),
  },
  {
    name: 'tailrace_database_up',
    type: 'gauge',
    help: '1 when PostgreSQL answered when it was last asked, which is not long ago.',
    samples: ({ databaseUp }) => flag(databaseUp),
  },
];

const EVENT_FAMILIES: readonly Family[] = [
  {
    name: 'tailrace_events_read_total',
    type: 'counter',
    help: 'Events read from the queue table, by type; one that is read again counts again.',
    samples: ({ vitals }) =>
      TYPES.map((type) => ({ value: vitals.eventTypes.get(type) ?? 0, labels: { event_type: type } })),
  },
  {
    name: 'tailrace_events_logged_total',
    type: 'counter',
    help: 'New lines in the log file, on disk.',
    samples: ({ life }) => one(life.summary.logged),
  },
  {
    name: 'tailrace_events_done_total',
    type: 'counter',
    help: 'Events that are done: accepted by all their destinations, or dropped by the configuration.',
    samples: ({ life }) =>
      (['delivered', 'dropped'] as const).map((outcome) => ({
        value: life.summary[outcome],
        labels: { outcome },
      })),
  },
  {
    name: 'tailrace_events_in_flight',
    type: 'gauge',
    help: 'Events between reading and settling in this process.',
    samples: ({ life }) => one(life.tenure?.inFlight()),
  },
  {
    name: 'tailrace_batches_read_total',
    type: 'counter',
    help: 'Batches of events read from the queue table.',
    samples: ({ vitals }) => one(vitals.batches),
  },
  {
    name: 'tailrace_reader_rests_total',
    type: 'counter',
    help: 'How often the reader found nothing and rested.',
    samples: ({ vitals }) => one(vitals.rests),
  },
  {
    name: 'tailrace_reader_gaps',
    type: 'gauge',
    help: 'Ids missing below the last one read, for which the reader still asks: transactions that are open, or rolled back.',
    samples: ({ life }) => one(life.tenure?.gaps()),
  },
  {
    name: 'tailrace_settlement_seconds',
    type: 'histogram',
    help: 'Time that PostgreSQL took to commit what became of events, with its repetitions.',
    samples: ({ vitals }) => histogramSamples('tailrace_settlement_seconds', vitals.settling),
  },
];

const LOG_FAMILIES: readonly Family[] = [
  {
    name: 'tailrace_log_degraded',
    type: 'gauge',
    help: '1 while the log file cannot be written: nothing is delivered then.',
    samples: ({ life }) => one(life.tenure && Number(life.tenure.logFile().error !== null)),
  },
  {
    name: 'tailrace_log_bytes_total',
    type: 'counter',
    help: 'Bytes appended to the log file, on disk.',
    samples: ({ vitals }) => one(vitals.log.bytes),
  },
  {
    name: 'tailrace_log_batches_total',
    type: 'counter',
    help: 'Batches appended to the log file.',
    samples: ({ vitals }) => one(vitals.log.batches),
  },
  {
    name: 'tailrace_log_sync_seconds',
    type: 'histogram',
    help: 'Time of a sync of the log file (fdatasync).',
    samples: ({ vitals }) => histogramSamples('tailrace_log_sync_seconds', vitals.log.sync),
  },
  {
    name: 'tailrace_journal_sync_seconds',
    type: 'histogram',
    help: 'Time of a write to the journal beside the log file, with its sync.',
    samples: ({ vitals }) => histogramSamples('tailrace_journal_sync_seconds', vitals.log.journalSync),
  },
  {
    name: 'tailrace_log_rotations_total',
    type: 'counter',
    help: 'How often another log file came into use: rotated, removed or replaced, or a new day.',
    samples: ({ vitals }) => one(vitals.log.rotations),
  },
  {
    name: 'tailrace_log_last_rotation_timestamp_seconds',
    type: 'gauge',
    help: 'When that was last, in seconds since the epoch; absent before the first.',
    samples: ({ vitals }) => one(vitals.log.rotatedAtMs && vitals.log.rotatedAtMs / 1_000),
  },
];

const QUEUE_FAMILIES: readonly Family[] = [
  {
    name: 'tailrace_queue_events',
    type: 'gauge',
    help: 'Rows in the queue, counted up to a bound (see tailrace_queue_events_capped).',
    samples: ({ reading }) => one(reading?.status.queued),
  },
  {
    name: 'tailrace_queue_events_capped',
    type: 'gauge',
    help: '1 when there are more rows than tailrace_queue_events says.',
    samples: ({ reading }) => (reading ? flag(reading.status.queued_is_minimum) : []),
  },
  {
    name: 'tailrace_queue_oldest_age_seconds',
    type: 'gauge',
    help: 'Age of the first row in the queue by its event_time; absent when there is none.',
    samples: ({ reading }) => one(reading?.status.oldest_seconds),
  },
  {
    name: 'tailrace_queue_left_events',
    type: 'gauge',
    help: 'Rows that the configuration leaves in the queue.',
    samples: ({ reading }) => one(reading?.status.left),
  },
  {
    name: 'tailrace_status_age_seconds',
    type: 'gauge',
    help: 'How old the figures of the queue and of the destinations are, for which PostgreSQL is asked.',
    samples: ({ reading }) => one(reading?.ageS),
  },
  {
    name: 'tailrace_status_query_seconds',
    type: 'gauge',
    help: 'How long asking for them took; the longer, the more seldom it is done.',
    samples: ({ reading }) => one(reading?.tookS),
  },
];

/** All of ours; the process's own (`process_…`, `nodejs_…`) come from the library. */
export const FAMILIES: readonly Family[] = [
  ...PROCESS_FAMILIES,
  ...EVENT_FAMILIES,
  ...LOG_FAMILIES,
  ...QUEUE_FAMILIES,
  ...DESTINATION_FAMILIES,
];
