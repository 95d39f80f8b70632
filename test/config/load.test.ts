import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { INITIAL_CONFIG } from '../../src/config/initial.ts';
import { loadConfig } from '../../src/config/load.ts';
import { version } from '../../src/lib/version.ts';
import { destinations, load, loadGood, messages, post, temporaryFolder, writeConfig } from './config-file.ts';

test('the configuration of the step-by-step guide is good as it is', async () => {
  const config = await loadGood(`{
  "configuration_mode": "json",

  "use_json_for_http_post": true,

  "event_destinations": [
    {
      "matches": { 
         "all": true 
      },
      "destination": {
        "type": "http_post",
        "url": "https://my-hook-server.exampledomain.com/notification"
      }
    }
  ]
}`);
  expect(config.routes).toEqual([
    {
      matches: { eventTypes: null, mailClasses: null },
      key: 'http_post https://my-hook-server.exampledomain.com/notification',
      enabled: true,
      continues: false,
      destination: {
        type: 'http_post',
        url: expect.anything(),
        format: 'json',
        columns: 'all',
        timeoutMs: 30_000,
        concurrency: 10,
        maxPerSecond: null,
        batch: null,
        retry: { initialMs: 1_000, maxMs: 300_000, maxAttempts: null, maxRetryAfterMs: 3_600_000 },
      },
    },
  ]);
});

test('the initial configuration is good and leaves everything in the queue', async () => {
  const loaded = await load(INITIAL_CONFIG);
  expect(messages(loaded)).toEqual([]);
  expect(loaded.config?.logFile).toBeNull();
  expect(loaded.config?.routes).toEqual([
    {
      matches: { eventTypes: null, mailClasses: null },
      key: 'leave_in_queue',
      enabled: true,
      continues: false,
      destination: { type: 'leave_in_queue' },
    },
  ]);
});

test('a log file alone is a configuration, and everything else has its default', async () => {
  const config = await loadGood({ logfile: { filename: '/var/log/tailrace/events.jsonl' } });
  expect(config).toEqual({
    routes: [],
    logFile: { filename: '/var/log/tailrace/events.jsonl', appendDate: false, mode: 0o640, createDirectory: false },
    httpKeepAlive: 10,
    httpUserAgent: `tailrace/${version()}`,
    onDelivered: 'delete',
    expandJsonColumns: ['headers'],
    maxEventBytes: 16 * 1024 * 1024,
    pollIntervalMs: 200,
    serverId: hostname(),
    storeBounceDetailsLength: 1024,
    deliveryLog: null,
    fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
});

test('every key that is given arrives', async () => {
  const config = await loadGood({
    $schema: './event_processor.schema.json',
    use_json_for_http_post: true,
    logfile: { filename: '/l', filename_append_date: true, mode: '600', create_directory: true },
    http_keep_alive: 3,
    http_user_agent: 'me/1 (test)',
    on_delivered: 'mark_processed',
    expand_json_columns: [],
    max_event_bytes: 4096,
    poll_interval_ms: 50,
    server_id: 'mx1',
    store_bounce_details_length: 0,
    ...destinations(
      post(
        'http://u:p@h/p?q#f',
        {
          format: 'form',
          columns: 'applicable',
          timeout_ms: 100,
          concurrency: 1,
          compress: false,
          public_only: false,
          retry: { initial_ms: 1, max_ms: 2, max_attempts: 3, max_retry_after_ms: 4 },
        },
        {
          name: 'crm',
          enabled: false,
          continue: false,
          matches: { event_type: 'Hook_Bounce', mail_class: ['A', 'b'] },
        },
      ),
    ),
  });
  expect(config).toMatchObject({
    logFile: { filename: '/l', appendDate: true, mode: 0o600, createDirectory: true },
    httpKeepAlive: 3,
    httpUserAgent: 'me/1 (test)',
    onDelivered: 'mark_processed',
    expandJsonColumns: [],
    maxEventBytes: 4096,
    pollIntervalMs: 50,
    serverId: 'mx1',
    storeBounceDetailsLength: 0,
  });
  const [route] = config.routes;
  expect(route).toMatchObject({
    key: 'crm',
    enabled: false,
    matches: { eventTypes: new Set(['bounce_bad_address']), mailClasses: new Set(['a', 'b']) },
    destination: {
      format: 'form',
      columns: 'applicable',
      timeoutMs: 100,
      concurrency: 1,
      retry: { initialMs: 1, maxMs: 2, maxAttempts: 3, maxRetryAfterMs: 4 },
    },
  });
  expect(route?.destination.type === 'http_post' && route.destination.url.reveal()).toBe('http://u:p@h/p?q');
});

test('an HTTP POST is a form unless the file says otherwise', async () => {
  const config = await loadGood(destinations(post('http://h/')));
  expect(config.routes[0]?.destination).toMatchObject({ format: 'form' });
});

test('a relative log file begins at the folder of the configuration', async () => {
  const file = await writeConfig({ logfile: { filename: 'events.jsonl' } });
  const { config } = await loadConfig(file, { env: {} });
  expect(config?.logFile?.filename).toBe(join(dirname(file), 'events.jsonl'));
});

test('a byte order mark and Windows line ends are tolerated and do not shift positions', async () => {
  const loaded = await load('\ufeff{\r\n  "logfil": {}\r\n}');
  expect(messages(loaded)[1]).toMatch(/^2:3 unknown key/);
  expect(messages(await load('\ufeff{"logfile": {"filename": "/l"}}'))).toEqual([]);
});

test.each([
  ['missing', async (file: string) => file, 'there is no such file'],
  ['a directory', async (file: string) => void (await mkdir(file)), 'it is a directory'],
  ['larger than 1 MiB', async (file: string) => writeFile(file, ' '.repeat(1024 * 1024 + 1)), 'more than 1024 KiB'],
  ['a link to itself', async (file: string) => symlink(file, file), 'its symbolic links lead in a circle'],
  ['not UTF-8', async (file: string) => writeFile(file, Buffer.from([0x7b, 0xff, 0x7d])), 'it is not UTF-8 text'],
])('a file that is %s is one problem', async (_, make, reason) => {
  const file = join(await temporaryFolder(), 'event_processor.json');
  await make(file);
  const loaded = await loadConfig(file, { env: {} });
  expect(loaded.config).toBeNull();
  expect(messages(loaded)).toEqual([expect.stringContaining(reason)]);
});
