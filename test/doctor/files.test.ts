// Checks of this host: the configuration file, the way to the log, its disk, its journal, limits.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, link, mkdir, mkdtemp, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { answers, checkMount, checkRoom, mountOf } from '../../src/doctor/mounts.ts';
import { checkDescriptors, checkMemory, checkNode } from '../../src/doctor/process-limits.ts';
import { stateDirectory } from '../../src/log-file/local-lock.ts';
import { requireTool } from '../helpers/require-tool.ts';
import { crash } from '../log-file/journal/scene.ts';
import { createScene, finding } from './scene.ts';

// Every look is some forty questions.
vi.setConfig({ testTimeout: 180_000 });

const run = promisify(execFile);

async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-doctor-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

describe('the configuration', () => {
  const bearer = { type: 'http_post', url: 'https://example.com/', auth: { bearer: 's3cret' } };
  const routed = (destination: object): object => ({ event_destinations: [{ matches: { all: true }, destination }] });

  test('that is missing or broken is a problem with its place, and the log file is looked at all the same', async () => {
    const { check, configure, log } = await createScene({ withoutDatabase: true });
    expect(await check('configuration')).toMatchObject([finding('ok', 'good (no destinations, log file')]);
    expect(await check('configuration', { config: '/nowhere/x.json' })).toMatchObject([
      finding('problem', '/nowhere/x.json:1:1: the configuration cannot be read', '$ tailrace check /nowhere/x.json'),
    ]);
    await configure({ logfile: { filename: log, mode: 'abc' } });
    expect(await check('configuration')).toMatchObject([finding('problem', 'event_processor.json:4:')]);
    expect(await check('log file')).toMatchObject([finding('ok', `${log} is not there yet`)]);
  });

  test('that others can read is a problem only with secrets in it, one that others can change always', async () => {
    const { check, configure } = await createScene({ withoutDatabase: true });
    await configure(routed(bearer), 0o644);
    const [open] = await check('configuration mode');
    expect(open).toMatchObject(finding('problem', 'event_destinations[0].destination.auth.bearer', '$ chmod o-rwx'));
    expect(JSON.stringify(open)).not.toContain('s3cret');
    await configure(routed({ ...bearer, auth: { bearer: { env: 'TOKEN' } } }), 0o644);
    expect(await check('configuration mode')).toMatchObject([finding('ok', 'no secret is written out')]);
    await configure(routed(bearer), 0o640);
    expect(await check('configuration mode')).toMatchObject([{ state: 'ok' }]);
    await configure({}, 0o666);
    expect(await check('configuration mode')).toMatchObject([finding('problem', 'can change where events go')]);
    await configure(routed({ type: 'http_post', url: 'https://bo:hunter2@example.com/' }), 0o644);
    expect(await check('configuration mode')).toMatchObject([finding('problem', 'destination.url')]);
  });

  test('names variables that are not set, and files that are missing or open to all', async () => {
    const { check, configure, folder } = await createScene({ withoutDatabase: true });
    const config = routed({ ...bearer, auth: { bearer: { env: 'TOKEN' } }, signing_secret: { file: 'key' } });
    await configure(config);
    expect(await check('secrets')).toMatchObject([
      finding('problem', `${join(folder, 'key')} is missing`),
      finding('problem', 'not in this environment: TOKEN', '/etc/tailrace/environment'),
    ]);
    await writeFile(join(folder, 'key'), `whsec_${Buffer.alloc(32).toString('base64')}`, { mode: 0o644 });
    const env = { TOKEN: 'x' };
    expect(await check('secrets', { env })).toMatchObject([finding('problem', 'can read or change', '$ chmod o-rwx')]);
    await chmod(join(folder, 'key'), 0o600);
    expect(await check('secrets', { env })).toMatchObject([finding('ok', '2 from the environment or files')]);
  });
});

describe('the way to the log', () => {
  test('a folder that is missing, no folder, or open to all', async () => {
    const { check, configure, logs, folder, log } = await createScene({ withoutDatabase: true });
    expect(await check('log folder')).toMatchObject([finding('ok', `${logs}, mode 0750`)]);
    await chmod(logs, 0o777);
    expect(await check('log folder')).toMatchObject([finding('problem', `anybody on this host can write to ${logs}`)]);
    await chmod(logs, 0o1777);
    expect(await check('log folder')).toMatchObject([finding('warning', 'anybody may make files there')]);
    await chmod(folder, 0o777);
    await chmod(logs, 0o750);
    expect(await check('log folder')).toMatchObject([finding('problem', `write to ${folder}:`)]);
    await chmod(folder, 0o700);
    const missing = { filename: join(folder, 'deep/er/events.jsonl') };
    await configure({ logfile: missing });
    expect(await check('log folder')).toMatchObject([finding('problem', 'is missing', '$ install -d')]);
    await configure({ logfile: { ...missing, create_directory: true } });
    expect(await check('log folder')).toMatchObject([finding('ok', 'made with the first line')]);
    await writeFile(log, '');
    await configure({ logfile: { filename: join(log, 'events.jsonl') } });
    expect((await check('log folder'))[0]?.state).not.toBe('ok');
  });

  test('a log file that is none, that others can change or read, or that has two names', async () => {
    const { check, log, folder } = await createScene({ withoutDatabase: true });
    await symlink('/etc/passwd', log);
    expect(await check('log file')).toMatchObject([finding('problem', 'a symbolic link')]);
    await rm(log);
    await mkdir(log);
    expect(await check('log file')).toMatchObject([finding('problem', 'a directory')]);
    await rm(log, { recursive: true });
    await writeFile(log, '', { mode: 0o640 });
    expect(await check('log file')).toMatchObject([finding('ok', 'mode 0640')]);
    await chmod(log, 0o666);
    expect(await check('log file')).toMatchObject([finding('problem', 'can change it', '$ chmod o-w')]);
    await chmod(log, 0o644);
    expect(await check('log file')).toMatchObject([finding('warning', 'others can read it', '$ chmod 0640')]);
    await chmod(log, 0o640);
    await link(log, join(folder, 'other'));
    expect(await check('log file')).toMatchObject([finding('warning', 'it has 2 names', '-samefile')]);
  });

  test('a last line from the future, and one of somebody else', async () => {
    const { check, log } = await createScene({ withoutDatabase: true });
    const line = (seconds: number): string => `{"time_written_to_logfile":${seconds.toFixed(6)},"event_id":1}\n`;
    await writeFile(log, line(Date.now() / 1000 + 7_200));
    const [future] = await check('last line');
    expect(future).toMatchObject({
      state: 'warning',
      found: expect.stringMatching(/written (2h|1h 59m) ahead of this host/),
    });
    await writeFile(log, line(Date.now() / 1000 - 120));
    expect(await check('last line')).toMatchObject([finding('ok', 'written 2m')]);
    await writeFile(log, 'GET / HTTP/1.1\n');
    expect(await check('last line')).toMatchObject([finding('warning', 'another program writes to it')]);
  });

  test('a hidden folder that is a file, or open to others', async () => {
    const { check, log } = await createScene({ withoutDatabase: true });
    const directory = stateDirectory(log);
    await writeFile(directory, '');
    expect(await check('hidden folder')).toMatchObject([finding('problem', 'is not a folder', `$ mv ${directory}`)]);
    await rm(directory);
    await mkdir(directory, { mode: 0o755 });
    await chmod(directory, 0o755);
    expect(await check('hidden folder')).toMatchObject([finding('warning', 'others can reach the journal')]);
    await chmod(directory, 0o700);
    expect(await check('hidden folder')).toMatchObject([{ state: 'ok' }]);
  });

  test.skipIf(!requireTool('flock'))('who holds the lock is found without trying it', async () => {
    const { check, log } = await createScene({ withoutDatabase: true });
    const directory = stateDirectory(log);
    await mkdir(directory, { mode: 0o700 });
    await writeFile(join(directory, 'lock'), '');
    expect(await check('log lock')).toMatchObject([finding('ok', 'free')]);
    const holder = spawn('sh', ['-c', `exec 3<>"$0/lock" && flock -n 3 && echo held && exec sleep 300`, directory]);
    await once(holder.stdout, 'data');
    expect(await check('log lock')).toMatchObject([finding('ok', `held by pid ${holder.pid}`)]);
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    expect(await check('log lock')).toMatchObject([finding('ok', 'free')]);
  });
});

describe('the journal', () => {
  test('what is not settled is counted, and damage is a problem', async () => {
    const { check, configure } = await createScene({ withoutDatabase: true });
    const scene = await crash([[1, 2], [3]]);
    await configure({ logfile: { filename: scene.path } });
    expect(await check('journal')).toMatchObject([
      finding('ok', 'intact, 1 segment, 3 events in 2 batches not noted as settled; the next start finishes them'),
    ]);
    await truncate(scene.segment(1), 5_000);
    expect(await check('journal')).toMatchObject([
      finding('problem', `damaged: ${scene.segment(1)}`, `$ tailrace journal ${scene.directory}`),
    ]);
  });
});

describe('the disk', () => {
  const MOUNTS = [
    '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard',
    '30 27 0:26 / /srv/shared\\040logs rw,relatime shared:1 - nfs4 filer:/logs rw,vers=4.2',
    '31 27 0:27 / /srv/shared\\040logs/local rw - ext4 /dev/vdb ro,errors=remount-ro',
    '32 27 0:28 / /mnt/sshfs rw - fuse.sshfs bo@host:/ rw',
    '33 27 0:29 / /run rw - tmpfs tmpfs rw',
  ].join('\n');

  test('a network file system, one in memory and one that is read-only are told', () => {
    expect(mountOf('/var/log/x', MOUNTS)).toMatchObject({ point: '/', type: 'ext4', isReadOnly: false });
    expect(checkMount(mountOf('/var/log', MOUNTS))).toMatchObject({ state: 'ok' });
    expect(checkMount(mountOf('/srv/shared logs/tailrace', MOUNTS))).toMatchObject(
      finding('warning', 'nfs4, filer:/logs on /srv/shared logs: not tested'),
    );
    expect(checkMount(mountOf('/srv/shared logs/local/a', MOUNTS))).toMatchObject(
      finding('problem', 'mounted read-only'),
    );
    expect(checkMount(mountOf('/mnt/sshfs', MOUNTS))).toMatchObject(finding('warning', 'fuse.sshfs'));
    expect(checkMount(mountOf('/runner', MOUNTS))).toMatchObject({ state: 'ok' });
    expect(checkMount(mountOf('/run/tailrace', MOUNTS))).toMatchObject(finding('warning', 'in memory'));
  });

  test('one that does not answer is given up', async () => {
    const folder = await temporary();
    const mute = join(folder, 'mute');
    await writeFile(mute, '#!/bin/sh\nexec sleep 300\n', { mode: 0o755 });
    expect(await answers(folder, 30_000)).toBe(true);
    expect(await answers(folder, 30_000, '/nowhere/stat')).toBe(true);
    expect(await answers(folder, 200, mute)).toBe(false);
  });

  const isRoot = process.getuid?.() === 0 && requireTool('mount');
  test.skipIf(!isRoot)('little room, few inodes and a read-only mount are said', async () => {
    const { check, configure, folder } = await createScene({ withoutDatabase: true });
    const disk = join(folder, 'disk');
    await mkdir(disk);
    await run('mount', ['-t', 'tmpfs', '-o', 'size=64m,nr_inodes=500', 'none', disk]);
    onTestFinished(async () => void (await run('umount', ['-l', disk])));
    await configure({ logfile: { filename: join(disk, 'events.jsonl') } });
    expect(await check('disk left')).toMatchObject([finding('problem', '64 MiB of 64 MiB (100 %)', '$ du -xsh')]);
    expect(await check('inodes left')).toMatchObject([finding('problem', 'of 500', '$ du --inodes')]);
    await run('mount', ['-o', 'remount,size=900m,nr_inodes=5000', disk]);
    expect(await check('disk left')).toMatchObject([finding('warning', '900 MiB')]);
    expect(await check('inodes left')).toMatchObject([finding('warning', 'of 5,000')]);
    await run('mount', ['-o', 'remount,ro', disk]);
    expect(await check('file system')).toMatchObject([
      finding('problem', 'mounted read-only', '$ mount -o remount,rw'),
    ]);
  });

  test('room that the queue would not find is said before it is needed', async () => {
    const { check, database } = await createScene();
    await database.query(`INSERT INTO events (event_type) SELECT 'scomp' FROM generate_series(1, 50)`);
    expect(await check('room for the queue')).toMatchObject([
      finding('ok', '50 events to be written need some 48.8 KiB'),
    ]);
    const { freeBytes } = await checkRoom(tmpdir());
    expect(freeBytes).toBeGreaterThan(0);
  });
});

describe('limits', () => {
  test('of descriptors and memory are those of the process that is named', async () => {
    const proc = await temporary();
    const groups = await temporary();
    await mkdir(join(proc, '77'));
    await writeFile(
      join(proc, '77/limits'),
      'Limit  Soft Limit  Hard Limit  Units\nMax open files            32                 4096                 files\n',
    );
    expect(await checkDescriptors('77', null, proc)).toMatchObject([
      finding('problem', 'at most 32 for pid 77', 'LimitNOFILE=128'),
    ]);
    expect(await checkDescriptors(null, null)).toMatchObject([{ state: 'ok' }]);

    await writeFile(join(proc, '77/cgroup'), '0::/system.slice/tailrace.service\n');
    await mkdir(join(groups, 'system.slice/tailrace.service'), { recursive: true });
    await writeFile(join(groups, 'system.slice/tailrace.service/memory.max'), 'max\n');
    expect(await checkMemory('77', null, { proc, groups })).toMatchObject([finding('ok', 'no limit')]);
    await writeFile(join(groups, 'system.slice/memory.max'), `${128 * 1024 ** 2}\n`);
    expect(await checkMemory('77', null, { proc, groups })).toMatchObject([
      finding('warning', 'at most 128 MiB for pid 77', 'MemoryMax=256M'),
    ]);
    await writeFile(join(proc, '77/cgroup'), '4:memory:/docker/abc\n0::/\n');
    await mkdir(join(groups, 'memory/docker/abc'), { recursive: true });
    await writeFile(join(groups, 'memory/docker/abc/memory.limit_in_bytes'), '9223372036854771712\n');
    await rm(join(groups, 'system.slice'), { recursive: true });
    expect(await checkMemory('77', null, { proc, groups })).toMatchObject([finding('ok', 'no limit')]);
  });

  test('an old Node is a problem', () => {
    expect(checkNode('18.20.0')).toMatchObject(finding('problem', 'older than 20.19'));
    expect(checkNode('20.18.3')).toMatchObject({ state: 'problem' });
    expect([checkNode('20.19.0'), checkNode('24.1.0')]).toMatchObject([{ state: 'ok' }, { state: 'ok' }]);
  });
});

test('nothing is written, not beside the log either', async () => {
  const { examine, logs, folder } = await createScene({ withoutDatabase: true });
  await examine();
  expect(await readdir(logs)).toEqual([]);
  expect((await readdir(folder)).sort()).toEqual(['event_processor.json', 'logs']);
});
