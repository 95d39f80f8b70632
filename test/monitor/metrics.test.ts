import { mkdir, readFile, rename } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { FAMILIES } from '../../src/metrics/families.ts';
import { createWorld, httpPost, waitUntilDrained } from '../acceptance/world.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { metricValue, parseMetrics } from '../helpers/prometheus.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { watch } from './scene.ts';

test('the counts are those of what was read, logged, delivered, dropped, refused and given up', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver(({ body }) => ({ status: body.includes('bad@') ? 503 : 200 }));
  await world.configure({
    logfile: { filename: world.log },
    event_destinations: [
      { matches: { event_type: 'delivery_attempt' }, destination: { type: 'drop_from_queue' } },
      httpPost(receiver.url(), { retry: { initial_ms: 10, max_ms: 20, max_attempts: 3 } }, { name: 'hooks "of" \\us' }),
    ],
  });
  await world.insert(300);
  await world.insert(40, { event_type: 'delivery_attempt' });
  await world.insert(5, { event_type: 'hook_scomp' });
  await world.insert(2, { email: 'bad@example.com' });
  await using watched = await watch(world);
  const destination = 'hooks "of" \\us';
  const metrics = await waitFor(async () => {
    const now = await watched.metrics();
    return (
      metricValue(now, 'tailrace_events_parked_total', { destination }) === 2 &&
      metricValue(now, 'tailrace_queue_events') === 2 &&
      now
    );
  });
  const value = (name: string, labels = {}): number => metricValue(metrics, name, labels);
  expect({
    opens: value('tailrace_events_read_total', { event_type: 'engine_open' }),
    complaints: value('tailrace_events_read_total', { event_type: 'scomp' }),
    attempts: value('tailrace_events_read_total', { event_type: 'delivery_attempt' }),
    logged: value('tailrace_events_logged_total'),
    delivered: value('tailrace_events_done_total', { outcome: 'delivered' }),
    dropped: value('tailrace_events_done_total', { outcome: 'dropped' }),
    accepted: value('tailrace_delivery_attempts_total', { destination, answer: 'accepted' }),
    refused: value('tailrace_delivery_attempts_total', { destination, answer: '5xx' }),
    requests: value('tailrace_request_duration_seconds_count', { destination }),
    latencies: value('tailrace_delivery_latency_seconds_count', { destination }) > 0,
    parked: value('tailrace_destination_parked_events', { destination }),
    state: value('tailrace_destination_state', { destination, state: 'parked' }),
    bytes: value('tailrace_log_bytes_total'),
    writer: value('tailrace_writer'),
    ready: value('tailrace_ready'),
    up: value('tailrace_database_up'),
    inFlight: value('tailrace_events_in_flight'),
  }).toEqual({
    opens: 302,
    complaints: 5,
    attempts: 40,
    logged: 347,
    delivered: 305,
    dropped: 40,
    accepted: 305,
    refused: 6,
    requests: 311,
    latencies: true,
    parked: 2,
    state: 1,
    bytes: (await readFile(world.log)).length,
    writer: 1,
    ready: 1,
    up: 1,
    inFlight: 0,
  });
  for (const histogram of ['log_sync', 'journal_sync', 'settlement'])
    expect(value(`tailrace_${histogram}_seconds_count`)).toBeGreaterThan(0);
  expect(value('tailrace_log_sync_seconds_count')).toBeGreaterThanOrEqual(value('tailrace_log_batches_total'));
  expect(value('tailrace_writer_epoch')).toBeGreaterThan(0);
  expect(value('process_cpu_seconds_total')).toBeGreaterThan(0);
}, 120_000);

test('every metric is explained in docs/monitoring.md, and none is explained that is not there', async () => {
  const page = await readFile(new URL('../../docs/monitoring.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `(tailrace_[a-z_]+)(?:\{([a-z_, ]+)\})?` \|/gm)].map(([, name]) => name);
  expect(rows.sort()).toEqual(FAMILIES.map(({ name }) => name).sort());
  const used = [...page.matchAll(/\btailrace_[a-z_]+/g)].map(([name]) => name.replace(/_(?:bucket|sum|count)$/, ''));
  const known = new Set(FAMILIES.map(({ name }) => name));
  expect(used.filter((name) => !known.has(name) && !/^tailrace_(?:run|status|operate)$/.test(name))).toEqual([]);
});

test('labels stay few whatever strangers write into event_type', async () => {
  await using world = await createWorld();
  await world.database.query(
    `INSERT INTO events (event_type, event_time)
     SELECT 'x' || n || E'"} 1\\nevil_metric{a="' || chr(1000 + n), 1767225600 FROM generate_series(1, 500) n`,
  );
  await world.insert(3, { event_type: 'ENGINE_Open' });
  await using watched = await watch(world);
  await waitUntilDrained(world);
  const metrics = await watched.metrics();
  const types = metrics.get('tailrace_events_read_total')?.samples ?? [];
  expect(types).toHaveLength(15);
  expect(metricValue(metrics, 'tailrace_events_read_total', { event_type: 'other' })).toBe(500);
  expect(metricValue(metrics, 'tailrace_events_read_total', { event_type: 'engine_open' })).toBe(3);
  expect([...metrics.keys()].filter((name) => name.includes('evil'))).toEqual([]);
});

test('a rotation and what the log file cannot take are seen', async () => {
  await using world = await createWorld();
  await mkdir(`${world.folder}/log`);
  await world.configure({ logfile: { filename: `${world.folder}/log/events.jsonl` } });
  await using watched = await watch(world);
  await world.insert(1);
  await waitUntilDrained(world);
  expect((await watched.metrics()).get('tailrace_log_last_rotation_timestamp_seconds')?.samples).toEqual([]);
  await rename(`${world.folder}/log/events.jsonl`, `${world.folder}/log/events.jsonl.1`);
  const rotated = await waitFor(async () => {
    const now = await watched.metrics();
    return metricValue(now, 'tailrace_log_rotations_total') === 1 && now;
  });
  expect(
    Math.abs(metricValue(rotated, 'tailrace_log_last_rotation_timestamp_seconds') - Date.now() / 1_000),
  ).toBeLessThan(60);
  expect(metricValue(rotated, 'tailrace_log_degraded')).toBe(0);
  await rename(`${world.folder}/log`, `${world.folder}/gone`);
  await waitFor(async () => metricValue(await watched.metrics(), 'tailrace_log_degraded') === 1);
  expect(await watched.ready()).toMatchObject({ status: 503, body: { role: 'writer', reasons: ['log_file'] } });
  await rename(`${world.folder}/gone`, `${world.folder}/log`);
  await waitFor(async () => (await watched.ready()).status === 200);
}, 120_000);

test('the reader of the format does object to what is wrong', () => {
  const good = '# HELP a_total A.\n# TYPE a_total counter\na_total{b="c\\"d"} 1\n';
  expect(metricValue(parseMetrics(good), 'a_total', { b: 'c"d' })).toBe(1);
  for (const bad of [
    good.trimEnd(),
    good.replace('_total', ''),
    `${good}a_total{b="c\\"d"} 2\n`,
    good.replace('# HELP', '# HLEP'),
    good.replace('} 1', ', 1'),
    good.replace(' 1', ' one'),
    '# HELP a_ms A.\n# TYPE a_ms gauge\na_ms 1\n',
    '# HELP a_seconds A.\n# TYPE a_seconds histogram\na_seconds_bucket{le="1"} 2\na_seconds_bucket{le="+Inf"} 1\na_seconds_sum 1\na_seconds_count 1\n',
  ]) {
    expect(() => parseMetrics(bad), bad).toThrow();
  }
});
