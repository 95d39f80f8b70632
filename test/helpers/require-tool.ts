// Tests that need a tool of the system: skipped aloud on a machine that lacks it, a failure where all must run (CI).

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** logrotate and others live here, and root's tools are not on everybody's PATH. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/**
 * Tells whether a tool can be run: `describe.skipIf(!requireTool('logrotate'))`.
 *
 * @throws {Error} when it cannot and TAILRACE_REQUIRE_TOOLS is 1.
 */
export function requireTool(name: string): boolean {
  if (findTool(name) !== undefined) return true;
  if (process.env.TAILRACE_REQUIRE_TOOLS === '1') throw new Error(`${name} is not installed, and all tests are to run`);
  process.stderr.write(`SKIPPED for want of ${name}: install it to run these tests\n`);
  return false;
}

/** The path of a tool, or undefined when there is none. */
export function findTool(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), ...SYSTEM_FOLDERS];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
