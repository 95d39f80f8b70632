// One batch into the queue table, in one transaction with whatever has to be committed with it: the counts of the
// switches, and where in its input the batch ends.

import type { CopyClient } from './connection.ts';
import { type EncodedRow, isDataError, type Refusal, type RowWriter, writeHalving } from './insert-rows.ts';

/** Constraints that wait for the COMMIT would refuse the batch there, when no row can be taken out of it any more. */
const BEGIN = 'BEGIN; SET CONSTRAINTS ALL IMMEDIATE';

/**
 * Stores rows in a transaction of their own. Rows that PostgreSQL refuses for their content are left out.
 *
 * @param along called once, in the transaction, when it is known which rows are left out; what it throws rolls all back.
 * @throws what `client` or `along` throws; nothing is stored then, unless it was the COMMIT's answer that did not come.
 */
export async function storeRows<Encoded extends EncodedRow>(
  client: CopyClient,
  rows: readonly Encoded[],
  writer: Pick<RowWriter<CopyClient, Encoded>, 'write'>,
  along: (refusals: readonly Refusal[]) => Promise<void>,
): Promise<void> {
  await client.query(BEGIN);
  try {
    await along(await writeRows(client, rows, writer));
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined); // the connection may be what failed
    throw error;
  }
}

async function writeRows<Encoded extends EncodedRow>(
  client: CopyClient,
  rows: readonly Encoded[],
  writer: Pick<RowWriter<CopyClient, Encoded>, 'write'>,
): Promise<Refusal[]> {
  if (rows.length === 0) return [];
  try {
    await writer.write(client, rows);
    return [];
  } catch (error) {
    if (!isDataError(error)) throw error;
  }
  // Savepoints only now: each costs a transaction id, and almost every batch is good.
  await client.query('ROLLBACK');
  await client.query(BEGIN);
  return writeHalving(client, rows, writer, true);
}
