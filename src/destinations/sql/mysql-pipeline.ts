// Many executions of one prepared statement in a single round trip, on MariaDB: they are written one behind the other,
// and the server answers them in order (https://mariadb.com/kb/en/com_stmt_execute/). What stands behind a failed one runs
// all the same, after a deadlock in a transaction of its own; so the session is without autocommit, and the caller's
// COMMIT goes out only when all of them have succeeded.
//
// Only for statements that answer with one OK or one error each. Other servers with this protocol, and proxies, need not
// read on while they answer: MySQL itself is never sent this, and a connection that ends in the middle is held against it.

import type { Connection } from 'mysql2';
import type { BoundRow } from './driver.ts';

/** As `bind` of the driver makes it. */
type MysqlValue = string | bigint | null;

/** What mysql2 hands to a command of its queue; its types know only its own commands. */
interface WireConnection {
  sequenceId: number;
  write(data: Buffer): void;
}

interface WirePacket {
  isError(): boolean;
  asError(encoding: string): Error;
  peekByte(): number;
}

interface Command {
  /** Called once without a packet, to write, and then for each that arrives. @returns whether it was the last. */
  execute(packet: WirePacket | undefined, connection: WireConnection): boolean;
  /** The connection is gone. */
  onResult(error: Error): void;
}

const COM_STMT_EXECUTE = 0x17;
const HEADER_BYTES = 4;
/** The command, the statement, no cursor, and the number of iterations, which is 1. */
const COMMAND_BYTES = 10;
const TYPE_BYTES = 2;
const TYPE_NULL = 0x06;
const TYPE_LONGLONG = 0x08;
const TYPE_VAR_STRING = 0xfd;
/** What is longer goes out in several packets. */
const MAX_PACKET_BYTES = 0xff_ff_ff - 1;
/** Of one write: little against a round trip, and 1,000 connections can have it at the same time. */
const MAX_WRITE_BYTES = 256 * 1024;
/** ER_LOCK_WAIT_TIMEOUT */
export const LOCK_WAIT_TIMEOUT = 1205;
/** An OK without anything else in front. */
const OK = 0x00;

/** No procedure, which may answer with rows, or commit. */
const CHANGES_ROWS = /^\s*(?:INSERT|REPLACE|UPDATE|DELETE)\b/i;
/** Rows for an answer; MariaDB does not say so when it prepares the statement. */
const RETURNS_ROWS = /\bRETURNING\b/i;

/** Whether a statement answers with an OK or an error, and nothing else, as far as its words say. */
export function canBePipelined(sql: string): boolean {
  return CHANGES_ROWS.test(sql) && !RETURNS_ROWS.test(sql);
}

/** Rows that go out in one write; a single one may be above the limit of a packet, and is none for the pipeline. */
export interface Portion {
  readonly rows: BoundRow[];
  readonly oversized: boolean;
}

/**
 * Divides rows into writes.
 *
 * @param maxPacket the server's limit: it answers a longer packet with the end of the connection, and behind that answer
 * there must be nothing.
 */
export function portionsOf(rows: readonly BoundRow[], maxPacket: number): readonly Portion[] {
  // The server refuses a packet that is as long as its limit, too.
  const most = Math.min(maxPacket - 1, MAX_PACKET_BYTES);
  const portions: Portion[] = [];
  let bytes = 0;
  for (const row of rows) {
    const size = sizeOf(row);
    const last = portions.at(-1);
    if (size > most) portions.push({ rows: [row], oversized: true });
    else if (last && !last.oversized && bytes + size <= MAX_WRITE_BYTES) {
      last.rows.push(row);
      bytes += size;
    } else {
      portions.push({ rows: [row], oversized: false });
      bytes = size;
    }
  }
  return portions;
}

/**
 * Executes a prepared statement for each row.
 *
 * @throws the first error, when all have been answered; or at once if it is a lock that was waited for in vain, since what
 * stands behind it may wait as long.
 */
export function pipeline(connection: Connection, statementId: number, rows: readonly BoundRow[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let waiting = rows.length;
    let failure: Error | null = null;
    const command: Command = {
      execute(packet, wire) {
        // Each answer is the second packet of an exchange of its own.
        wire.sequenceId = 1;
        if (packet === undefined) {
          wire.write(encode(statementId, rows));
          return false;
        }
        if (packet.isError()) {
          failure ??= packet.asError('utf8');
          if ((failure as Error & { errno?: number }).errno === LOCK_WAIT_TIMEOUT) reject(failure);
        }
        // Nothing can be told apart any more; mysql2 ends the connection.
        else if (packet.peekByte() !== OK) throw new Error('the server answered a change of rows with something else');
        waiting -= 1;
        if (waiting > 0) return false;
        if (failure) reject(failure);
        else resolve();
        return true;
      },
      onResult: reject,
    };
    // Known to mysql2, not to its types.
    (connection as unknown as { addCommand(command: Command): void }).addCommand(command);
  });
}

function sizeOf(row: BoundRow): number {
  let size = COMMAND_BYTES + nullBytes(row) + 1 + row.length * TYPE_BYTES;
  for (const value of row as readonly MysqlValue[]) {
    if (typeof value === 'bigint') size += 8;
    else if (value !== null) {
      const length = Buffer.byteLength(value);
      size += lengthBytes(length) + length;
    }
  }
  return size;
}

const nullBytes = (row: BoundRow): number => (row.length + 7) >> 3;

const lengthBytes = (length: number): number => (length < 0xfb ? 1 : length < 0x1_00_00 ? 3 : 4);

function encode(statementId: number, rows: readonly BoundRow[]): Buffer {
  const sizes = rows.map(sizeOf);
  const buffer = Buffer.allocUnsafe(sizes.reduce((sum, size) => sum + HEADER_BYTES + size, 0));
  let at = 0;
  for (const [index, row] of rows.entries()) {
    // Three bytes of length, and the first packet of an exchange.
    at = buffer.writeUIntLE(sizes[index] ?? 0, at, 3);
    at = buffer.writeUInt8(0, at);
    at = writeExecution(buffer, at, statementId, row as readonly MysqlValue[]);
  }
  return buffer;
}

function writeExecution(buffer: Buffer, start: number, statementId: number, row: readonly MysqlValue[]): number {
  let at = buffer.writeUInt8(COM_STMT_EXECUTE, start);
  at = buffer.writeUInt32LE(statementId, at);
  at = buffer.writeUInt8(0, at);
  at = buffer.writeUInt32LE(1, at);
  const nulls = at;
  at += nullBytes(row);
  buffer.fill(0, nulls, at);
  // The types follow.
  at = buffer.writeUInt8(1, at);
  for (const [index, value] of row.entries()) {
    if (value === null) buffer[nulls + (index >> 3)] = (buffer[nulls + (index >> 3)] ?? 0) | (1 << (index & 7));
    at = buffer.writeUInt16LE(
      value === null ? TYPE_NULL : typeof value === 'bigint' ? TYPE_LONGLONG : TYPE_VAR_STRING,
      at,
    );
  }
  for (const value of row) {
    if (typeof value === 'bigint') at = buffer.writeBigInt64LE(value, at);
    else if (value !== null) at = writeText(buffer, at, value);
  }
  return at;
}

function writeText(buffer: Buffer, start: number, text: string): number {
  const length = Buffer.byteLength(text);
  const bytes = lengthBytes(length);
  let at = start;
  if (bytes > 1) at = buffer.writeUInt8(bytes === 3 ? 0xfc : 0xfd, at);
  at = buffer.writeUIntLE(length, at, bytes === 1 ? 1 : bytes - 1);
  return at + buffer.write(text, at, length, 'utf8');
}

/** What is known of how the server, or a proxy before it, bears pipelines. */
export interface PipelineTrust {
  /** Whether the next batch may be one. */
  take(): boolean;
  /** It was, and the connection held. */
  kept(): void;
  /** The connection was lost in the middle of one, for whatever reason. */
  broken(): void;
}

const MAX_DISTRUST = 10;

/** After a loss the next two batches go statement by statement, after another loss four, and so on up to a thousand. */
export function createPipelineTrust(): PipelineTrust {
  let distrust = 0;
  let alone = 0;
  return {
    take() {
      if (alone === 0) return true;
      alone -= 1;
      return false;
    },
    kept() {
      distrust = 0;
    },
    broken() {
      // Connections that are lost at the same time are one loss.
      if (alone > 0) return;
      distrust = Math.min(distrust + 1, MAX_DISTRUST);
      alone = 2 ** distrust;
    },
  };
}
