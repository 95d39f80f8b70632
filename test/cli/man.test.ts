import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test, vi } from 'vitest';
import { renderManual } from '../../src/cli/man.ts';
import { allCommands, runCli as runHere } from '../../src/cli.ts';
import { runCli } from '../helpers/cli.ts';
import { requireTool } from '../helpers/require-tool.ts';

// Each starts programs, which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const PAGE = fileURLToPath(new URL('../../docs/tailrace.1', import.meta.url));
const run = promisify(execFile);

test('the manual page is the one that the commands make; `npm run man` writes it anew', async () => {
  expect(await readFile(PAGE, 'utf8')).toBe(renderManual(await allCommands()));
});

test('the program prints it, too', async () => {
  expect(await runCli(['man'])).toEqual({ code: 0, stdout: await readFile(PAGE, 'utf8'), stderr: '' });
});

test.skipIf(!requireTool('groff'))('groff has nothing to complain of', async () => {
  const { stderr } = await run('groff', ['-man', '-ww', '-Tutf8', PAGE]);
  expect(stderr).toBe('');
});

test.skipIf(!requireTool('groff'))(
  'every command, option and example can be read in it as --help shows it',
  async () => {
    const { stdout } = await run('groff', ['-man', '-Tutf8', '-P-cbou', '-rLL=1000n', PAGE]);
    const page = stdout.replace(/\s+/g, ' ');
    for (const command of await allCommands()) {
      expect(page).toContain(`tailrace ${command.usage}`);
      for (const [line] of command.examples) expect(page).toContain(line);
      const [name = ''] = command.usage.split(' ');
      const help = (await helpOf(name)).replace(/^Examples:.*/ms, '');
      for (const [, option = ''] of help.matchAll(/^ {2,}(?:-\w, )?(--[a-z-]+)/gm)) {
        if (!['--version', '--help', '--check-syntax'].includes(option)) expect(page).toContain(option);
      }
    }
  },
);

/** Asked in this process: a start of the program for each takes a minute on a busy machine. */
async function helpOf(command: string): Promise<string> {
  let text = '';
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      text += chunk;
      done();
    },
  });
  expect(await runHere([command, '--help'], { env: {}, stdin: process.stdin, stdout, stderr: process.stderr })).toBe(0);
  return text;
}
