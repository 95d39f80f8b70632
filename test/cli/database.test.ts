import { expect, test } from 'vitest';
import { runCli } from '../helpers/cli.ts';

test('a database that is no URL is refused by its name, without showing it', async () => {
  const named = await runCli(['status', '--database', 'secret@host']);
  expect([named.code, named.stderr]).toEqual([2, expect.stringContaining('--database is a connection URL')]);
  const inherited = await runCli(['status'], { env: { TAILRACE_DATABASE_URL: 'mail:secret' } });
  expect([inherited.code, inherited.stderr]).toEqual([
    2,
    expect.stringContaining('TAILRACE_DATABASE_URL is a connection'),
  ]);
  expect(named.stderr + inherited.stderr).not.toContain('secret');
});
