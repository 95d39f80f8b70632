// One request and its answer on a borrowed connection, under one deadline that covers connecting, headers and body.
// A failure is a value. Retries once by itself, when a connection that had stood idle turns out to be closed.
//
//   queued ──▶ connecting ──▶ waiting ──▶ reading ──▶ settled ──▶ over        (settled: the result is known; over: the
//                                                                              connection is given back or discarded)

import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { type HttpAnswer, isSuccess } from './http-answer.ts';
import type { Borrower, Connection, HttpConnections } from './http-connections.ts';
import { describeHttpError, describeTimeout, isConnectionClosed, type Phase } from './http-error.ts';

/** Most octets of an answer's body that are read, kept or not (SPEC 6). */
const MAX_BODY_BYTES = 64 * 1024;

/** How long a body is read that decides nothing: to keep the connection, or to quote it in an error (SPEC 6). */
const MAX_IDLE_READING_MS = 1000;

const NO_BODY = Buffer.alloc(0);

export interface ExchangeSettings {
  readonly connections: HttpConnections;
  readonly timeoutMs: number;
  /** A success is not known before the body is there (form); otherwise the headers settle it. */
  readonly bodyDecides: boolean;
  /** Host and port, for error texts. */
  readonly place: string;
}

export type ExchangeEnd = { readonly answer: HttpAnswer } | { readonly error: string };

/** The part of an answer that comes before its body. */
interface Head {
  readonly status: number;
  readonly statusText: string;
  readonly headers: IncomingHttpHeaders;
}

export class HttpExchange implements Dispatcher.DispatchHandler, Borrower {
  readonly #settings: ExchangeSettings;
  readonly #request: Dispatcher.DispatchOptions;
  readonly #onEnd: (end: ExchangeEnd) => void;
  #phase: Phase = 'connecting';
  #connection: Connection | undefined;
  #wasUsed = false;
  #retried = false;
  #settled = false;
  #startedAtMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #head: Head | undefined;
  #body: Buffer[] = [];
  #bodyBytes = 0;

  /** @param onEnd called once, at the latest when the deadline is over; not before `start`. */
  constructor(settings: ExchangeSettings, request: Dispatcher.DispatchOptions, onEnd: (end: ExchangeEnd) => void) {
    this.#settings = settings;
    this.#request = request;
    this.#onEnd = onEnd;
  }

  /** Sends the request as soon as a connection is free; the deadline begins then, since waiting is not the receiver's fault. */
  start(): void {
    this.#settings.connections.borrow(this);
  }

  /** Ends it early; the result is `error`. */
  abort(error: string): void {
    this.#settings.connections.withdraw(this);
    this.#settle({ error });
    this.#discard();
  }

  onConnection(connection: Connection): void {
    this.#connection = connection;
    if (!this.#timer) {
      this.#startedAtMs = performance.now();
      this.#timer = setTimeout(() => this.#onDeadline(), this.#settings.timeoutMs);
    }
    connection.client.dispatch(this.#request, this);
  }

  onRequestStart(): void {
    this.#phase = 'waiting';
    // Known only now: a client whose socket was closed meanwhile has connected anew.
    this.#wasUsed = this.#connection?.used === true;
  }

  onResponseStart(_: unknown, status: number, headers: IncomingHttpHeaders, statusText = ''): void {
    // 1xx announces an answer and is none.
    if (status < 200) return;
    this.#phase = 'reading';
    this.#head = { status, statusText, headers };
    const success = isSuccess(status);
    if (success && this.#settings.bodyDecides) return;
    if (success) this.#settleWithAnswer('cut');
    // Most bodies come with their headers, and are over before this: only the others need a timer of their own.
    queueMicrotask(() => this.#limitReading());
  }

  onResponseData(_: unknown, chunk: Buffer): void {
    this.#bodyBytes += chunk.length;
    if (!this.#settled) this.#body.push(chunk);
    if (this.#bodyBytes > MAX_BODY_BYTES) this.#onReadEnough();
  }

  onResponseEnd(): void {
    this.#settleWithAnswer('ended');
    clearTimeout(this.#timer);
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection) this.#settings.connections.giveBack(connection);
  }

  onResponseError(_: unknown, error: Error): void {
    const connection = this.#connection;
    if (!this.#settled && connection && this.#isStale(error)) {
      this.#retried = true;
      this.#wasUsed = false;
      this.#phase = 'connecting';
      this.#settings.connections.replace(connection, this);
      return;
    }
    // A refusal whose body breaks off is still a refusal; an acceptance that lacks its body is none.
    if (this.#head && !isSuccess(this.#head.status)) this.#settleWithAnswer('cut');
    this.#settle({ error: describeHttpError(error, this.#settings.place, this.#phase) });
    this.#discard();
  }

  #limitReading(): void {
    if (!this.#connection) return;
    clearTimeout(this.#timer);
    const remainingMs = this.#settings.timeoutMs - (performance.now() - this.#startedAtMs);
    this.#timer = setTimeout(() => this.#onReadEnough(), Math.min(MAX_IDLE_READING_MS, remainingMs));
  }

  /** The connection had been idle, and no answer began: most likely it was closed before our request reached it. */
  #isStale(error: Error): boolean {
    return this.#wasUsed && !this.#retried && !this.#head && isConnectionClosed(error);
  }

  #onDeadline(): void {
    const { timeoutMs, place } = this.#settings;
    this.#settle({ error: describeTimeout(timeoutMs, place, this.#phase) });
    this.#discard();
  }

  #onReadEnough(): void {
    this.#settleWithAnswer('cut');
    this.#discard();
  }

  #settleWithAnswer(bodyState: HttpAnswer['bodyState']): void {
    if (this.#settled || !this.#head) return;
    const { status, statusText, headers } = this.#head;
    const body = this.#body.length === 0 ? NO_BODY : Buffer.concat(this.#body);
    this.#settle({ answer: { status, statusText, headers, body, bodyState } });
  }

  #settle(end: ExchangeEnd): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#body = [];
    this.#onEnd(end);
  }

  #discard(): void {
    clearTimeout(this.#timer);
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection) this.#settings.connections.discard(connection);
  }
}
