// Who works on the queue, and how its destinations are.

import { count, duration } from '../lib/quantity.ts';
import type { DestinationStatus, Status } from '../queue/status.ts';
import type { Writer } from '../queue/writers.ts';
import { type Finding, ok, oneLine, problem, warning } from './finding.ts';

const MOST_DESTINATIONS = 30;
/** Events that a destination has not taken for so long want a person. */
const OLD_SECONDS = 3_600;

/** The process, or that of each shard. */
export function checkWriters({ writer, shards }: Status): readonly Finding[] {
  if (writer === null) {
    return [warning('writer', 'no process has been the writer yet', 'start one:', '$ systemctl start tailrace')];
  }
  if (shards.length === 0) return [checkWriter(writer, 'writer', false)];
  const running = shards.filter(({ state }) => state === 'running').length;
  const all = shards.map((each) => checkWriter(each, `shard ${each.shard}`, running > 0));
  if (running === shards.length) return [ok('writer', `all ${shards.length} shards run`), ...all];
  const found = `${running} of ${shards.length} shards run`;
  const advice = 'events of the others are neither logged nor sent: start them on their hosts';
  return [running > 0 ? problem('writer', found, advice) : warning('writer', found, advice), ...all];
}

function checkWriter(writer: Writer, check: string, othersRun: boolean): Finding {
  const { state, epoch, started_seconds, journal_at, shard } = writer;
  const start = shard === null ? '$ systemctl start tailrace' : `$ tailrace run --shard ${shard} --config FILE`;
  const which = `epoch ${epoch}, began ${duration(started_seconds)} ago (${journal_at})`;
  switch (state) {
    case 'running':
      return ok(check, `running, ${which}`);
    case 'gone':
      return problem(
        check,
        `gone: it did not stop in order, and nobody has taken over: ${which}`,
        'leave the hidden folder beside the log alone, and start it on the same host: it finishes what was begun',
        start,
      );
    case 'stopped': {
      const found = `stopped in order, ${which}: nothing is logged or sent`;
      const advice = ['right between two runs of `run --once`; else start it:', start];
      return othersRun ? problem(check, found, ...advice) : warning(check, found, ...advice);
    }
    case 'absent':
      return problem(check, 'was never started', start);
  }
}

/** Each destination that is not well, and one line for those that are. */
export function checkDestinations({ destinations }: Status): readonly Finding[] {
  const findings = destinations.map(checkDestination);
  const troubled = findings.filter(({ state }) => state !== 'ok');
  const well = findings.length - troubled.length;
  const more = troubled.length - MOST_DESTINATIONS;
  return [
    ...troubled.slice(0, MOST_DESTINATIONS),
    ...(more > 0 ? [warning('destinations', `${more} more are not well`, '$ tailrace status')] : []),
    ...(well > 0 || troubled.length === 0 ? [ok('destinations', wellText(findings, well))] : []),
  ];
}

function wellText(findings: readonly Finding[], well: number): string {
  if (findings.length === 0) return 'none known yet: no processor has run with one';
  return `${well} of ${findings.length} ${well === 1 ? 'is' : 'are'} well`;
}

function checkDestination(each: DestinationStatus): Finding {
  const { destination, state, waiting, retrying, parked, oldest_seconds, last_error, until_seconds } = each;
  const name = oneLine(destination, 80);
  const check = `destination`;
  const failing = waiting + retrying > 0 ? `, oldest ${duration(oldest_seconds)}` : '';
  const counts = `${count(waiting)} waiting, ${count(retrying)} failed, ${count(parked)} parked${failing}`;
  const error = last_error === null ? '' : `; last error: ${oneLine(last_error, 160)}`;
  const quoted = shellQuoted(destination);
  const isOld = waiting + retrying > 0 && (oldest_seconds ?? 0) > OLD_SECONDS;
  switch (state) {
    case 'paused':
      return warning(check, `"${name}" is paused: ${counts}`, `$ tailrace resume ${quoted}`);
    case 'disabled':
      return waiting + retrying > 0
        ? warning(check, `"${name}" is disabled: ${counts}`, '"enabled": true in the configuration lets them go')
        : ok(check, `"${name}" is disabled`);
    case 'open':
      return problem(
        check,
        `"${name}" keeps failing, next probe ${until_seconds ? `in ${duration(until_seconds)}` : 'now'}: ${counts}${error}`,
        'mend the receiver; it is noticed by itself, or at once with',
        `$ tailrace retry ${quoted}`,
      );
    case 'asked_to_wait':
      return warning(
        check,
        `"${name}" asked to wait for ${duration(until_seconds)}: ${counts}${error}`,
        'nothing to do: it goes on by itself',
      );
    default: {
      if (isOld) {
        return problem(
          check,
          `"${name}": ${counts}${error}`,
          'events have not been taken for more than an hour: see the error, and how quickly the receiver answers (concurrency)',
          `$ tailrace retry ${quoted}`,
        );
      }
      if (parked > 0) {
        const parkedOnly = name === '(too large)' ? '$ tailrace retry --parked' : `$ tailrace retry ${quoted} --parked`;
        return warning(
          check,
          `"${name}": ${counts}${error}`,
          'parked events wait for you; with all attempts again:',
          parkedOnly,
        );
      }
      if (retrying > 0) {
        return warning(
          check,
          `"${name}": ${counts}${error}`,
          'tried again by themselves; at once with',
          `$ tailrace retry ${quoted}`,
        );
      }
      return ok(check, `"${name}" is well`);
    }
  }
}

const shellQuoted = (text: string): string =>
  /^[\w./:@%+=-]+$/.test(text) ? text : `'${oneLine(text).replaceAll("'", "'\\''")}'`;
