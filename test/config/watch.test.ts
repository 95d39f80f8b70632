import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { INITIAL_CONFIG } from '../../src/config/initial.ts';
import { type LoadedConfig, loadConfig } from '../../src/config/load.ts';
import { watchConfig } from '../../src/config/watch.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { destinations, post, temporaryFolder } from './config-file.ts';

const withPoll = (ms: number) => JSON.stringify({ ...JSON.parse(INITIAL_CONFIG), poll_interval_ms: ms });

interface Watched {
  readonly file: string;
  readonly reports: LoadedConfig[];
  /** Waits for the next report and gives its poll_interval_ms, or null when the file is broken. */
  next(): Promise<number | null>;
  readonly ended: Promise<void>;
  readonly controller: AbortController;
}

async function startWatching(content: string, folder?: string): Promise<Watched> {
  const file = join(folder ?? (await temporaryFolder()), 'event_processor.json');
  await writeFile(file, content);
  const loaded = await loadConfig(file, { env: {} });
  const reports: LoadedConfig[] = [];
  let seen = 0;
  const controller = new AbortController();
  const ended = watchConfig(file, {
    signal: controller.signal,
    env: {},
    loaded,
    onLoaded: (report) => void reports.push(report),
  });
  onTestFinished(() => {
    controller.abort();
    return ended;
  });
  const next = async () => {
    await waitFor(() => reports.length > seen, { what: `report ${seen + 1}` });
    seen += 1;
    return reports[seen - 1]?.config?.pollIntervalMs ?? null;
  };
  return { file, reports, next, ended, controller };
}

test('a file that is written anew is loaded anew', async () => {
  const { file, next } = await startWatching(withPoll(1));
  await writeFile(file, withPoll(2));
  expect(await next()).toBe(2);
});

test('a file of the same size and time is loaded anew', async () => {
  const { file, next } = await startWatching(withPoll(1));
  for (const ms of [2, 3]) {
    await writeFile(file, withPoll(ms));
    expect(await next()).toBe(ms);
  }
});

test('a replacement by rename is noticed, again and again', async () => {
  const { file, next } = await startWatching(withPoll(1));
  for (const ms of [2, 3, 4]) {
    await writeFile(`${file}.new`, withPoll(ms));
    await rename(`${file}.new`, file);
    expect(await next()).toBe(ms);
  }
});

test('a broken file is reported once, and the next good one as well', async () => {
  const { file, next, reports } = await startWatching(withPoll(1));
  await writeFile(file, '{');
  expect(await next()).toBeNull();
  await writeFile(file, '{'); // the same content is no news
  await writeFile(file, withPoll(2));
  expect(await next()).toBe(2);
  expect(reports).toHaveLength(2);
});

test('a file that is deleted is reported, and followed when it is back', async () => {
  const { file, next, reports } = await startWatching(withPoll(1));
  await rm(file);
  expect(await next()).toBeNull();
  expect(reports[0]?.problems[0]?.message).toContain('there is no such file');
  await writeFile(file, withPoll(2));
  expect(await next()).toBe(2);
});

test('a folder that goes and comes back is survived', async () => {
  const folder = join(await temporaryFolder(), 'etc');
  await mkdir(folder);
  const { file, next } = await startWatching(withPoll(1), folder);
  await rename(folder, `${folder}.away`);
  expect(await next()).toBeNull();
  await mkdir(folder);
  await writeFile(file, withPoll(2));
  expect(await next()).toBe(2);
});

test('a file that is written in small pieces is reported when it is complete', async () => {
  const { file, next, reports } = await startWatching(withPoll(1));
  const text = withPoll(2);
  for (let end = 20; end < text.length + 20; end += 20) {
    await writeFile(file, text.slice(0, end));
    await sleep(20);
  }
  expect(await next()).toBe(2);
  expect(reports).toHaveLength(1);
});

test('a secret file with a new content is loaded anew', async () => {
  const folder = await temporaryFolder();
  const secret = join(folder, 'url');
  await writeFile(secret, 'https://h/one');
  const { next, reports } = await startWatching(JSON.stringify(destinations(post({ file: secret }))), folder);
  await writeFile(`${secret}.new`, 'https://h/two');
  await rename(`${secret}.new`, secret);
  await next();
  const destination = reports[0]?.config?.routes[0]?.destination;
  expect(destination?.type === 'http_post' && destination.url.reveal()).toBe('https://h/two');
});

test('a file that is only touched is no news', async () => {
  const { file, next, reports } = await startWatching(withPoll(1));
  await writeFile(file, withPoll(1));
  await writeFile(file, withPoll(2));
  expect(await next()).toBe(2);
  expect(reports).toHaveLength(1);
});

test('without a configuration in force the file is reported as it is', async () => {
  const file = join(await temporaryFolder(), 'event_processor.json');
  const controller = new AbortController();
  const reports: LoadedConfig[] = [];
  await watchConfig(file, {
    signal: controller.signal,
    env: {},
    onLoaded: (loaded) => {
      reports.push(loaded);
      controller.abort();
    },
  });
  expect(reports.map(({ config }) => config)).toEqual([null]);
});

test('the watching ends with its signal, and reports nothing after it', async () => {
  const { file, controller, ended, reports } = await startWatching(withPoll(1));
  await writeFile(file, withPoll(2));
  controller.abort();
  await ended;
  expect(reports).toEqual([]);
});

test('an error of the receiver ends the watching', async () => {
  const file = join(await temporaryFolder(), 'event_processor.json');
  const watching = watchConfig(file, {
    signal: new AbortController().signal,
    env: {},
    onLoaded: () => Promise.reject(new Error('no')),
  });
  await expect(watching).rejects.toThrow('no');
});
