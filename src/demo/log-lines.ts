// Outside the data path: reads the demo's log files back, the one that was moved away too.

import { readFile } from 'node:fs/promises';
import { codeOf } from '../lib/errors.ts';

const NEWLINE = 10;

/** Counts the lines of all files; one that is not there has none. */
export async function countLines(files: readonly string[]): Promise<number> {
  let lines = 0;
  for (const file of files) {
    const bytes = await readIfThere(file);
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines += 1;
  }
  return lines;
}

/** The id and the type of each line of all files, in order. */
export async function readLines(files: readonly string[]): Promise<{ id: string; eventType: string }[]> {
  const lines: { id: string; eventType: string }[] = [];
  for (const file of files) {
    for (const line of (await readIfThere(file)).toString('utf8').split('\n')) {
      if (line === '') continue;
      const event: { event_id: number; event_type: string } = JSON.parse(line);
      lines.push({ id: String(event.event_id), eventType: event.event_type });
    }
  }
  return lines;
}

async function readIfThere(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}
