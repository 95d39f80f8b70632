// Progress of a long count, on a terminal only.

import { duration, many } from '../../lib/quantity.ts';
import type { CommandContext } from '../command.ts';

const EVERY_MS = 100;
/** What comes before says little about how long the rest takes. */
const TELLING_MS = 1_000;

export interface PlanProgress {
  /** @param share how much has been looked at, 0 to 1. */
  show(events: number, share: number): void;
  /** Takes it off the screen. */
  end(): void;
}

export function createPlanProgress(stderr: CommandContext['stderr']): PlanProgress {
  const startedAt = performance.now();
  let shownAt = Number.NEGATIVE_INFINITY;
  return {
    show(events, share) {
      const now = performance.now();
      if (stderr.isTTY !== true || now - shownAt < EVERY_MS) return;
      shownAt = now;
      const elapsedMs = now - startedAt;
      const leftSeconds = ((elapsedMs / 1_000) * (1 - share)) / share;
      const left = elapsedMs < TELLING_MS || !Number.isFinite(leftSeconds) ? '' : `, ${duration(leftSeconds)} left`;
      stderr.write(`\r\u001b[Kcounted ${many(events, 'event')} (${Math.floor(share * 100)} %${left})`);
    },
    end() {
      if (stderr.isTTY === true) stderr.write('\r\u001b[K');
    },
  };
}
