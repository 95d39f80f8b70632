// Takes the rows of a page as the bytes that PostgreSQL sends. pg makes a string of each column, 60 of a row, of which a
// line needs none; everything else of the protocol is left to pg, which does not notice that the rows are missing.
//
// A message is a code of one byte, a length of four that counts itself, and its body: https://www.postgresql.org/docs/current/protocol-message-formats.html

import { Socket, type SocketConnectOpts, type SocketConstructorOpts } from 'node:net';
import type pg from 'pg';
import { encodeRow, lengthAt, textOf } from '../event/row-bytes.ts';
import { lendPageBuffer, takeBack } from '../flow/page-buffers.ts';

const DATA_ROW = 0x44;
const CODE_BYTES = 1;
const HEADER_BYTES = 5;
/** Before a row's columns stands their number. */
const COUNT_BYTES = 2;
const FIRST_PAGE_BYTES = 16 * 1024;

/** The rows of one page, one behind the other. */
export interface RowPage {
  /** Lent: to be given back when the page is done with. */
  readonly bytes: Buffer;
  /** Index of each row's first column. */
  readonly starts: readonly number[];
}

/** The same rows, with U+FFFD in the place of what is no UTF-8. */
export function asUtf8(page: RowPage): RowPage {
  const { bytes } = page;
  const rows = page.starts.map((at) => {
    const columns = bytes.readUInt16BE(at - COUNT_BYTES);
    return encodeRow(Array.from({ length: columns }, (_, column) => textOf(bytes, at, column)));
  });
  const starts: number[] = [];
  let length = 0;
  for (const row of rows) {
    starts.push(length);
    length += row.length;
  }
  return { bytes: Buffer.concat(rows), starts };
}

const NO_ROWS: RowPage = { bytes: Buffer.alloc(0), starts: [] };

type OnData = (chunk: Buffer) => void;

/** What pg's parser asks of a stream. */
interface Source {
  on(event: string, listener: (...args: never[]) => void): unknown;
}

interface TappedConnection {
  attachListeners(stream: Source): void;
}

/** What pg gives to a function that makes its socket. */
interface SocketConfig {
  readonly ssl?: unknown;
}

/** What the kernel has at most for one read of a socket. */
const READ_BYTES = 64 * 1024;

export class RowTap {
  /** pg's parser. */
  #onData: OnData = () => undefined;
  /** The rows are ours: set while a page is read. */
  #open = false;
  #bytes = NO_ROWS.bytes;
  #length = 0;
  #starts: number[] = [];
  #lastBytes = FIRST_PAGE_BYTES;
  /** Bytes to come of the row that is being taken, and of the message that is being passed on. */
  #ofRow = 0;
  #ofMessage = 0;
  /** The beginning of a message of which the header has not come as a whole. */
  #header = NO_ROWS.bytes;

  /**
   * Makes the client's socket, to be given to pg as `stream`. All that arrives is read into one buffer, since nothing of it is
   * kept: a new one for each read makes the collector run twice as often. Not with TLS, which reads for itself.
   */
  readonly socket = ((config: SocketConfig): Socket => {
    if (config.ssl) return new Socket();
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const callback = (length: number): boolean => {
      this.#take(buffer.subarray(0, length));
      return true;
    };
    const options: Pick<SocketConnectOpts, 'onread'> = { onread: { buffer, callback } };
    return new Socket(options as SocketConstructorOpts);
    // pg's types know neither the argument nor the option.
  }) as () => Socket;

  /** Stands between a client's socket and its parser; to be called before it connects. */
  attach(client: pg.Client): void {
    const { connection } = client as unknown as { readonly connection: TappedConnection };
    const attach = connection.attachListeners.bind(connection);
    connection.attachListeners = (stream) => {
      attach({
        on: (event, listener) => {
          if (event === 'data') this.#onData = listener as OnData;
          else stream.on(event, listener);
        },
      });
      stream.on('data', (chunk: Buffer) => this.#take(chunk));
    };
  }

  /** From now on rows are taken. Nothing else may be asked of the connection until `close`. */
  open(): void {
    this.#open = true;
    this.#bytes = lendPageBuffer(this.#lastBytes);
    this.#length = 0;
    this.#starts = [];
  }

  /** @returns what was taken since `open`. */
  close(): RowPage {
    this.#open = false;
    const page = { bytes: this.#bytes, starts: this.#starts };
    if (page.starts.length === 0) takeBack(page.bytes);
    // The next page is most likely of the same size, and a little room costs less than to move it.
    this.#lastBytes = Math.max(FIRST_PAGE_BYTES, Math.ceil(this.#length * 1.125));
    this.#bytes = NO_ROWS.bytes;
    this.#starts = [];
    return page;
  }

  #take(arrived: Buffer): void {
    const chunk = this.#header.length === 0 ? arrived : Buffer.concat([this.#header, arrived]);
    this.#header = NO_ROWS.bytes;
    /** Where that begins which is not passed on yet. */
    let from = 0;
    let at = 0;
    while (at < chunk.length) {
      if (this.#ofMessage > 0) {
        const length = Math.min(this.#ofMessage, chunk.length - at);
        this.#ofMessage -= length;
        at += length;
      } else if (this.#ofRow > 0) {
        const length = Math.min(this.#ofRow, chunk.length - at);
        this.#append(chunk, at, length);
        at += length;
        from = at;
      } else if (chunk.length - at < HEADER_BYTES) {
        this.#header = Buffer.from(chunk.subarray(at));
        break;
      } else {
        // Unsigned, as pg reads it: who sends something else here is no PostgreSQL, and must not keep this loop where it is.
        const length = (lengthAt(chunk, at + CODE_BYTES) >>> 0) + CODE_BYTES;
        if (chunk[at] === DATA_ROW && this.#open) {
          this.#passOn(chunk, from, at);
          at += HEADER_BYTES;
          from = at;
          this.#begin(length - HEADER_BYTES);
        } else this.#ofMessage = length;
      }
    }
    this.#passOn(chunk, from, chunk.length - this.#header.length);
  }

  #passOn(chunk: Buffer, from: number, to: number): void {
    // A copy: the parser keeps what is half a message, and the bytes of others are read into the same place.
    if (to > from) this.#onData(Buffer.from(chunk.subarray(from, to)));
  }

  #begin(length: number): void {
    this.#ofRow = length;
    this.#starts.push(this.#length + COUNT_BYTES);
    if (this.#length + length <= this.#bytes.length) return;
    const larger = lendPageBuffer(Math.max(this.#length + length, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    takeBack(this.#bytes);
    this.#bytes = larger;
  }

  #append(chunk: Buffer, at: number, length: number): void {
    chunk.copy(this.#bytes, this.#length, at, at + length);
    this.#length += length;
    this.#ofRow -= length;
  }
}
