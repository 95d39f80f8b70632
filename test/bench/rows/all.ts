// Every row, in the order of the goals table.

import type { Row } from '../finding.ts';
import { backlogRow } from './backlog.ts';
import { deadRow } from './dead.ts';
import { drainRow } from './drain.ts';
import { httpBatchRow, httpRow } from './http.ts';
import { idleRow } from './idle.ts';
import { deliveryRow, latencyRow } from './latency.ts';
import { memoryRow } from './memory.ts';
import { peersRow } from './peers.ts';
import { shardsRow } from './shards.ts';
import { soakRow } from './soak.ts';
import { sqlRow } from './sql.ts';

/** The rows of the goals table. */
export const GOAL_ROWS: readonly Row[] = [
  ...[drainRow, httpRow, httpBatchRow, sqlRow, memoryRow, backlogRow],
  ...[latencyRow, deliveryRow, deadRow, idleRow, peersRow],
];

/** Those that run only when they are named. */
export const NAMED_ROWS: readonly Row[] = [shardsRow, soakRow];
