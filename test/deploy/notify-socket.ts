// A service manager's end of sd_notify(3): a Unix datagram socket, which Node does not have.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { waitFor } from '../helpers/wait-for.ts';

/** Received without room for descriptors, so that the one of the helper's barrier is closed at once. */
const LISTEN = `
import json, socket, sys
listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listening.bind(sys.argv[1])
print(json.dumps(["listening"]), flush=True)
while True:
    print(json.dumps(listening.recv(65536).decode().split("\\n")), flush=True)
`;

export interface NotifySocket extends AsyncDisposable {
  readonly path: string;
  /** All assignments so far, such as `READY=1`. */
  readonly said: readonly string[];
  count(assignment: string): number;
  /** Waits for an assignment that matches, in what was said before the call too. */
  waitFor(expected: RegExp): Promise<void>;
}

/** Listens on a socket in a folder of its own. */
export async function listenForNotices(): Promise<NotifySocket> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-'));
  const path = join(folder, 'notify');
  const child = spawn('python3', ['-c', LISTEN, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said: string[] = [];
  const lines = createInterface(child.stdout);
  lines.on('line', (line) =>
    said.push(...JSON.parse(line).filter((each: string) => each !== '' && each !== 'BARRIER=1')),
  );
  await waitFor(() => said.includes('listening'));
  return {
    path,
    said,
    count: (assignment) => said.filter((each) => each === assignment).length,
    async waitFor(expected) {
      await waitFor(() => said.some((each) => expected.test(each)), { what: `${expected}` }).catch((cause: Error) => {
        throw new Error(`${cause.message}; it was told:\n${said.join('\n')}`, { cause });
      });
    },
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
