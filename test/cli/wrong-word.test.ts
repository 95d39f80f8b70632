import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const BIN = fileURLToPath(new URL('../../bin/tailrace.js', import.meta.url));

test('a command that there is not is said to be none, before another one is proposed', async () => {
  await expect(promisify(execFile)(process.execPath, [BIN, 'plam'])).rejects.toMatchObject({
    code: 2,
    stdout: '',
    stderr: 'tailrace: there is no such command. Did you mean plan?\nTry `tailrace --help`.\n',
  });
});
