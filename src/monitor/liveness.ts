// What systemd is told of this process: what it is doing, in words, and whether it still does it. Its other half, for a
// load balancer, is `readiness.ts`.
//
// Alive is what a restart could not do better. A process that waits is alive, whatever it waits for and for however long:
// another process, PostgreSQL, a full disk, a slow destination. A writer is not when nothing holds its reader back and
// the reader has not looked at the queue for minutes: that can only be a bug. (A blocked event loop says nothing at all.)

import type { Life, Tenure } from '../flow/life.ts';
import type { Summary } from '../flow/tally.ts';
import type { Report } from '../lib/service-manager.ts';

/** Each query of the reader has a deadline of one minute, and an error is followed by another look. */
const STALLED_MS = 5 * 60_000;

/** Looks at the process; at once, and nothing is asked of anybody else. */
export function livenessOf(life: Life): Report {
  const { tenure, hasFoundRole: ready } = life;
  if (tenure === null) return { ready, alive: true, state: stateOf(life), details: '' };
  const trouble = troubleOf(tenure);
  const isStalled = life.idleMs > STALLED_MS && trouble === null && !tenure.isHeldBack();
  return {
    ready,
    alive: !isStalled,
    state: `writer, epoch ${tenure.epoch}${trouble === null ? '' : `; ${trouble}`}${isStalled ? '; stalled' : ''}`,
    details: detailsOf(life.summary),
  };
}

/** Without a running pipeline. */
function stateOf({ role, why }: Life): string {
  if (role === 'standby') return `standing by: ${why}`;
  return role === 'starting' && why !== null ? `cannot start: ${why}` : 'starting';
}

/** What it waits for because something is wrong; null = nothing is. */
const troubleOf = ({ held, logFile }: Tenure): string | null => (held() ? logFile().error : 'waiting for PostgreSQL');

function detailsOf({ logged, delivered, dropped, left, waiting, failed, parked }: Summary): string {
  return Object.entries({ logged, delivered, dropped, left, waiting, failed, parked })
    .filter(([name, count]) => count > 0 || name === 'logged')
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');
}
