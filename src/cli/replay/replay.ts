// `tailrace replay`: sends what stands in log files to its destinations again. It needs no database, and writes to none.

import { stat } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import type { Config } from '../../config/config.ts';
import { typeMeant } from '../../config/matching.ts';
import { findEventType } from '../../event/catalog.ts';
import { EXIT, TailraceError } from '../../lib/errors.ts';
import { createLogger } from '../../lib/logger.ts';
import { onSignals } from '../../lib/shutdown.ts';
import { CheckpointFile, type KeptProgress, readCheckpoint } from '../../replay/checkpoint.ts';
import { findAgain, findInputs } from '../../replay/inputs.ts';
import { RejectFile } from '../../replay/reject-file.ts';
import { Replay } from '../../replay/replay.ts';
import { resumedWishes } from '../../replay/resumption.ts';
import { planRoutes } from '../../replay/routes.ts';
import { createSelection } from '../../replay/selection.ts';
import type { Command, CommandContext } from '../command.ts';
import { loadGoodConfig, requireConfigFile } from '../configuration.ts';
import { REPEATABLE, type ReplayArguments, readArguments, replayOptions } from './arguments.ts';
import { createReplayPrinter } from './report.ts';

const CHECKPOINT_ENDING = /(?:\.checkpoint)?\.json$/;

/** The command `replay`: exit 0 when every event was sent, 1 when one failed or a line was bad, 75 when interrupted. */
export const replay: Command = {
  usage: 'replay [files..]',
  summary: 'send events from log files to their destinations again',
  examples: [
    ['tailrace replay --dry-run events.jsonl*', 'what would be sent where; rotated files are put in order'],
    ['tailrace replay --from 2026-11-21T22:00 --to 2026-11-22T03:00 events.jsonl*', 'what was written in one night'],
    ['tailrace replay --type scomp --where listid=weekly events.jsonl', 'certain events'],
    ['tailrace replay --destination crm --rate 100 events.jsonl', 'for one destination, 100 a second'],
    ['tailrace replay --resume', 'go on with a replay that was interrupted'],
    ['tailrace replay replay.rejected.jsonl', 'once more what was not accepted'],
  ],
  repeatable: REPEATABLE,
  options: replayOptions,
  async run(args, context) {
    const wanted = readArguments(args);
    const config = await configOf(wanted.config, context);
    const checkpoint = new CheckpointFile(resolve(wanted.checkpoint));
    const kept = wanted.dryRun ? null : await keptFor(wanted);
    const wishes = kept
      ? resumedWishes(wanted.wishes, kept, wanted.newConfig ? null : config.fingerprint)
      : wanted.wishes;
    const { named, filters } = wishes;
    warnOfUnknown(filters.types, context);
    const routes = planRoutes(config, filters.destinations);
    const selection = createSelection(filters);
    const inputs = kept ? await findAgain(kept.files, kept.from.file) : await findInputs(named);
    const printer = createReplayPrinter(context, { json: wanted.json });
    const stop = new AbortController();
    const onStop = (): void => {
      printer.note('stopping: what is under way gets ten seconds; a second signal ends at once');
      stop.abort();
    };
    const stopListening = onSignals({ onStop, onHangup: onStop });
    try {
      // Before the reject file is cut: another run may still write to it.
      if (kept) await checkpoint.takeOver(kept);
      await using rejects = wanted.dryRun
        ? null
        : await RejectFile.open(await rejectsOf(wanted, kept), kept?.rejects ?? null);
      const standing = {
        files: inputs.map(({ identity }) => identity),
        named,
        filters,
        fingerprint: config.fingerprint,
      };
      const work = new Replay({
        config,
        inputs,
        selection,
        routes,
        sending: rejects && {
          attempts: wanted.attempts,
          rejects,
          checkpoint,
          standing,
        },
        perSecond: wanted.dryRun ? null : wanted.perSecond,
        kept,
        report: printer,
        logger: createLogger({ level: 'warn' }),
        stop: stop.signal,
      });
      printer.start(() => work.status);
      const finished = await work.run();
      if (finished && rejects) {
        await rejects.removeEmpty();
        await checkpoint.remove();
      }
      const { counts } = work.status;
      printer.end({
        counts,
        dryRun: wanted.dryRun,
        finished,
        files: inputs.length,
        rejects: rejects && rejects.position.bytes > 0 ? shortest(rejects.path) : null,
        checkpoint: wanted.checkpoint,
        unknownFields: counts.lines > counts.bad ? selection.unknownFields : [],
      });
      if (!finished) return EXIT.tryAgain;
      return counts.failed + counts.bad === 0 ? EXIT.ok : EXIT.problem;
    } finally {
      printer.stop();
      stopListening();
    }
  },
};

/** A type that tailrace does not know is no error (SPEC 3), but most often a slip that nothing would be replayed for. */
function warnOfUnknown(types: readonly string[], { stderr }: CommandContext): void {
  for (const type of new Set(types.filter((each) => findEventType(each) === undefined))) {
    stderr.write(
      `warning: --type ${JSON.stringify(type)} is none that tailrace knows: only events with exactly this type are replayed${typeMeant(type)}\n`,
    );
  }
}

/** @throws {TailraceError} `CONFIG_NOT_FOUND`, `CONFIG_INVALID`. */
async function configOf(named: string | undefined, context: CommandContext): Promise<Config> {
  const advice = 'name the one that says where events go with --config';
  const file = requireConfigFile(named, context.env, advice);
  const loaded = await loadGoodConfig(file, context);
  if (loaded !== null) return loaded.config;
  throw new TailraceError('CONFIG_INVALID', `${file} is no good configuration`);
}

/** What an interrupted run left, when this one shall go on with it. */
async function keptFor({ checkpoint, resume }: ReplayArguments): Promise<KeptProgress | null> {
  const kept = await readCheckpoint(resolve(checkpoint));
  if (kept === null && resume) {
    const message = `there is no checkpoint ${checkpoint}: no replay was interrupted here, since one that is finished removes it`;
    throw new TailraceError('NOTHING_TO_RESUME', message);
  }
  if (kept !== null && !resume) {
    const message = `the checkpoint ${checkpoint} is that of a replay that was interrupted on ${kept.writtenAt}; go on with it by --resume, remove it to give that replay up, or name another with --checkpoint`;
    throw new TailraceError('CHECKPOINT_EXISTS', message);
  }
  return kept;
}

/** The reject file: as it was, as it is named, or one beside the checkpoint that has nothing in it yet. */
async function rejectsOf({ rejects, checkpoint }: ReplayArguments, kept: KeptProgress | null): Promise<string> {
  if (kept !== null) {
    if (rejects === null || resolve(rejects) === kept.rejects.path) return kept.rejects.path;
    const message = `this replay began with the reject file ${kept.rejects.path}; leave --rejects out to go on with it`;
    throw new TailraceError('REPLAY_DIFFERS', message, { exitCode: EXIT.usage });
  }
  if (rejects !== null) return resolve(rejects);
  const stem = resolve(checkpoint).replace(CHECKPOINT_ENDING, '');
  for (let number = 1; ; number += 1) {
    const path = `${stem}.rejected${number === 1 ? '' : `.${number}`}.jsonl`;
    const stats = await stat(path).catch(() => null);
    if (stats === null || (stats.isFile() && stats.size === 0)) return path;
  }
}

const shortest = (path: string): string => {
  const near = relative('', path);
  return near.startsWith('..') ? path : near;
};
