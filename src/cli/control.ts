// The control directory of a command: `--control-dir DIR`, else TAILRACE_CONTROL_DIR, else a usual place (SPEC 7).

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { type ControlDirectory, findControlDirectory } from '../recording/control-directory.ts';

export const controlOption = (yargs: Argv): Argv =>
  yargs.option('control-dir', {
    type: 'string',
    requiresArg: true,
    describe: 'directory of the recording switches (else TAILRACE_CONTROL_DIR, else /etc/tailrace/control, …)',
  });

/** null: there is none; the switches are kept in the database. */
export function findControl(args: ArgumentsCamelCase, env: NodeJS.ProcessEnv): Promise<ControlDirectory | null> {
  return findControlDirectory(
    typeof args.controlDir === 'string' && args.controlDir !== '' ? args.controlDir : undefined,
    env,
  );
}
