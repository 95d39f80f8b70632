// Rules between several keys, which no shape of a single value can say. They look at the value as it is, so that one
// wrong key elsewhere does not hide what is wrong here.

import { resolve } from 'node:path';
import { checkHttpPost } from './http-rules.ts';
import { type Finding, isObject, type Path, valueAt } from './problem.ts';

/** Everything that breaks a rule of SPEC 5 between keys. */
export function findBrokenRules(value: unknown): Finding[] {
  if (!isObject(value)) return [];
  const entries = value.event_destinations;
  const findings: Finding[] = [];
  if (Array.isArray(entries)) {
    for (const at of entries.keys()) {
      findings.push(...checkMatches(value, ['event_destinations', at, 'matches']));
      findings.push(...checkRetry(value, ['event_destinations', at, 'destination', 'retry']));
      findings.push(...checkHttpPost(value, ['event_destinations', at, 'destination']));
    }
    findings.push(...checkLast(entries));
  }
  if (value.logfile === undefined && (entries === undefined || (Array.isArray(entries) && entries.length === 0))) {
    findings.push({ path: [], message: 'expected "event_destinations" or "logfile" or both, found neither' });
  }
  return findings;
}

function checkMatches(value: unknown, path: Path): Finding[] {
  const matches = valueAt(value, path);
  if (!isObject(matches)) return [];
  const keys = Object.keys(matches);
  if (keys.length === 0) {
    return [{ path, message: '"matches" is empty: expected "event_type" or "mail_class", or {"all": true}' }];
  }
  if ('all' in matches && ('event_type' in matches || 'mail_class' in matches)) {
    return [{ path, key: 'all', message: '"all" stands alone: take it out, or take the other keys out' }];
  }
  return [];
}

function checkRetry(value: unknown, path: Path): Finding[] {
  const retry = valueAt(value, path);
  if (!isObject(retry)) return [];
  const { initial_ms: initial, max_ms: max } = retry;
  if (typeof initial !== 'number' || typeof max !== 'number' || initial <= max) return [];
  return [
    { path: [...path, 'max_ms'], message: `"max_ms": expected at least "initial_ms" (${initial}), found ${max}` },
  ];
}

function checkLast(entries: readonly unknown[]): Finding[] {
  const at = entries.length - 1;
  // An `all` of another value than true is already a problem of its own.
  if (at < 0 || valueAt(entries, [at, 'matches', 'all']) !== undefined) return [];
  const path: Path = ['event_destinations', at, 'matches'];
  return [{ path, message: 'the last entry of "event_destinations" has to match everything else: {"all": true}' }];
}

/** `continue` where there is nothing to go on from, or to: allowed, and probably not meant. */
export function findIdleContinues(entries: unknown): Finding[] {
  if (!Array.isArray(entries)) return [];
  return [...entries.keys()].flatMap((at) => {
    if (valueAt(entries, [at, 'continue']) !== true) return [];
    const why =
      at === entries.length - 1
        ? 'there is no entry below this one'
        : valueAt(entries, [at, 'destination', 'type']) === 'drop_from_queue'
          ? 'nothing is dropped here, the entries below decide'
          : null;
    return why === null
      ? []
      : [{ path: ['event_destinations', at], key: 'continue', message: `"continue" has no effect: ${why}` }];
  });
}

/** Two logs in one file would end as a log of neither. */
export function findSameFiles(value: unknown, folder: string): Finding[] {
  const log = valueAt(value, ['logfile', 'filename']);
  const path: Path = ['delivery_log', 'filename'];
  const deliveryLog = valueAt(value, path);
  if (typeof log !== 'string' || typeof deliveryLog !== 'string') return [];
  const [first, second] = [resolve(folder, log), resolve(folder, deliveryLog)];
  // With a date appended the log's names begin with it.
  if (second !== first && !/^\.\d{4}-\d{2}-\d{2}$/.test(second.startsWith(first) ? second.slice(first.length) : ''))
    return [];
  return [{ path, message: '"filename": expected a file of its own for the delivery log, found the log file' }];
}
