// Why a file cannot be read or written, in words for a person instead of the name of a system call.

import { codeOf, messageOf, TailraceError } from './errors.ts';

/** What the error of a call on a file means; goes behind "FILE cannot be read: ". */
export function fileProblem(error: unknown): string {
  switch (codeOf(error)) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
    case 'EPERM':
      return 'permission denied';
    case 'ENOTDIR':
      return 'a part of its path is not a directory';
    case 'ELOOP':
      return 'its symbolic links lead in a circle';
    case 'EISDIR':
      return 'it is a folder';
    case 'ENAMETOOLONG':
      return 'its name is too long';
    case 'ERR_ENCODING_INVALID_ENCODED_DATA':
      return 'it is not UTF-8 text';
    default:
      return messageOf(error);
  }
}

/** The same of a folder. */
export const folderProblem = (error: unknown): string =>
  codeOf(error) === 'ENOENT' ? 'there is no such folder' : fileProblem(error);

/** The same of a file that is to be made or added to; goes behind "FILE cannot be written: ". */
export function writeProblem(error: unknown): string {
  switch (codeOf(error)) {
    case 'ENOENT':
      return 'its folder does not exist';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'no room is left on its disk';
    case 'EEXIST':
      return 'there is something of that name';
    case 'EROFS':
      return 'its file system is read-only';
    default:
      return fileProblem(error);
  }
}

/**
 * The error of a file that a person named and that cannot be read.
 *
 * @param why as `fileProblem` says it.
 * @returns `INPUT_NOT_READABLE`.
 */
export function notReadable(path: string, why: string, cause?: unknown): TailraceError {
  return new TailraceError('INPUT_NOT_READABLE', `${path} cannot be read: ${why}`, { cause });
}
