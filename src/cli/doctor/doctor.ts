// `tailrace doctor`: everything that makes trouble at three in the morning, a line each, with what to do.

import { examine } from '../../doctor/doctor.ts';
import { LOGROTATE_FILES } from '../../doctor/logrotate.ts';
import { EXIT } from '../../lib/errors.ts';
import { Session } from '../../queue/session.ts';
import { type Command, textOf } from '../command.ts';
import { databaseOption, databaseUrl } from '../database.ts';
import { renderExamination } from './text.ts';

/** A session that does not answer for so long is given up, and with it the checks that need one. */
const QUERY_DEADLINE_MS = 8_000;
const NARROW = 80;
const WIDE = 120;

export const doctor: Command = {
  usage: 'doctor',
  summary: 'look for trouble: configuration, database, queue, locks, destinations, log file, disk; change nothing',
  examples: [
    ['tailrace doctor', 'every check a line; what to do where something is wrong'],
    ['tailrace doctor --config /etc/tailrace/event_processor.json', 'as the service would see it'],
    ['tailrace doctor --json | jq \'.checks[] | select(.state != "ok")\'', 'for a script or a monitor'],
  ],
  options: (yargs) =>
    databaseOption(yargs)
      .option('config', { type: 'string', requiresArg: true, describe: 'configuration file' })
      .option('json', { type: 'boolean', default: false, describe: 'print one JSON object' }),
  async run(args, { env, stdout }) {
    const database = databaseUrl(args, env);
    const examination = await examine({
      config: textOf(args.config),
      env,
      open: () => Session.open({ database, applicationName: 'tailrace doctor', queryDeadlineMs: QUERY_DEADLINE_MS }),
      now: Date.now,
      logrotate: LOGROTATE_FILES,
    });
    if (args.json === true) {
      const checks = examination.groups.flatMap(({ group, findings }) => findings.map((each) => ({ group, ...each })));
      stdout.write(`${JSON.stringify({ state: examination.state, checks })}\n`);
    } else {
      const width = Math.max(NARROW, Math.min(stdout.columns ?? 100, WIDE));
      const isColourful = stdout.isTTY === true && !env.NO_COLOR;
      stdout.write(renderExamination(examination, { width, isColourful }));
    }
    return examination.state === 'problem' ? EXIT.problem : EXIT.ok;
  },
};
