// `tailrace plan`: what a configuration would do with everything that is in the queue, how old it is and how long it would
// take. Read-only, page by page.

import type { ArgumentsCamelCase } from 'yargs';
import type { Config } from '../../config/config.ts';
import { createPlanner, type Plan } from '../../dry-run/plan.ts';
import { EXIT, TailraceError } from '../../lib/errors.ts';
import { beforeSignalEnds, onSignals } from '../../lib/shutdown.ts';
import { type InForce, readInForce } from '../../queue/in-force.ts';
import { readOnly } from '../../queue/read-only.ts';
import { QUEUE_TABLE } from '../../queue/schema.ts';
import type { Session } from '../../queue/session.ts';
import { readStatus, type Status } from '../../queue/status.ts';
import { isWorthSampling, type SurveyedPage, sampleQueue, surveyQueue } from '../../queue/survey.ts';
import { type QueueTable, readQueueTable } from '../../queue/table.ts';
import type { Command, CommandContext } from '../command.ts';
import { loadGoodConfig } from '../configuration.ts';
import { databaseOption, withSession } from '../database.ts';
import { createPlanProgress } from './progress.ts';
import { type PlanReport, reportOf } from './report.ts';
import { renderPlan } from './text.ts';

export const plan: Command = {
  usage: 'plan',
  summary: 'say what a configuration would do with all that is in the queue; nothing is sent or changed',
  examples: [
    ['tailrace plan --config new.json', 'before new.json is put in force'],
    ['tailrace plan --rate 200', 'how long it would take at 200 events a second for each destination'],
    ['tailrace plan --sample 100000', 'an estimate from about 100,000 events of a huge queue'],
    ["tailrace plan --json | jq '.destinations[] | select(.released > 0)'", 'for a script'],
  ],
  options: (yargs) =>
    databaseOption(yargs)
      .option('config', { type: 'string', requiresArg: true, describe: 'configuration file' })
      .option('rate', {
        type: 'number',
        requiresArg: true,
        describe: 'events a second that each destination takes, instead of what was measured',
      })
      .option('sample', {
        type: 'number',
        requiresArg: true,
        describe: 'look at about so many events only, and estimate the rest',
      })
      .option('json', { type: 'boolean', default: false, describe: 'print one JSON object' }),
  async run(args, context) {
    const options = readOptions(args);
    const { env, stderr } = context;
    using waiting = beforeSignalEnds(() => {
      stderr.write('tailrace: interrupted before anything was counted; nothing was changed\n');
    });
    const loaded = await loadGoodConfig(args.config, context);
    if (loaded === null) return EXIT.problem;
    const { file, config } = loaded;
    const stop = new AbortController();
    let stopListening = (): void => {};
    try {
      const report = await withSession(args, env, async (session) => {
        stopListening = onSignals({ onStop: () => stop.abort(), onHangup: () => stop.abort() });
        waiting[Symbol.dispose]();
        const known = await readOnly(session, async () => ({
          status: await readStatus(session),
          inForce: await readInForce(session),
          table: await readQueueTable(session, QUEUE_TABLE, config.onDelivered === 'mark_processed'),
          nowSeconds: Number((await session.query('SELECT extract(epoch FROM now())'))[0]?.[0]),
        }));
        const counted = await count(session, { ...known, config, sample: options.sample }, stop.signal, context);
        return reportOf({ ...counted, ...known, file, config, rate: options.rate });
      });
      print(report, args, context);
      return report.complete ? EXIT.ok : EXIT.problem;
    } finally {
      stopListening();
    }
  },
};

function readOptions({ rate, sample }: ArgumentsCamelCase) {
  const usage = (message: string): TailraceError => new TailraceError('USAGE', message, { exitCode: EXIT.usage });
  if (rate !== undefined && !(typeof rate === 'number' && rate > 0)) {
    throw usage('--rate takes events a second, a number above 0');
  }
  if (sample !== undefined && !(Number.isSafeInteger(sample) && Number(sample) > 0)) {
    throw usage('--sample takes a number of events, a whole number above 0');
  }
  return { rate: rate === undefined ? null : Number(rate), sample: sample === undefined ? null : Number(sample) };
}

interface Counted {
  readonly plan: Plan;
  /** false: Ctrl-C ended it. */
  readonly complete: boolean;
  /** Events that were looked at. */
  readonly seen: number;
  /** null: all were counted. Else the share of the table that was drawn. */
  readonly fraction: number | null;
}

interface CountOptions {
  readonly table: QueueTable;
  readonly config: Config;
  readonly inForce: InForce;
  readonly status: Status;
  /** null = all. */
  readonly sample: number | null;
}

async function count(
  session: Session,
  { table, config, inForce, status, sample }: CountOptions,
  signal: AbortSignal,
  { stderr }: CommandContext,
): Promise<Counted> {
  const planner = createPlanner(config, inForce);
  const mailClasses = config.routes.some(({ matches }) => matches.mailClasses !== null);
  const progress = createPlanProgress(stderr);
  let seen = 0;
  let fraction: number | null = null;
  const take = ({ events, share }: SurveyedPage): void => {
    for (const event of events) planner.add(event);
    seen += events.length;
    progress.show(seen, share);
  };
  const isFew = sample !== null && !status.queued_is_minimum && status.queued <= sample;
  try {
    if (sample === null || isFew || !(await isWorthSampling(session, table))) {
      for await (const page of surveyQueue(session, table, { mailClasses, signal })) take(page);
    } else {
      const seed = Math.floor(Math.random() * 1e9);
      for await (const page of sampleQueue(session, table, { mailClasses, signal, wanted: sample, seed })) {
        take(page);
        fraction = page.fraction;
      }
    }
  } finally {
    progress.end();
  }
  return { plan: planner.result(fraction === null ? 1 : 1 / fraction), complete: !signal.aborted, seen, fraction };
}

function print(report: PlanReport, { json }: ArgumentsCamelCase, { stdout, stderr }: CommandContext): void {
  stdout.write(json === true ? `${JSON.stringify(report)}\n` : renderPlan(report));
  if (report.complete) return;
  stderr.write('tailrace: interrupted: the figures are those of what had been counted; nothing was changed\n');
}
