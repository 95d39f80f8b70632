import { expect, test } from 'vitest';
import { TailraceError } from '../../src/lib/errors.ts';
import { explainFailure } from '../../src/log-file/failure.ts';
import { errno } from './failing-calls.ts';

test.each([
  ['ENOSPC', 'LOG_FILE_NO_SPACE'],
  ['EDQUOT', 'LOG_FILE_NO_SPACE'],
  ['EROFS', 'LOG_FILE_PERMISSION'],
  ['EACCES', 'LOG_FILE_PERMISSION'],
  ['ENOENT', 'LOG_FILE_DIRECTORY_MISSING'],
  ['EIO', 'LOG_FILE_IO'],
  ['ESTALE', 'LOG_FILE_IO'],
])('%s is explained as %s with the file and the cause', (code, explained) => {
  const cause = errno(code);
  const error = explainFailure(cause, '/log/events.jsonl');
  expect(error).toMatchObject({ code: explained, cause, exitCode: 69 });
  expect(error?.message).toContain('/log');
  expect(error?.message).toContain(code);
});

test.each([
  [122, 'LOG_FILE_NO_SPACE'], // EDQUOT
  [116, 'LOG_FILE_IO'], // ESTALE
  [117, 'LOG_FILE_IO'], // EUCLEAN: ext4 has found itself damaged
])('error number %i, for which Node has no name, is explained as %s', (number, explained) => {
  const code = `Unknown system error -${number}`;
  expect(explainFailure(errno(code), '/log/events.jsonl')).toMatchObject({ code: explained });
});

test('an explained error is not explained twice, and what is no error of the file system not at all', () => {
  const explained = explainFailure(errno('EIO'), '/log/events.jsonl');
  expect(explainFailure(explained, '/log/other')).toBe(explained);
  expect(explainFailure(new TypeError('bug'), '/log/events.jsonl')).toBeNull();
  expect(explainFailure(errno('ERR_INVALID_ARG_TYPE'), '/log/events.jsonl')).toBeNull();
  expect(explainFailure(new TailraceError('CONFIG_INVALID', 'x'), '/log/events.jsonl')).toBeNull();
});
