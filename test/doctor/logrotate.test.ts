import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { checkLogrotate, matches, parseLogrotate } from '../../src/doctor/logrotate.ts';
import { finding } from './scene.ts';

const LOG = '/var/log/tailrace/events.jsonl';

/** @returns what is found with these files in a folder like /etc. */
async function withFiles(files: Readonly<Record<string, string>>, path = LOG) {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-logrotate-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await mkdir(join(folder, 'logrotate.d'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return checkLogrotate(path, [join(folder, 'logrotate.conf'), join(folder, 'logrotate.d')]);
}

test('the file that is shipped is good, also below a create for all', async () => {
  const shipped = await readFile(new URL('../../logrotate.d/tailrace', import.meta.url), 'utf8');
  const found = await withFiles({ 'logrotate.conf': 'weekly\ncreate\n', 'logrotate.d/tailrace': shipped });
  expect(found).toMatchObject([finding('ok', 'logrotate.d/tailrace, by rename')]);
});

test('copytruncate is a warning, by its name, by a wildcard and for all', async () => {
  const own = { 'logrotate.d/own': `"${LOG}" {\n  daily\n  copytruncate # the daemon keeps it open\n}\n` };
  expect(await withFiles(own)).toMatchObject([finding('warning', 'copytruncate', 'take copytruncate out of')]);
  const wild = { 'logrotate.d/all': '/var/log/*.log /var/log/*/*.jsonl\n{\n  copytruncate\n}\n' };
  expect(await withFiles(wild)).toMatchObject([finding('warning', 'copytruncate')]);
  const globally = { 'logrotate.conf': 'copytruncate\n', 'logrotate.d/own': `${LOG} { daily }\n` };
  expect(await withFiles(globally)).toMatchObject([finding('warning', 'copytruncate')]);
});

test('others may do as they like', async () => {
  const others = {
    'logrotate.conf': 'create\n/var/log/wtmp {\n  create 0664 root utmp\n}\n',
    'logrotate.d/app':
      '/var/log/app.log {\n copytruncate\n postrotate\n  cp /var/log/tailrace/events.jsonl {}\n endscript\n}\n',
    'logrotate.d/old.dpkg-old': `${LOG} {\n copytruncate\n}\n`,
  };
  expect(await withFiles(others)).toMatchObject([finding('ok', 'nothing there names this log file')]);
});

test('a new file that logrotate makes, and two that rotate one file, are warned of', async () => {
  const created = { 'logrotate.d/own': `${LOG} {\n create 0640 tailrace tailrace\n}\n` };
  expect(await withFiles(created)).toMatchObject([finding('warning', 'they race for it', 'put nocreate')]);
  const twice = {
    'logrotate.d/a': `${LOG} {\n nocreate\n}\n`,
    'logrotate.d/b': '/var/log/tailrace/* {\n nocreate\n}\n',
  };
  expect(await withFiles(twice)).toMatchObject([finding('warning', 'both name this log file')]);
});

test('blocks, scripts and names are read as logrotate reads them', () => {
  const { globals, rotations } = parseLogrotate(
    'weekly\nrotate 4\n# copytruncate\n/a/b.log\n"/c d/*.log" {\n  su root adm\n  prerotate\n    { copytruncate\n  endscript\n  size=1M\n}\n',
  );
  expect([...globals]).toEqual(['weekly', 'rotate']);
  expect(rotations.map(({ patterns, directives }) => [patterns, [...directives]])).toEqual([
    [
      ['/a/b.log', '/c d/*.log'],
      ['su', 'size'],
    ],
  ]);
  expect(matches('/var/log/*.log', '/var/log/a.log')).toBe(true);
  expect(matches('/var/log/*.log', '/var/log/a/b.log')).toBe(false);
  expect(matches('/var/log/[ab]?.log', '/var/log/b1.log')).toBe(true);
  expect(matches('/var/log/a.log', '/var/log/aXlog')).toBe(false);
  expect(matches('/var/log/[', '/var/log/[')).toBe(true);
});

test('no logrotate on this host is nothing to worry about', async () => {
  expect(await checkLogrotate(LOG, ['/nowhere/logrotate.conf', '/nowhere/logrotate.d'])).toMatchObject([
    { state: 'ok' },
  ]);
});
