// The bench's end of its receiver (receiver.mjs): starts it, asks it what came, stops it.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('./receiver.mjs', import.meta.url));

export interface Captured {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Report {
  /** By path; the clock is that of `process.hrtime`, nanoseconds. */
  readonly paths: Readonly<Record<string, { requests: number; firstNs: number; lastNs: number }>>;
  readonly bodies: readonly Captured[];
  /** Idempotency-Key, arrival and answer of each request since the last report, nanoseconds. */
  readonly times: readonly (readonly [string, number, number])[];
}

export interface BenchReceiver extends AsyncDisposable {
  readonly port: number;
  url(path?: string): string;
  /** Forgets what came; `capture` that many of the next requests, note the `times` of all. */
  clear(keep?: { readonly capture?: number; readonly times?: boolean }): Promise<void>;
  report(): Promise<Report>;
  /** Ends it with a last report: every request that it has answered is in one. */
  end(): Promise<Report>;
}

/** @param port to listen on; 0: any that is free. */
export async function startReceiver(port = 0): Promise<BenchReceiver> {
  const child = fork(SCRIPT, [String(port)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  const exit = once(child, 'exit');
  const [{ port: actual }] = (await Promise.race([
    once(child, 'message'),
    exit.then(() => Promise.reject(new Error('the receiver did not start'))),
  ])) as [{ port: number }]; // the first message of receiver.mjs
  const ask = async (message: object): Promise<Report> => {
    const answer = once(child, 'message');
    child.send(message);
    const [report] = (await answer) as [Report]; // what receiver.mjs answers
    return report;
  };
  return {
    port: actual,
    url: (path = '/events') => `http://127.0.0.1:${actual}${path}`,
    clear: async (keep = {}) => {
      await ask({ ask: 'clear', ...keep });
    },
    report: () => ask({ ask: 'report' }),
    end: () => ask({ ask: 'end' }),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exit;
    },
  };
}
