// `mkdir -p` that ends. Node's own goes round for ever where a folder can neither be made nor be found although its
// parent is there: below /proc, and below a mount point of an automounter that knows no such name.

import { mkdir as mkdirOfNode, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from './errors.ts';

export interface MakeFoldersOptions {
  /** Of each folder that is made; the umask takes bits away. Default 0777. */
  readonly mode?: number;
  readonly mkdir?: (path: string, options: { readonly mode: number }) => Promise<unknown>;
}

/**
 * Makes a folder, and those above it that are missing.
 *
 * @returns the topmost one that was made; undefined when it was there.
 * @throws what mkdir throws.
 */
export async function makeFolders(path: string, options: MakeFoldersOptions = {}): Promise<string | undefined> {
  const { mode = 0o777, mkdir = mkdirOfNode } = options;
  const make = async (): Promise<unknown> => {
    try {
      await mkdir(path, { mode });
      return null;
    } catch (error) {
      const stats = await stat(path).catch(() => null);
      return stats?.isDirectory() ? undefined : error;
    }
  };
  const failed = await make();
  if (failed === null) return path;
  if (failed === undefined) return undefined;
  const parent = dirname(path);
  if (codeOf(failed) !== 'ENOENT' || parent === path) throw failed;
  const topmost = await makeFolders(parent, options);
  const failedAgain = await make();
  if (failedAgain !== null && failedAgain !== undefined) throw failedAgain;
  return topmost ?? (failedAgain === null ? path : undefined);
}
