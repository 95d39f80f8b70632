// Follows the log file as it grows, and makes sure itself that what it read is on disk, so that the time it gives is never
// earlier than the truth.

import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../helpers/wait-for.ts';

const LOOK_MS = 1;
const CHUNK_BYTES = 1 << 20;
const EVENT_ID = /^\{"time_written_to_logfile":[\d.]+,"event_id":(\d+)/;

export interface Tail {
  /** By event id: nanoseconds of the clock of `process.hrtime`, after an fdatasync of our own had found its line there. */
  readonly onDiskAtNs: ReadonlyMap<string, number>;
  end(): Promise<void>;
}

/** Begins when the file is there. */
export async function tail(file: string): Promise<Tail> {
  const handle = await waitFor(() => open(file, 'r+'), { what: file, timeoutMs: 30_000 });
  const onDiskAtNs = new Map<string, number>();
  const buffer = Buffer.alloc(CHUNK_BYTES);
  let position = 0;
  let rest = '';
  let ending = false;
  const look = async (): Promise<boolean> => {
    const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, position);
    if (bytesRead === 0) return false;
    await handle.datasync();
    const now = Number(process.hrtime.bigint());
    position += bytesRead;
    const lines = (rest + buffer.toString('latin1', 0, bytesRead)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const id = EVENT_ID.exec(line)?.[1];
      if (id !== undefined) onDiskAtNs.set(id, now);
    }
    return true;
  };
  const following = (async () => {
    while (!ending) if (!(await look())) await sleep(LOOK_MS);
    while (await look());
    await handle.close();
  })();
  following.catch(() => undefined); // `end` hears of it
  return {
    onDiskAtNs,
    async end() {
      ending = true;
      await following;
    },
  };
}
