// A plan for a person.

import type { TypeCount } from '../../dry-run/plan.ts';
import { count, duration, many } from '../../lib/quantity.ts';
import { inColumns } from '../columns.ts';
import type { PlanReport, ReckonedRate, ReportedDestination } from './report.ts';

/** Types of a pile that are shown. */
const MAX_TYPES = 12;

/** Several lines of text, each with its newline. */
export function renderPlan(report: PlanReport): string {
  const { events, oldest_seconds, lines, destinations, finished, file_only, parked } = report;
  const about = report.estimate === null ? '' : 'about ';
  return [
    `config   ${report.config}, ${report.in_force ? 'in force' : 'not in force: all that was left, waits or failed would be decided anew'}`,
    `queue    ${about}${many(events, 'event')}, oldest ${duration(oldest_seconds)}${lines === null ? '' : `; ${many(lines, 'line')} to be written to the log file`}`,
    ...(report.released > 0
      ? [
          `RELEASED ${many(report.released, 'event')} that were left, or waited or failed elsewhere, and would now be sent`,
        ]
      : []),
    ...caveats(report),
    ...(destinations.length > 0 ? ['', ...table(destinations)] : []),
    '',
    ...dropped(report),
    ...left(report),
    ...(file_only > 0
      ? [`deleted  ${many(file_only, 'event')} once the line is written: there are no destinations`]
      : []),
    ...(finished > 0
      ? [`done     ${many(finished, 'event')} that whoever is still wanted has: to be deleted only`]
      : []),
    ...(parked > 0 ? [`parked   ${many(parked, 'event')} given up or too large, and wanted nowhere else`] : []),
    'Nothing was sent, and nothing was changed.',
    '',
  ].join('\n');
}

function caveats({ complete, estimate, running, events }: PlanReport): string[] {
  return [
    ...(estimate === null
      ? []
      : [
          `ESTIMATE from ${many(estimate.sampled, 'event')} (${percent(estimate.share)} of the table): small numbers are rough, and there may be older events`,
        ]),
    ...(complete ? [] : ['INTERRUPTED: what follows is what had been counted by then']),
    ...(running && events > 0 ? ['A processor is running: what it settles while this counts is in it or not.'] : []),
  ];
}

function table(destinations: readonly ReportedDestination[]): string[] {
  const head = ['DESTINATION', 'EVENTS', 'NEW', 'WAITING', 'FAILED', 'RELEASED', 'PARKED', 'OLDEST', 'TAKES'];
  const rows = destinations.map((each) => [
    each.destination,
    ...[each.events, each.new, each.waiting, each.failed, each.released, each.parked].map(count),
    duration(each.oldest_seconds),
    takes(each),
  ]);
  return inColumns([head, ...rows], (at) => at >= 1 && at <= 7);
}

/** `2h 46m at 0.1/s (measured)`. */
function takes({ events, rate, takes_seconds, enabled, paused, has_it }: ReportedDestination): string {
  const has = has_it > 0 ? `; has ${count(has_it)} more already` : '';
  if (!enabled) return `waits: disabled${has}`;
  if (paused) return `waits: paused${has}`;
  if (events === 0) return `-${has}`;
  if (rate === null || takes_seconds === null) return `unknown: give --rate${has}`;
  return `${duration(takes_seconds)} at ${rateText(rate)}${has}`;
}

const rateText = ({ per_second, from }: ReckonedRate): string =>
  `${per_second.toLocaleString('en-US', { maximumFractionDigits: per_second < 1 ? 2 : per_second < 100 ? 1 : 0 })}/s (${from === 'configured' ? 'max_per_second' : from})`;

function dropped({ dropped: { events, released, by_type, oldest_seconds } }: PlanReport): string[] {
  if (events === 0) return [];
  const before = released > 0 ? `; ${count(released)} of them were left, waiting or failed until now` : '';
  return [
    `dropped  ${many(events, 'event')} THROWN AWAY, oldest ${duration(oldest_seconds)}${before}`,
    ...types(by_type),
  ];
}

function left({ left: { events, were_left, by_type, oldest_seconds } }: PlanReport): string[] {
  if (events === 0) return [];
  const before = were_left > 0 ? `; ${count(were_left)} of them were left before` : '';
  return [
    `left     ${many(events, 'event')} in the queue, oldest ${duration(oldest_seconds)}${before}`,
    ...types(by_type),
  ];
}

function types(all: readonly TypeCount[]): string[] {
  const shown = all.slice(0, MAX_TYPES);
  const width = Math.max(...shown.map(({ event_type }) => nameOf(event_type).length));
  const digits = Math.max(...shown.map(({ events }) => count(events).length));
  const rest = all.slice(MAX_TYPES).reduce((sum, { events }) => sum + events, 0);
  return [
    ...shown.map(
      ({ event_type, events }) => `           ${nameOf(event_type).padEnd(width)}  ${count(events).padStart(digits)}`,
    ),
    ...(rest > 0 ? [`           ${count(rest)} of other types`] : []),
  ];
}

const nameOf = (type: string | null): string =>
  type === null ? '(no type)' : type === '*' ? '(other types)' : type.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, '?');

const percent = (share: number): string =>
  `${(share * 100).toLocaleString('en-US', { maximumSignificantDigits: 2 })} %`;
