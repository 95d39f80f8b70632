// The life around the data path: becomes the writer (local lock, then the queue's locks and an epoch), runs the pipeline,
// puts a changed configuration in force, and stands by again when another process took over.
//
//   standing by ──▶ writer ──▶ stopped
//        ▲             │ revoked
//        └─────────────┘

import type { Config } from './config/config.ts';
import type { LoadedConfig } from './config/load.ts';
import { formatProblem } from './config/problem.ts';
import { watchConfig } from './config/watch.ts';
import type { Regime } from './flow/batch.ts';
import type { Life } from './flow/life.ts';
import type { Summary } from './flow/tally.ts';
import type { Vitals } from './flow/vitals.ts';
import { delay } from './lib/delay.ts';
import { codeOf, EXIT, isServerError, messageOf, TailraceError } from './lib/errors.ts';
import { createThrottle, type Logger } from './lib/logger.ts';
import { createNudge } from './lib/nudge.ts';
import { stateDirectory } from './log-file/local-lock.ts';
import { answerRequests } from './log-file/rotate-request.ts';
import { runPipeline } from './pipeline.ts';
import { enforce } from './queue/regime.ts';
import { endsTenure, Rights } from './queue/rights.ts';
import { Session } from './queue/session.ts';
import { nameOf, type Shard } from './queue/slots.ts';
import { adopt } from './take-over/adoption.ts';
import { describeLock, HeldFile } from './take-over/held-file.ts';
import { inherit } from './take-over/inheritance.ts';
import { noteServer } from './take-over/last-server.ts';
import { createStandbyCheck, isRefusal } from './take-over/standby-check.ts';

const QUEUE = 'the queue';
const STANDBY_POLL_MS = 1_000;

export interface ProcessorOptions {
  /** Good, as loaded at the start. */
  readonly loaded: LoadedConfig & { readonly config: Config };
  readonly database: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly once: boolean;
  /** The part of the queue that is ours. */
  readonly shard: Shard;
  /** Told what the process does. */
  readonly life: Life;
  /** What the stages count, where somebody watches. */
  readonly vitals?: Vitals | undefined;
  readonly logger: Logger;
  /** First signal: settle what is in flight and end. */
  readonly stop: AbortSignal;
  /** Called with each good configuration that takes the place of the one at the start. */
  readonly onConfig?: (config: Config) => void;
}

export interface Processor {
  /** SIGHUP: opens the log file anew; resolves when nothing more is written to one that was moved before. */
  reopen(): Promise<void>;
  /**
   * Resolves with the counts when stopped, or when a `once` has handled everything.
   *
   * @throws {TailraceError} `CONNECTION_POOLED`, `SHARD_LAYOUT`, `SHARD_LOG_FILE`. With `once`: 69 when the database or the log file cannot be used, 75
   * when another process holds the queue. Without it these are waited out.
   */
  run(): Promise<Summary>;
}

/** The right to write, and the configuration whose log file is locked. */
interface Entry {
  readonly rights: Rights;
  readonly config: Config;
}

export function createProcessor(options: ProcessorOptions): Processor {
  const { life, logger, stop, once, shard } = options;
  const nudge = createNudge();
  const complain = createThrottle((fields, message) => logger.error(fields, message));
  let config = options.loaded.config;
  let inForce: { readonly rights: Rights; regime: Regime } | null = null;
  const held = new HeldFile();
  /** What another process has, when an attempt to become the writer comes back without anything. */
  let waitsFor = QUEUE;

  const open = (): Promise<Session> => Session.open({ database: options.database, applicationName: 'tailrace' });

  /** Tries until it gets something; a `once` gives up at the first failure. */
  const persist = async <T>(attempt: () => Promise<T | null>): Promise<T | null> => {
    // Two that stand by meet at the lock of their file now and then: each is said once.
    const said = new Set<string>();
    for (;;) {
      try {
        const got = await attempt();
        if (got !== null) return got;
        const busy = `another tailrace process holds ${waitsFor}`;
        if (once) throw new TailraceError('BUSY', `${busy}; try again later`, { exitCode: EXIT.tryAgain });
        life.became('standby', busy);
        if (!said.has(busy)) logger.info(`${busy}; standing by`);
        said.add(busy);
      } catch (error) {
        if (once || !(error instanceof TailraceError || isServerError(error)) || isRefusal(error)) throw error;
        life.became('starting', messageOf(error));
        complain({ error: messageOf(error), code: codeOf(error) }, 'cannot start; trying again every second');
      }
      await delay(STANDBY_POLL_MS * (0.5 + Math.random()), stop);
      if (stop.aborted) return null;
    }
  };

  const reopen = async (): Promise<void> => void (await life.tenure?.reopen());

  const assertMayStandBy = createStandbyCheck(open, shard);

  /** Tries to become the writer; which file to lock may change between two attempts. @returns null when another process is. */
  const acquire = async (): Promise<Entry | null> => {
    const underConfig = config;
    waitsFor = describeLock(underConfig.logFile);
    const journal = await held.take(underConfig.logFile);
    if (journal === null) {
      await assertMayStandBy(underConfig.logFile);
      return null;
    }
    waitsFor = QUEUE;
    let rights: Rights | null = null;
    try {
      rights = await Rights.acquire({
        open,
        shard,
        journal,
        markProcessed: () => config.onDelivered === 'mark_processed',
        bringIn: async (session, whole, left) => {
          waitsFor = 'a journal of another layout';
          return await adopt(session, whole, left, { config: underConfig, own: held.folder, shard, logger });
        },
        onWake: nudge.nudge,
        logger,
      });
    } finally {
      // Who has the queue may be told to write this file, and we wait for the queue.
      if (rights === null) await held.release();
    }
    return rights && { rights, config: underConfig };
  };

  /** One tenure as the writer. @returns false when another process took over, or another server. */
  const tenure = async ({ rights, config: first }: Entry): Promise<boolean> => {
    let clean = false;
    const { folder } = held;
    const own = folder && first.logFile && { ...folder, file: first.logFile };
    await noteServer(own?.directory ?? null, rights, logger);
    const { release, ...inheritance } = await inherit(rights.predecessors, own, logger);
    const folders = (): (string | null)[] => [
      held.folder?.directory ?? null,
      ...inheritance.inherited.map((each) => each.directory),
    ];
    const endAnswering = answerRequests(folders, reopen);
    const yielding = new AbortController();
    try {
      const regime = await persist(async () => enforce(await rights.session(stop), first, rights.epoch, shard));
      if (regime === null) return true;
      const current = { rights, regime };
      inForce = current;
      life.became('writer');
      void follow();
      logger.info(
        {
          epoch: rights.epoch,
          generation: current.regime.generation,
          queue: rights.table.name,
          ...(shard.of > 1 ? { shard: nameOf(shard) } : {}),
        },
        'started as the writer of the queue',
      );
      clean = await runPipeline({
        rights,
        open,
        logFile: first.logFile,
        regime: () => current.regime,
        nudge,
        once,
        onSwitch: (to, takeOver) =>
          held.change(to, async (place) => {
            await rights.assertFinished(place, stop);
            await takeOver();
            await rights.moveJournal(place, stop);
          }),
        journal: {
          of: (file) => ({ directory: stateDirectory(file.filename), id: held.id }),
          keep: async () => {
            const state = await held.keep();
            if (state === 'taken') yielding.abort();
            return state;
          },
          ...inheritance,
        },
        life,
        vitals: options.vitals,
        logger,
        stop: AbortSignal.any([stop, yielding.signal]),
      });
      if (!yielding.signal.aborted || stop.aborted) return true;
      logger.error(
        { error: 'its hidden folder was removed, and another process has the log file now' },
        'stopped writing',
      );
      return false;
    } catch (error) {
      if (stop.aborted) return true;
      // A pooler is no state that passes by itself.
      if (!endsTenure(error) || codeOf(error) === 'CONNECTION_POOLED' || once) throw error;
      logger.error({ error: messageOf(error) }, 'stopped writing');
      return false;
    } finally {
      inForce = null;
      life.became(stop.aborted ? 'stopped' : 'starting');
      await endAnswering();
      // Before the queue: its next writer takes over what stands in our journals, and asks once for their locks.
      await release();
      await held.release();
      await rights.release(clean);
    }
  };

  const onLoaded = async (loaded: LoadedConfig): Promise<void> => {
    if (loaded.config === null) {
      const problems = loaded.problems.map((problem) => formatProblem(loaded.file, problem));
      logger.error({ problems }, 'the configuration file is broken; the last good one stays in force');
      return;
    }
    config = loaded.config;
    options.onConfig?.(config);
    await follow();
  };

  /** Puts the newest configuration in force, as soon as PostgreSQL takes it, unless the tenure ends before. */
  const follow = async (): Promise<void> => {
    const current = inForce;
    while (current !== null && current === inForce && current.regime.config !== config && !stop.aborted) {
      try {
        current.regime = await enforce(await current.rights.session(stop), config, current.rights.epoch, shard);
        nudge.nudge();
        logger.info({ file: options.loaded.file, generation: current.regime.generation }, 'configuration loaded');
      } catch (error) {
        if (!stop.aborted)
          complain({ error: messageOf(error) }, 'cannot put the new configuration in force yet; trying again');
        await delay(STANDBY_POLL_MS, stop);
      }
    }
  };

  return {
    reopen,
    async run() {
      const watching = new AbortController();
      const watched = once
        ? Promise.resolve()
        : watchConfig(options.loaded.file, {
            signal: watching.signal,
            env: options.env,
            loaded: options.loaded,
            onLoaded,
          });
      try {
        while (!stop.aborted) {
          const entry = await persist(acquire);
          if (entry === null || (await tenure(entry))) break;
        }
        return life.summary;
      } finally {
        watching.abort();
        await watched;
        await held.release();
      }
    },
  };
}
