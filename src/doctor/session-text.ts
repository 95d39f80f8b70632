// A session of PostgreSQL's as a person knows it again. Of its query only the first words: what follows may be anybody's
// secret.

import { duration } from '../lib/quantity.ts';
import type { RawRow } from '../queue/session.ts';
import { oneLine } from './finding.ts';

export interface SessionFacts {
  readonly pid: string;
  /** `pid 4711 (psql, user bo, from 10.0.0.5), idle in transaction for 2h, transaction open for 2h, last said UPDATE events`. */
  readonly text: string;
  /** null = not known: it is hidden from us, or there is none. */
  readonly transactionSeconds: number | null;
  readonly isStandby: boolean;
  readonly isAutovacuum: boolean;
}

/** Reads the columns that the statements of doctor-vacuum.ts call SESSION. */
export function toSession(row: RawRow): SessionFacts {
  const [pid, user, application, address, backEnd, state, stateSeconds, transactionSeconds, querySeconds, query] = row;
  const who = [
    application ? oneLine(application, 60) : null,
    user == null ? null : `user ${oneLine(user, 60)}`,
    address == null ? null : `from ${address}`,
  ].filter((part) => part !== null);
  const isOpen = transactionSeconds != null;
  const words = firstWords(query ?? '');
  const details = [
    state == null ? null : `${state} for ${duration(Number(stateSeconds))}`,
    isOpen ? `transaction open for ${duration(Number(transactionSeconds))}` : null,
    words === '' ? null : `${state === 'active' ? 'says' : 'last said'} ${words}${ago(querySeconds)}`,
  ].filter((part) => part !== null);
  return {
    pid: String(pid),
    text: `pid ${pid}${who.length > 0 ? ` (${who.join(', ')})` : ''}${details.map((each) => `, ${each}`).join('')}`,
    transactionSeconds: isOpen ? Number(transactionSeconds) : null,
    isStandby: backEnd === 'walsender',
    isAutovacuum: backEnd === 'autovacuum worker',
  };
}

const ago = (seconds: string | null | undefined): string =>
  seconds == null ? '' : ` ${duration(Number(seconds))} ago`;

/** At most three words at the beginning that are names or keywords; nothing behind a quote, a number or a sign. */
export function firstWords(query: string): string {
  const words: string[] = [];
  for (const word of query.trim().split(/\s+/, 3)) {
    if (!/^[A-Za-z_][\w.]*$/.test(word)) break;
    words.push(word);
  }
  return words.join(' ');
}

/** SQL text of a value. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
