import { appendFileSync, existsSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, test, vi } from 'vitest';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { BEGAN, createScene, DROP_THE_REST, hook, keysOf, lineOf, linesOf, sorted } from './scene.ts';

vi.setConfig({ testTimeout: 120_000 });

test('files are sent in the order in which they were written, whatever their names and their order', async () => {
  await using scene = await createScene();
  await scene.configure(hook(scene.receiver, { concurrency: 1 }));
  const live = await scene.write('events.jsonl', linesOf(201, 300));
  const older = await scene.write('events.jsonl.1', linesOf(101, 200));
  const oldest = await scene.write('events.jsonl.2.gz', gzipSync(linesOf(1, 100)));
  const ended = await scene.replay(live, older, oldest, live);
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  expect(scene.keys()).toEqual(keysOf(1, 300));
  expect(ended.stdout).toMatch(/^sent 300 events from 3 files in .*\n {2}hook {2}300\n$/);
  expect(existsSync(scene.path('replay.checkpoint.json'))).toBe(false);
  expect(existsSync(scene.path('replay.rejected.jsonl'))).toBe(false);
});

test('a line is sent with all its values, big numbers and expanded columns too', async () => {
  await using scene = await createScene();
  const values =
    '"studio_rl_seq":9091133797412707319,"headers":{"Subject":["№ 7 💌"],"X":1e400},"studio_is_unique":false';
  const line = lineOf(1).replace(/\}$/, `,${values},"of_my_own":"x"}`);
  await scene.write('events.jsonl', `${line}\n`);
  expect((await scene.replay('events.jsonl')).code).toBe(0);
  const body = scene.receiver.requests[0]?.body ?? '';
  for (const value of values.split(/,(?="[hs])/)) expect(body).toContain(value);
  expect(JSON.parse(body)).toMatchObject({ id: 1, event_unique_id: 'u1', of_my_own: 'x', click_url: null });
});

test('the key is the unique id, else server and id, else the id', async () => {
  await using scene = await createScene();
  const lines = [{}, { event_unique_id: null }, { event_unique_id: null, server_id: null }];
  await scene.write('events.jsonl', lines.map((values, at) => `${lineOf(at + 1, values)}\n`).join(''));
  expect((await scene.replay('events.jsonl')).code).toBe(0);
  expect(scene.keys().sort()).toEqual(['3', 'mail1:2', 'u1']);
});

test('rules are those of run: the first match, and with continue the next ones', async () => {
  await using scene = await createScene();
  await using other = await createHttpReceiver();
  await scene.configure(
    hook(scene.receiver, {}, { name: 'all scomp', matches: { event_type: 'hook_scomp' }, continue: true }),
    hook(other, {}, { name: 'weekly', matches: { event_type: 'scomp', mail_class: 'weekly' } }),
    { matches: { event_type: 'engine_open' }, destination: { type: 'leave_in_queue' } },
    DROP_THE_REST,
  );
  const lines = [
    linesOf(1, 5),
    linesOf(6, 8, { mailclass: 'Weekly' }),
    linesOf(9, 12, { event_type: 'engine_open' }),
    linesOf(13, 14, { event_type: 'sms_sent' }),
  ];
  await scene.write('events.jsonl', lines.join(''));
  const { code, stdout } = await scene.replay('--json', 'events.jsonl');
  expect({ code, ...JSON.parse(stdout) }).toEqual({
    code: 0,
    finished: true,
    dry_run: false,
    files: 1,
    lines: 14,
    sent: 8,
    failed: 0,
    bad_lines: 0,
    skipped: 0,
    dropped: 2,
    left: 4,
    disabled: 0,
    other: 0,
    unmatched: 0,
    destinations: [
      { destination: 'all scomp', sent: 8, failed: 0 },
      { destination: 'weekly', sent: 3, failed: 0 },
    ],
    rejects: null,
    checkpoint: null,
  });
  expect(sorted(scene.keys())).toEqual(keysOf(1, 8));
  expect(other.requests).toHaveLength(3);
});

test('--destination sends what the rules send there, and nothing else', async () => {
  await using scene = await createScene();
  await using other = await createHttpReceiver();
  await scene.configure(
    hook(scene.receiver, {}, { matches: { event_type: 'scomp' } }),
    hook(other, {}, { name: 'other' }),
  );
  await scene.write('events.jsonl', linesOf(1, 5) + linesOf(6, 8, { event_type: 'engine_open' }));
  const { code, stdout } = await scene.replay('--destination', 'other', '--json', 'events.jsonl');
  expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, sent: 3, other: 5 });
  expect(scene.receiver.requests).toHaveLength(0);
  expect(other.requests).toHaveLength(3);
  const unknown = await scene.replay('--destination', 'crm', 'events.jsonl');
  expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('it has: "hook", "other"') });
});

test('filters choose by time, type and value', async () => {
  await using scene = await createScene();
  const lines = linesOf(1, 20) + linesOf(21, 40, { listid: 'weekly' }) + linesOf(41, 60, { event_type: 'sms_sent' });
  await scene.write('events.jsonl', lines);
  const filters = ['--from', `${BEGAN}.010`, '--to', `${BEGAN}.050`, '--type', 'hook_scomp', '--type', 'engine_open'];
  const { code, stdout } = await scene.replay(...filters, '--where', 'listid=weekly', '--json', 'events.jsonl');
  expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, lines: 60, sent: 20, skipped: 40 });
  expect(sorted(scene.keys())).toEqual(keysOf(21, 40));
});

test('a field that no event has is said', async () => {
  await using scene = await createScene();
  await scene.write('events.jsonl', linesOf(1, 3));
  const { code, stderr } = await scene.replay('--where', 'emial=a1@example.com', 'events.jsonl');
  expect({ code, stderr }).toEqual({ code: 0, stderr: 'warning: no event that was looked at has a field "emial"\n' });
});

test('a type that tailrace does not know is replayed as it stands, with a warning that names the one that may be meant', async () => {
  await using scene = await createScene();
  await scene.write('events.jsonl', linesOf(1, 2) + linesOf(3, 5, { event_type: 'sms_sent' }));
  const slip = await scene.replay('--dry-run', '--type', 'scmp', 'events.jsonl');
  expect(slip).toMatchObject({
    code: 0,
    stderr:
      'warning: --type "scmp" is none that tailrace knows: only events with exactly this type are replayed; did you mean "scomp"?\n',
  });
  expect(slip.stdout).toMatch(/^would send 0 events from 1 file/);
  const own = await scene.replay('--type', 'sms_sent', 'events.jsonl');
  expect(own.stderr).toBe(
    'warning: --type "sms_sent" is none that tailrace knows: only events with exactly this type are replayed\n',
  );
  expect(scene.keys().sort()).toEqual(keysOf(3, 5));
  expect(await scene.replay('--type', 'hook_SCOMP', 'events.jsonl')).toMatchObject({ code: 0, stderr: '' });
});

test('a dry run counts what would be sent, sends nothing and writes nothing', async () => {
  await using scene = await createScene();
  await scene.configure(hook(scene.receiver, {}, { matches: { event_type: 'scomp' } }), DROP_THE_REST);
  await scene.write('events.jsonl', linesOf(1, 70) + linesOf(71, 100, { event_type: 'sms_sent' }));
  expect(await scene.replay('--dry-run', '--from', `${BEGAN}.011`, 'events.jsonl')).toEqual({
    code: 0,
    stderr: '',
    stdout: [
      'would send 60 events from 1 file; nothing was sent',
      '  hook  60',
      'left out by the filters: 10',
      'dropped by the configuration: 30',
      '',
    ].join('\n'),
  });
  expect(scene.receiver.connections).toBe(0);
  expect(existsSync(scene.path('replay.checkpoint.json'))).toBe(false);
});

test('bad lines are said with their place, and the others are sent', async () => {
  await using scene = await createScene();
  const bad = ['{"event_id":', '[1]', '{"email":"x"}', '{"event_type":"scomp"}'];
  const text = `${linesOf(1, 2)}${bad.join('\n')}\n\n${linesOf(3, 4)}${lineOf(5).slice(0, 40)}`;
  await scene.write('events.jsonl', text);
  const { code, stdout, stderr } = await scene.replay('events.jsonl');
  expect(code).toBe(1);
  const said = stderr.trimEnd().split('\n');
  expect(said.map((line) => line.split(': ')[0])).toEqual(
    [3, 4, 5, 6, 10].map((n) => `${scene.path('events.jsonl')}:${n}`),
  );
  expect(said[3]).toMatch(/neither event_id nor event_unique_id/);
  expect(said[4]).toMatch(/breaks off/);
  expect(stdout).toContain('no events, and not sent: 5 lines');
  expect(sorted(scene.keys())).toEqual(keysOf(1, 4));
});

test('of a damaged gzip file what comes before the damage is sent, and the other files are', async () => {
  await using scene = await createScene();
  const packed = gzipSync(linesOf(1, 20_000));
  await scene.configure(hook(scene.receiver, { batch: { max_events: 1_000, max_wait_ms: 0 } }));
  await scene.write('events.jsonl.1.gz', packed.subarray(0, packed.length / 2));
  await scene.write('events.jsonl', linesOf(20_001, 20_010));
  const { code, stderr, stdout } = await scene.replay('events.jsonl.1.gz', 'events.jsonl');
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringMatching(/events\.jsonl\.1\.gz.* is cut or damaged/),
  });
  const sent = Number(/sent ([\d,]+) events/.exec(stdout)?.[1]?.replace(',', ''));
  expect(sent).toBeGreaterThan(100);
  expect(scene.receiver.requests.some(({ body }) => body.includes('"u20010"'))).toBe(true);
});

test('no more events a second are sent than --rate says', async () => {
  await using scene = await createScene();
  await scene.write('events.jsonl', linesOf(1, 60));
  const times: number[] = [];
  scene.receiver.script(() => {
    times.push(performance.now());
    return {};
  });
  expect((await scene.replay('--rate', '40', 'events.jsonl')).code).toBe(0);
  expect(times).toHaveLength(60);
  // 4 at once, then one each 25 ms.
  expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(1_250);
});

test('what is written while a replay goes on is not replayed', async () => {
  await using scene = await createScene();
  await scene.write('events.jsonl', linesOf(1, 100));
  let added = false;
  scene.receiver.script(() => {
    if (!added) appendFileSync(scene.path('events.jsonl'), linesOf(101, 200));
    added = true;
    return {};
  });
  expect((await scene.replay('events.jsonl')).code).toBe(0);
  expect(sorted(scene.keys())).toEqual(keysOf(1, 100));
});

test('a file that cannot be read is said before anything is sent', async () => {
  await using scene = await createScene();
  await scene.write('events.jsonl', linesOf(1, 3));
  const { code, stderr } = await scene.replay('events.jsonl', 'missing.jsonl');
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('missing.jsonl cannot be read') });
  expect(scene.receiver.requests).toHaveLength(0);
});
