// A processor that is watched: `run --http` on a free port, and somebody who asks it.

import { expect } from 'vitest';
import type { World } from '../acceptance/world.ts';
import { type CliOptions, type RunningCli, spawnCli } from '../helpers/cli.ts';
import { type MetricFamily, parseMetrics } from '../helpers/prometheus.ts';

/** Long enough to be one. */
export const TOKEN = 'test-token-0123456789abcdef';

export interface Ready {
  readonly status: string;
  readonly role: string;
  readonly reasons: readonly string[];
  readonly message?: string;
}

export interface Watched extends AsyncDisposable {
  readonly program: RunningCli;
  /** `http://127.0.0.1:40123`. */
  readonly address: string;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Response>;
  /** Reads /metrics, strictly. */
  metrics(): Promise<ReadonlyMap<string, MetricFamily>>;
  /** /readyz. */
  ready(): Promise<{ readonly status: number; readonly body: Ready }>;
}

/** Starts it; resolves when it listens, which is before it is the writer. */
export async function watch(
  world: World,
  { args = [], ...options }: CliOptions & { readonly args?: readonly string[] } = {},
): Promise<Watched> {
  const http = args.includes('--http') ? [] : ['--http', '127.0.0.1:0'];
  const program = spawnCli(['run', ...http, ...args], {
    cwd: world.folder,
    ...options,
    env: { TAILRACE_DATABASE_URL: world.database.url, ...options.env },
  });
  const token = options.env?.TAILRACE_HTTP_TOKEN;
  const own: Readonly<Record<string, string>> = token ? { authorization: `Bearer ${token}` } : {};
  try {
    await program.waitForStderr('serving metrics', 60_000);
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw error;
  }
  const [, address = ''] = /"address":"(http:[^"]*)".*serving metrics/.exec(program.stderr) ?? [];
  const get: Watched['get'] = (path, headers = own) => fetch(`${address}${path}`, { headers });
  return {
    program,
    address,
    get,
    async metrics() {
      const answer = await get('/metrics');
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
      return parseMetrics(await answer.text());
    },
    async ready() {
      const answer = await get('/readyz', {});
      return { status: answer.status, body: (await answer.json()) as Ready };
    },
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}
