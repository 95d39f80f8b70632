// `tailrace journal`: what the journal beside a log file says, for a person.

import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { codeOf, EXIT, TailraceError } from '../lib/errors.ts';
import { fileProblem, folderProblem } from '../lib/file-problem.ts';
import { loadJournal } from '../log-file/journal/load.ts';
import { decodeHeader, decodeRecords, type JournalRecord } from '../log-file/journal/record.ts';
import { segmentPath } from '../log-file/journal/segment.ts';
import { stateDirectory } from '../log-file/local-lock.ts';
import type { Command } from './command.ts';

export const journal: Command = {
  usage: 'journal <file>',
  summary: 'print the journal of a log file, or one segment of it',
  examples: [
    ['tailrace journal /var/log/tailrace/events.jsonl', 'all segments beside this log file'],
    ['tailrace journal /var/log/tailrace/.events.jsonl.tailrace/journal-000017', 'one segment'],
    ['tailrace journal --json events.jsonl | jq .type', 'one JSON object a record'],
  ],
  options: (yargs) =>
    yargs
      .positional('file', {
        type: 'string',
        demandOption: true,
        describe: 'a log file, its state folder, or a segment',
      })
      .option('json', { type: 'boolean', default: false, describe: 'print records as JSON lines' }),
  async run(args, { stdout, stderr }) {
    const paths = await segmentsOf(String(args.file));
    let damaged = false;
    for (const path of paths) {
      const bytes = await read(path);
      const header = decodeHeader(bytes);
      if (header === null) {
        stderr.write(`${path}: no journal segment of a version that this tailrace knows\n`);
        damaged = true;
        continue;
      }
      const decoded = decodeRecords(bytes);
      if (args.json !== true) stdout.write(`${path}: segment ${header.number} of journal ${header.journalId}\n`);
      for (const record of decoded.records) {
        stdout.write(
          args.json === true ? `${JSON.stringify({ segment: header.number, ...record })}\n` : `${describe(record)}\n`,
        );
      }
      if (decoded.end !== 'damaged') continue;
      stderr.write(`${path}: damaged: whole records stand behind one whose checksum is wrong\n`);
      damaged = true;
    }
    if (paths.length === 0) stdout.write('no journal: nothing was logged yet, or it was removed\n');
    return damaged ? EXIT.problem : EXIT.ok;
  },
};

async function segmentsOf(file: string): Promise<string[]> {
  if (basename(file).startsWith('journal-')) return [file];
  const isFolder = (await stat(file).catch(() => null))?.isDirectory() === true;
  const directory = isFolder ? file : stateDirectory(file);
  try {
    const { segments } = await loadJournal(directory);
    return segments.map((number) => segmentPath(directory, number));
  } catch (cause) {
    throw new TailraceError(
      'JOURNAL_NOT_FOUND',
      `cannot read the journal in ${directory}: ${folderProblem(cause)}; ${adviceOn(cause)}`,
      { cause },
    );
  }
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new TailraceError('JOURNAL_NOT_FOUND', `cannot read ${path}: ${fileProblem(cause)}; ${adviceOn(cause)}`, {
      cause,
    });
  }
}

/** The folder is for the account of the processor alone. */
const adviceOn = (cause: unknown): string =>
  codeOf(cause) === 'EACCES'
    ? 'run it as the user that runs tailrace'
    : 'name a log file, its state folder or a segment';

function describe(record: JournalRecord): string {
  switch (record.type) {
    case 'intent': {
      const { seq, path, inode, offset, ids, lastTimeUs, replaces, logged } = record.meta;
      const all = ids.split(',');
      const range = all.length === 1 ? `id ${all[0]}` : `${all.length} ids ${all[0]} … ${all.at(-1)}`;
      const instead = `${replaces === undefined ? '' : `, instead of ${replaces}`}${logged ? ', in a log file already' : ''}`;
      return `  intent ${seq}: ${record.bodyLength} bytes to ${path} (inode ${inode}) at ${offset}, ${range}, last ${(lastTimeUs / 1e6).toFixed(6)}${instead}`;
    }
    case 'placed': {
      const { seq, path, inode, offset, from } = record.meta;
      return `  placed ${seq}: from byte ${from} on to ${path} (inode ${inode}) at ${offset}`;
    }
    case 'settled':
      return `  settled ${record.meta.seqs.join(', ')}`;
  }
}
