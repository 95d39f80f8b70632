// Whether this process does its work, for a load balancer or an orchestrator: as the writer it reads, writes and
// delivers; standing by it could take over. The answer needs no token, so that it says which thing is wrong and not
// where: paths and addresses are in the diagnostics.

import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { LogFileConfig } from '../config/config.ts';
import type { Life, Role } from '../flow/life.ts';
import { codeOf } from '../lib/errors.ts';
import type { DatabaseWatch } from './database-watch.ts';

/** A probe of an orchestrator does not wait longer. */
const PATIENCE_MS = 900;

/** Why it is not ready, and a sentence for each. */
export const REASONS = {
  starting: 'It is not the writer yet, and no other process holds the queue either; its diagnostics say why.',
  stopping: 'It was told to stop.',
  rights_in_doubt: 'The connection that holds the right to write is lost; it is being opened again.',
  log_file: 'The log file cannot be written; nothing is delivered until it can.',
  database: 'PostgreSQL does not answer.',
} as const;
export type Reason = keyof typeof REASONS;

export interface Readiness {
  readonly role: Role;
  /** Empty = ready. */
  readonly reasons: readonly Reason[];
}

export interface ReadinessOptions {
  readonly life: Life;
  readonly database: DatabaseWatch;
  /** The log file that is configured now. */
  readonly logFile: () => LogFileConfig | null;
  /** Whether the process was told to stop. */
  readonly stopping: () => boolean;
}

/** Looks at everything; takes about a second at the most. */
export async function readinessOf({ life, database, logFile, stopping }: ReadinessOptions): Promise<Readiness> {
  const { role, tenure } = life;
  const reasons: Reason[] = [];
  if (stopping() || role === 'stopped') reasons.push('stopping');
  else if (role === 'starting' || (role === 'writer' && tenure === null)) reasons.push('starting');
  if (tenure !== null && !tenure.held()) reasons.push('rights_in_doubt');
  const isWritable = tenure === null ? await mayWrite(logFile()) : tenure.logFile().error === null;
  if (!isWritable) reasons.push('log_file');
  if (!(await database.isUp(PATIENCE_MS))) reasons.push('database');
  return { role, reasons };
}

/** As far as one can tell without writing: who stands by must not touch the file. */
async function mayWrite(file: LogFileConfig | null): Promise<boolean> {
  if (file === null) return true;
  const directory = dirname(file.filename);
  try {
    await access(directory, constants.W_OK | constants.X_OK);
    const found = await stat(file.filename).catch((error) => {
      if (codeOf(error) === 'ENOENT') return null;
      throw error;
    });
    if (found === null) return true;
    await access(file.filename, constants.R_OK | constants.W_OK);
    return found.isFile();
  } catch (error) {
    return codeOf(error) === 'ENOENT' && file.createDirectory;
  }
}
