import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { renderManual } from '../../src/cli/man.ts';
import { allCommands } from '../../src/cli.ts';
import { runCli } from '../helpers/cli.ts';
import { requireTool } from '../helpers/require-tool.ts';

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
      const help = (await runCli([name, '--help'])).stdout.replace(/^Examples:.*/ms, '');
      for (const [, option = ''] of help.matchAll(/^ {2,}(?:-\w, )?(--[a-z-]+)/gm)) {
        if (!['--version', '--help', '--check-syntax'].includes(option)) expect(page).toContain(option);
      }
    }
  },
);
