// Reads the standing of events from PostgreSQL: the ledger's bits and the rows of tailrace.pending put together.

import { type Failure, FRESH, type Standing, type Waiting } from '../flow/standing.ts';
import { numbers, type Session } from './session.ts';
import { STATE_OF_SQL } from './sql/due.ts';

interface Draft {
  logged: boolean;
  unlogged: boolean;
  tooLarge: boolean;
  left: number[];
  waiting: Waiting[];
  failed: Failure[];
  done: number[];
}

/**
 * The standings of events, by id; an event that PostgreSQL knows nothing about is absent (it is FRESH).
 *
 * @param ids decimal; an empty list asks nothing.
 */
export async function readStandings(session: Session, ids: readonly string[]): Promise<Map<string, Standing>> {
  if (ids.length === 0) return new Map();
  const drafts = new Map<string, Draft>();
  for (const [id, kind, destination, generation, attempts, parked, error, waitMs] of await session.query(
    STATE_OF_SQL,
    [numbers(ids)],
    'state_of',
  )) {
    const draft = drafts.get(String(id)) ?? { ...FRESH, left: [], waiting: [], failed: [], done: [] };
    drafts.set(String(id), draft);
    const pair = { destinationId: Number(destination), generation: Number(generation) };
    switch (kind) {
      case 'L':
        draft.logged = true;
        break;
      case 'S':
        draft.unlogged = true;
        break;
      case 'X':
        draft.tooLarge = true;
        break;
      case 'l':
        draft.left.push(pair.generation);
        break;
      case 'w':
        draft.waiting.push(pair);
        break;
      case 'd':
        draft.done.push(pair.destinationId);
        break;
      case 'f':
        draft.failed.push({
          ...pair,
          attempts: Number(attempts),
          parked: parked === 't',
          error: String(error),
          waitMs: Number(waitMs),
        });
        break;
      default:
        throw new Error(`tailrace.ledger holds the unknown kind ${kind}`);
    }
  }
  return drafts;
}
