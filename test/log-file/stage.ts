// What the tests of the log file share: a folder of their own, events, and a stage whose output is collected.

import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { LogFileConfig } from '../../src/config/config.ts';
import { createEvent, createRowShape, type QueuedEvent } from '../../src/event/event.ts';
import { type Batch, toBatchEvent } from '../../src/flow/batch.ts';
import { FRESH, type Standing } from '../../src/flow/standing.ts';
import { createLogger, type Logger } from '../../src/lib/logger.ts';
import type { LogFileStage, LogFileStageOptions } from '../../src/log-file/stage.ts';
import { createLogFileStage } from '../../src/log-file/writer.ts';
import { waitFor } from '../helpers/wait-for.ts';

export const SILENT: Logger = createLogger({ level: 'silent' });

const SHAPE = createRowShape([
  { name: 'id', kind: 'integer' },
  { name: 'event_type', kind: 'text' },
  { name: 'event_time', kind: 'integer' },
  { name: 'email', kind: 'text' },
]);

export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-log-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export function logFileConfig(filename: string, more: Partial<LogFileConfig> = {}): LogFileConfig {
  return { filename, appendDate: false, mode: 0o640, createDirectory: false, ...more };
}

export function makeEvent(id: number | string, email = `user${id}@example.com`): QueuedEvent {
  return createEvent(SHAPE, [String(id), 'engine_open', '1700000000', email]);
}

export function makeBatch(
  logFile: LogFileConfig | null,
  events: readonly QueuedEvent[],
  standing: Standing = FRESH,
): Batch {
  const config = {
    routes: [],
    logFile,
    httpKeepAlive: 10,
    httpUserAgent: 'test',
    onDelivered: 'delete' as const,
    expandJsonColumns: ['headers'],
    maxEventBytes: 16 * 1024 * 1024,
    pollIntervalMs: 200,
    serverId: 'test',
    storeBounceDetailsLength: 1024,
    deliveryLog: null,
    fingerprint: '',
  };
  return {
    regime: { config, generation: 1, routes: [] },
    events: events.map((event) => toBatchEvent(event, standing, false)),
    bytes: events.reduce((sum, event) => sum + event.bytes, 0),
  };
}

export interface Running {
  readonly stage: LogFileStage;
  readonly passed: Batch[];
  readonly degraded: string[];
  recovered: number;
  /** Writes a batch and resolves once it has been passed on. */
  pass(batch: Batch): Promise<void>;
}

/** Starts a stage that ends with the test. */
export function startStage(logFile: LogFileConfig | null, options: Partial<LogFileStageOptions> = {}): Running {
  const degraded: string[] = [];
  const stage = createLogFileStage({
    logFile,
    log: SILENT,
    beforeSwitch: async () => {},
    onDegraded: ({ error }) => degraded.push(error.code),
    onRecovered: () => {
      running.recovered += 1;
    },
    ...options,
  });
  const passed: Batch[] = [];
  stage.on('data', (batch: Batch) => passed.push(batch));
  const failed = new Promise<never>((_resolve, reject) => {
    stage.on('error', reject);
    stage.on('close', () => reject(new Error('the stage is closed')));
  });
  failed.catch(() => {});
  onTestFinished(() => stage.close());
  const running: Running = {
    stage,
    passed,
    degraded,
    recovered: 0,
    async pass(batch) {
      stage.write(batch);
      await Promise.race([failed, waitFor(() => passed.includes(batch), { intervalMs: 1, timeoutMs: 50_000 })]);
    },
  };
  return running;
}

export async function endStage({ stage }: Running): Promise<void> {
  const ended = once(stage, 'end');
  stage.end();
  await ended;
  await stage.close();
}

/** The ids in the files, in order; fails on a line that is not whole or whose stamp does not grow within its file. */
export async function readIds(...paths: readonly string[]): Promise<string[]> {
  const ids: string[] = [];
  for (const path of paths) {
    const text = await readFile(path, 'utf8');
    if (text !== '' && !text.endsWith('\n')) throw new Error(`${path} ends with a torn line`);
    let last = 0;
    for (const line of text.split('\n').slice(0, -1)) {
      const { event_id, time_written_to_logfile: time } = JSON.parse(line);
      if (!(time > last)) throw new Error(`${path}: ${time} follows ${last}`);
      last = time;
      ids.push(String(event_id));
    }
  }
  return ids;
}

export function range(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, at) => from + at);
}
