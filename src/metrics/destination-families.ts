// The metrics of each destination. What this process counted is there from the first event on; what PostgreSQL says
// covers all processes.

import { ANSWERS, type DestinationVitals } from '../flow/vitals.ts';
import { DESTINATION_STATES, type DestinationStatus } from '../queue/status.ts';
import { type Family, histogramSamples, type Measured, type Sample } from './family.ts';

export const DESTINATION_FAMILIES: readonly Family[] = [
  {
    name: 'tailrace_delivery_attempts_total',
    type: 'counter',
    help: 'Attempts to deliver an event, by what came of it: accepted, or the class of the HTTP status, sql, none (no answer).',
    samples: counted((destination, { answers }) =>
      ANSWERS.map((answer) => ({ value: answers[answer], labels: { destination, answer } })),
    ),
  },
  {
    name: 'tailrace_events_parked_total',
    type: 'counter',
    help: 'Events given up after max_attempts; they wait for tailrace retry.',
    samples: counted((destination, { parked }) => [{ value: parked, labels: { destination } }]),
  },
  {
    name: 'tailrace_delivery_latency_seconds',
    type: 'histogram',
    help: 'Time from the line on disk to the acceptance, of events accepted without having waited in PostgreSQL.',
    samples: counted((destination, { latency }) =>
      histogramSamples('tailrace_delivery_latency_seconds', latency, { destination }),
    ),
  },
  {
    name: 'tailrace_request_duration_seconds',
    type: 'histogram',
    help: 'Time of a request (a transaction) of one event or of a batch, whatever came of it.',
    samples: counted((destination, { requests }) =>
      histogramSamples('tailrace_request_duration_seconds', requests, { destination }),
    ),
  },
  {
    name: 'tailrace_destination_breaker_open',
    type: 'gauge',
    help: '1 while the destination keeps failing and is only probed.',
    samples: ({ life }) =>
      (life.tenure?.lanes() ?? []).map(({ key, state }) => ({
        value: Number(state === 'open'),
        labels: { destination: key },
      })),
  },
  {
    name: 'tailrace_destination_held_events',
    type: 'gauge',
    help: 'Events queued or under way in this process.',
    samples: ({ life }) =>
      (life.tenure?.lanes() ?? []).map(({ key, held }) => ({ value: held, labels: { destination: key } })),
  },
  {
    name: 'tailrace_destination_state',
    type: 'gauge',
    help: '1 for the state that tailrace status shows, 0 for the others.',
    samples: said((each, labels) =>
      DESTINATION_STATES.map((state) => ({ value: Number(each.state === state), labels: { ...labels, state } })),
    ),
  },
  {
    name: 'tailrace_destination_waiting_events',
    type: 'gauge',
    help: 'Events not tried yet there.',
    samples: said(({ waiting }, labels) => [{ value: waiting, labels }]),
  },
  {
    name: 'tailrace_destination_retrying_events',
    type: 'gauge',
    help: 'Events that failed there and are tried again.',
    samples: said(({ retrying }, labels) => [{ value: retrying, labels }]),
  },
  {
    name: 'tailrace_destination_parked_events',
    type: 'gauge',
    help: 'Events given up there; they wait for tailrace retry.',
    samples: said(({ parked }, labels) => [{ value: parked, labels }]),
  },
  {
    name: 'tailrace_destination_oldest_age_seconds',
    type: 'gauge',
    help: 'Age of the oldest undelivered event there by its event_time; absent when there is none.',
    samples: said((each, labels) => (each.oldest_seconds === null ? [] : [{ value: each.oldest_seconds, labels }])),
  },
];

/** Reads from what this process counted. */
function counted(samplesOf: (destination: string, vitals: DestinationVitals) => readonly Sample[]): Family['samples'] {
  return ({ vitals }: Measured) => [...vitals.destinations].flatMap(([key, each]) => samplesOf(key, each));
}

/** Reads from what PostgreSQL said. */
function said(
  samplesOf: (status: DestinationStatus, labels: { readonly destination: string }) => readonly Sample[],
): Family['samples'] {
  return ({ reading }: Measured) =>
    (reading?.status.destinations ?? []).flatMap((each) => samplesOf(each, { destination: each.destination }));
}
