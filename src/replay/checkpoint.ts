// How far a replay has come, in a file: written up to ten times a second, as a whole or not at all. It says neither more
// than is settled nor much less, so that a run that is killed leaves nothing out and sends little again.
//
//   everything before `from` is settled │ up to `to`: all but `unsettled` │ nothing of what follows has been looked at
//
// Of two runs with one checkpoint the later one wins: the earlier one finds that the file is not its own any more.

import { randomUUID } from 'node:crypto';
import { open, readFile, rename, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { codeOf, TailraceError } from '../lib/errors.ts';
import { fileProblem, writeProblem } from '../lib/file-problem.ts';

/** Events' places and addresses of destinations: for the owner only. */
const MODE = 0o600;
const VERSION = 1;
/** A run looks at least every half a second whether its checkpoint is still its own. */
const NOTICED_MS = 700;

const mark = z.object({ file: z.number(), line: z.number(), offset: z.number() });

const shape = z.object({
  tailrace_replay: z.literal(VERSION),
  written_at: z.string(),
  files: z.array(
    z.object({
      path: z.string(),
      inode: z.string(),
      bytes: z.number().nullable(),
      headBytes: z.number(),
      headHash: z.string(),
    }),
  ),
  /** As on the command line, made absolute. */
  named: z.array(z.string()),
  filters: z.object({
    fromUs: z.number().nullable(),
    toUs: z.number().nullable(),
    types: z.array(z.string()),
    where: z.array(z.object({ field: z.string(), value: z.string() })),
    destinations: z.array(z.string()),
  }),
  /** What tells the routing part of one configuration from another. */
  fingerprint: z.string(),
  /** Where reading has to begin again. */
  from: mark,
  /** The last line that was looked at. */
  to: z.object({ file: z.number(), line: z.number() }),
  /** Lines up to there that are not settled, each with the destinations that have it already. */
  unsettled: z.array(z.tuple([z.number(), z.number(), z.array(z.string())])),
  rejects: z.object({ path: z.string(), inode: z.string(), bytes: z.number() }),
  counts: z.object({
    lines: z.number(),
    sent: z.number(),
    failed: z.number(),
    bad: z.number(),
    skipped: z.number(),
    nowhere: z.object({
      dropped: z.number(),
      left: z.number(),
      disabled: z.number(),
      other: z.number(),
      unmatched: z.number(),
    }),
    destinations: z.record(z.string(), z.object({ sent: z.number(), failed: z.number() })),
  }),
});

/** What a checkpoint says. */
export type Progress = Omit<z.infer<typeof shape>, 'tailrace_replay' | 'written_at'>;

/** What a checkpoint says, and when it was written. */
export interface KeptProgress extends Progress {
  readonly writtenAt: string;
}

/**
 * Reads a checkpoint.
 *
 * @returns null: there is none.
 * @throws {TailraceError} `CHECKPOINT_NOT_READABLE`.
 */
export async function readCheckpoint(path: string): Promise<KeptProgress | null> {
  try {
    const { written_at: writtenAt, ...progress } = shape.parse(JSON.parse(await readFile(path, 'utf8')));
    return { ...progress, writtenAt };
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return null;
    const why = cause instanceof z.ZodError || cause instanceof SyntaxError ? 'it is not one' : fileProblem(cause);
    const message = `the checkpoint ${path} cannot be read: ${why}; name another with --checkpoint, or remove it to begin anew`;
    throw new TailraceError('CHECKPOINT_NOT_READABLE', message, { cause });
  }
}

interface Written {
  readonly ino: bigint;
  readonly mtimeNs: bigint;
}

/** A checkpoint that one run writes. */
export class CheckpointFile {
  readonly path: string;
  readonly #temporary: string;
  #text = '';
  /** Of what we wrote last; null: nothing yet. An inode alone may be used again by another run's file. */
  #written: Written | null = null;

  constructor(path: string) {
    this.path = path;
    this.#temporary = join(dirname(path), `.${basename(path)}.${randomUUID().slice(0, 8)}`);
  }

  /**
   * Writes it, synced, in place of what was there; not again when nothing has changed.
   *
   * @throws {TailraceError} `CHECKPOINT_TAKEN`, `CHECKPOINT_NOT_WRITABLE`.
   */
  async write(progress: Progress): Promise<void> {
    const text = JSON.stringify(progress);
    if (text === this.#text) return;
    const before = this.#written;
    await this.checkOurs(before);
    try {
      const file = await open(this.#temporary, 'wx', MODE);
      try {
        const head = JSON.stringify({ tailrace_replay: VERSION, written_at: new Date().toISOString() });
        await file.writeFile(`${head.slice(0, -1)},${text.slice(1)}\n`);
        await file.datasync();
        this.#written = await file.stat({ bigint: true });
      } finally {
        await file.close();
      }
      // Once more, since the writing may have taken long.
      await this.checkOurs(before);
      await rename(this.#temporary, this.path);
      await syncFolder(dirname(this.path));
      this.#text = text;
    } catch (cause) {
      await unlink(this.#temporary).catch(() => {});
      if (cause instanceof TailraceError) throw cause;
      const message = `the checkpoint ${this.path} cannot be written: ${writeProblem(cause)}; mend that, or name another place with --checkpoint`;
      throw new TailraceError('CHECKPOINT_NOT_WRITABLE', message, { cause });
    }
  }

  /**
   * Takes over what an earlier run left, even one that still runs: it has noticed, and writes nothing more, when this
   * resolves.
   */
  async takeOver({ writtenAt: _, ...progress }: KeptProgress): Promise<void> {
    await this.write(progress);
    await sleep(NOTICED_MS);
  }

  /**
   * Everything is settled: takes it away.
   *
   * @throws {TailraceError} `CHECKPOINT_TAKEN`.
   */
  async remove(): Promise<void> {
    await this.checkOurs();
    await unlink(this.path).catch(() => {});
  }

  /**
   * Holds that no other run has taken the file over.
   *
   * @param ours what we wrote last; null: nothing yet, whatever is there is taken over.
   * @throws {TailraceError} `CHECKPOINT_TAKEN`.
   */
  async checkOurs(ours: Written | null = this.#written): Promise<void> {
    const found = await stat(this.path, { bigint: true }).catch(() => null);
    if (ours === null || found === null) return;
    if (found.ino === ours.ino && found.mtimeNs === ours.mtimeNs) return;
    const message = `another \`tailrace replay\` has taken the checkpoint ${this.path} over; let it finish, or stop it and go on with --resume`;
    throw new TailraceError('CHECKPOINT_TAKEN', message);
  }
}

/** So that the new name is there after a power cut too. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
