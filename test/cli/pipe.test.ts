import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const BIN = fileURLToPath(new URL('../../bin/tailrace.js', import.meta.url));

test('who reads no further (`tailrace … | head`) costs no stack trace and no exit code', async () => {
  const words = `set -o pipefail; '${process.execPath}' '${BIN}' --help | true`;
  expect(await promisify(execFile)('bash', ['-c', words])).toEqual({ stdout: '', stderr: '' });
});

test('a full disk behind standard output is said in one line, and the exit code tells', async () => {
  const words = `'${process.execPath}' '${BIN}' --help > /dev/full`;
  const said = 'tailrace: cannot write to standard output: ENOSPC: no space left on device, write\n';
  await expect(promisify(execFile)('bash', ['-c', words])).rejects.toMatchObject({ code: 1, stderr: said });
});
