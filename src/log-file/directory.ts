// Makes the names in a directory survive a power cut.

import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { codeOf } from '../lib/errors.ts';

/** fsync(2) of a directory. */
export async function syncDirectory(directory: string, openFile: typeof open = open): Promise<void> {
  const handle = await openFile(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems cannot sync a directory; there is nothing more to do on them.
    if (codeOf(error) !== 'EINVAL' && codeOf(error) !== 'ENOTSUP') throw error;
  } finally {
    await handle.close();
  }
}
