// The Engine's switches: small files in a control directory (SPEC 7, seed 001). What counts is their content as looked
// at; a missing file is off, and whatever is not understood is off too and said.

import { constants } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ENGINE_SWITCHES, type RecordingSwitch } from '../event/recording-switches.ts';
import { codeOf, messageOf, TailraceError } from '../lib/errors.ts';
import { folderProblem, writeProblem } from '../lib/file-problem.ts';
import { makeFolders } from '../lib/make-folders.ts';

/** Used when no directory is named, the first that is there (SPEC 7). */
export const CONTROL_DIRECTORIES: readonly string[] = ['/etc/tailrace/control', '/var/hvmail/control'];

/** More than any switch has reason to hold. */
const MAX_FILE_BYTES = 4_096;
const SHOWN_LENGTH = 40;

export interface ControlDirectory {
  readonly path: string;
  /** Named by an option or the environment: then it may be made, and its absence is a problem. */
  readonly named: boolean;
}

/** One reading of all files. */
export interface ControlState {
  /** Types that are switched on. */
  readonly on: ReadonlySet<string>;
  /** Path → why it counts as off. */
  readonly problems: ReadonlyMap<string, string>;
}

/** Finds the control directory: the option, else TAILRACE_CONTROL_DIR, else a usual place that is there. null: none. */
export async function findControlDirectory(
  option: string | undefined,
  env: NodeJS.ProcessEnv,
): Promise<ControlDirectory | null> {
  const named = option ?? env.TAILRACE_CONTROL_DIR;
  if (named) return { path: resolve(named), named: true };
  for (const path of CONTROL_DIRECTORIES) {
    const found = await stat(path).catch(() => null);
    if (found?.isDirectory()) return { path, named: false };
  }
  return null;
}

/** Reads every switch of the directory. Never throws. */
export async function readControlDirectory({ path }: ControlDirectory): Promise<ControlState> {
  const on = new Set<string>();
  const problems = new Map<string, string>();
  const found = await stat(path).catch((error: unknown) => `cannot be read: ${folderProblem(error)}`);
  if (typeof found === 'string' || !found.isDirectory()) {
    problems.set(path, typeof found === 'string' ? found : 'is not a directory');
    return { on, problems };
  }
  const states = await Promise.all(ENGINE_SWITCHES.map(({ where, form }) => readSwitch(join(path, where), form)));
  for (const [at, { type, where }] of ENGINE_SWITCHES.entries()) {
    const state = states[at];
    if (state === true) on.add(type);
    else if (typeof state === 'string') problems.set(join(path, where), state);
  }
  return { on, problems };
}

/** @returns on or off, or what is wrong. */
async function readSwitch(file: string, form: RecordingSwitch['form']): Promise<boolean | string> {
  let text: string | null;
  try {
    text = await readSmallFile(file);
  } catch (error) {
    return messageOf(error);
  }
  if (text === null) return false;
  const content = text.trim();
  if (form === 'one') return content === '1' || (content !== '' && content !== '0' && `holds ${shown(content)}, not 1`);
  const enabled = objectOf(content)?.enabled;
  return typeof enabled === 'boolean' ? enabled : content !== '' && `holds ${shown(content)}, not {"enabled": true}`;
}

/** The text of a regular file; null when there is none. A pipe in its place must not make us wait. */
async function readSmallFile(file: string): Promise<string | null> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  });
  if (handle === null) return null;
  try {
    if (!(await handle.stat()).isFile()) throw new Error('is not a regular file');
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(MAX_FILE_BYTES + 1), 0, MAX_FILE_BYTES + 1, 0);
    if (bytesRead > MAX_FILE_BYTES) throw new Error(`is longer than ${MAX_FILE_BYTES} bytes`);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await handle.close();
  }
}

/**
 * Sets one switch of the Engine in one step: nobody sees half of it. A directory that was named is made when it is missing.
 *
 * @throws {TailraceError} `SWITCH_NOT_SET`.
 */
export async function writeSwitch(directory: ControlDirectory, each: RecordingSwitch, on: boolean): Promise<void> {
  const file = join(directory.path, each.where);
  // Beside the file, and under a name that nobody takes for a switch.
  const draft = join(directory.path, `.${each.where}.${process.pid}`);
  try {
    if (directory.named) await makeFolders(directory.path);
    const handle = await open(draft, 'w', 0o644);
    try {
      await handle.writeFile(`${each.form === 'json' ? await jsonContent(file, on) : Number(on)}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (cause) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw new TailraceError(
      'SWITCH_NOT_SET',
      `cannot write ${file}: ${writeProblem(cause)}; run this as a user that may, or name another directory with --control-dir`,
      { cause },
    );
  }
}

/** Other settings that stand in the file stay. */
async function jsonContent(file: string, enabled: boolean): Promise<string> {
  const before = await readSmallFile(file).catch(() => null);
  return JSON.stringify({ ...objectOf(before ?? ''), enabled });
}

function objectOf(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

function shown(content: string): string {
  return JSON.stringify(content.length > SHOWN_LENGTH ? `${content.slice(0, SHOWN_LENGTH)}…` : content);
}
