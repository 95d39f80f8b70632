// A database after `init` with every switch on, and the built program that takes events in, on a port of its own.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { expect, onTestFinished } from 'vitest';
import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import { type RunningCli, runCli, spawnCli } from '../helpers/cli.ts';
import { createTestDatabase, startPostgres, type TestDatabase } from '../helpers/postgres.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: {
    readonly error?: string;
    readonly message?: string;
    readonly recorded?: number | boolean | string;
    readonly ids?: readonly (string | null)[];
    readonly suppressed?: readonly number[];
    readonly problems?: readonly { index: number; line?: number; field: string | null; message: string }[];
    readonly [name: string]: unknown;
  };
}

export interface SendOptions {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface StartedIntake {
  readonly program: RunningCli;
  /** `http://127.0.0.1:40123` or `unix:/path`. */
  readonly address: string;
  send(body: string | Buffer | null, options?: SendOptions): Promise<Answer>;
}

export interface IntakeScene {
  readonly database: TestDatabase;
  /** The run's own when there are no settings. */
  readonly server: EmbeddedPostgres | null;
  readonly folder: string;
  tailrace(args: readonly string[], env?: Readonly<Record<string, string>>): ReturnType<typeof runCli>;
  /** Starts the intake and waits until it listens. Default address: a free port of 127.0.0.1. */
  start(args?: readonly string[], env?: Readonly<Record<string, string>>): Promise<StartedIntake>;
}

/**
 * Makes a scene that goes with the test.
 *
 * @param settings for a server of the scene's own, which the test may break.
 */
export async function createScene(settings?: Readonly<Record<string, string>>): Promise<IntakeScene> {
  const server = settings ? await startPostgres(settings) : null;
  const database = await createTestDatabase(server ? { server } : {});
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-intake-'));
  const programs: RunningCli[] = [];
  onTestFinished(async () => {
    for (const program of programs) await program[Symbol.asyncDispose]();
    if (server) await server[Symbol.asyncDispose]();
    else await database[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });
  const tailrace = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    runCli(args, { cwd: folder, env: { TAILRACE_DATABASE_URL: database.url, ...env } });
  expect((await tailrace(['init'])).code).toBe(0);
  expect((await tailrace(['recording', 'enable', '--all'])).code).toBe(0);
  return {
    database,
    server,
    folder,
    tailrace,
    async start(args = [], env = {}) {
      const listen = args.includes('--listen') ? [] : ['--listen', '127.0.0.1:0'];
      const program = spawnCli(['intake', ...listen, ...args], {
        cwd: folder,
        env: { TAILRACE_DATABASE_URL: database.url, ...env },
      });
      programs.push(program);
      return await listening(program);
    },
  };
}

/** Waits until a program that was started as an intake listens. */
export async function listening(program: RunningCli): Promise<StartedIntake> {
  await program.waitForStderr('intake listening', 60_000);
  const address = String(program.stderrLines.map(addressOf).find(Boolean));
  return { program, address, send: (body, options) => send(address, body, options) };
}

function addressOf(line: string): string | null {
  return /"address":"([^"]*)".*intake listening/.exec(line)?.[1] ?? null;
}

/** Sends one request on a connection of its own. */
export async function send(
  address: string,
  body: string | Buffer | null,
  { method = 'POST', path = '/events', headers = {} }: SendOptions = {},
): Promise<Answer> {
  const isUnix = address.startsWith('unix:');
  const agent = new Agent(isUnix ? { connect: { socketPath: address.slice('unix:'.length) } } : {});
  try {
    const answer = await request(`${isUnix ? 'http://localhost' : address}${path}`, {
      dispatcher: agent,
      method: method as 'POST', // undici's type has no room for others
      headers: { ...(body === null ? {} : { 'content-type': 'application/json' }), ...headers },
      body,
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, headers: answer.headers, body: text === '' ? {} : JSON.parse(text) };
  } finally {
    await agent.close();
  }
}
