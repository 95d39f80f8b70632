// Writes what a settlement changes into PostgreSQL: rows go, bits are set and cleared, failures come and go.

import type { Settlement } from '../flow/settlement.ts';
import type { Bits, Changes } from './changes.ts';
import { numbers, type Session } from './session.ts';
import { CLEAR_BITS_SQL, deleteSql, FAIL_SQL, markSql, SET_BITS_SQL, UNFAIL_SQL } from './sql/settle.ts';
import type { QueueTable } from './table.ts';

/** Runs the statements of a settlement; the transaction, and the fence in it, are the caller's. */
export async function applyChanges(
  session: Session,
  table: QueueTable,
  changes: Changes,
  onDelivered: Settlement['onDelivered'],
): Promise<void> {
  const { gone, set, clear, fail, unfail } = changes;
  if (gone.length > 0)
    await session.query(
      onDelivered === 'delete' ? deleteSql(table) : markSql(table),
      [numbers(gone)],
      `${onDelivered} ${table.revision}`,
    );
  if (set.ids.length > 0) await session.query(SET_BITS_SQL, bitArrays(set), 'set_bits');
  if (clear.ids.length > 0) await session.query(CLEAR_BITS_SQL, bitArrays(clear), 'clear_bits');
  if (fail.ids.length > 0) {
    const { destinations, ids, parked, generations, attempts, waitsMs, errors } = fail;
    await session.query(
      FAIL_SQL,
      [numbers(destinations), numbers(ids), parked, numbers(generations), numbers(attempts), numbers(waitsMs), errors],
      'fail',
    );
  }
  if (unfail.ids.length > 0)
    await session.query(UNFAIL_SQL, [numbers(unfail.destinations), numbers(unfail.ids)], 'unfail');
}

const bitArrays = ({ kinds, destinations, generations, ids }: Bits): unknown[] => [
  `{${kinds.join(',')}}`,
  numbers(destinations),
  numbers(generations),
  numbers(ids),
];
