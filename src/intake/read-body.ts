// The body of a request as text: collected within its bound and within what all requests together may hold, unpacked
// when it is gzip. Nothing larger than the bound ever stands in memory, packed or not.

import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { codeOf } from '../lib/errors.ts';
import { busy, Refused, tooLarge } from './answers.ts';

/** What one request may still take of what all of them may hold. */
export interface ByteBudget {
  /** @returns false when there is not so much left; nothing is taken then. */
  take(bytes: number): boolean;
}

export interface BodyOptions {
  readonly maxBytes: number;
  readonly budget: ByteBudget;
  /** Lets a few bodies at a time be unpacked: what they become is not known before. */
  readonly unpacking: <T>(work: () => Promise<T>) => Promise<T>;
}

const unzip = promisify(gunzip);
const BYTE_ORDER_MARK = '\ufeff';

/**
 * Reads the whole body. Bytes that are not UTF-8 become U+FFFD, a byte order mark is left out.
 *
 * @throws {Refused} 400, 413, 415 or 429.
 */
export async function readBody(request: IncomingMessage, options: BodyOptions): Promise<string> {
  const encoding = (request.headers['content-encoding'] ?? 'identity').trim().toLowerCase();
  if (encoding !== 'identity' && encoding !== 'gzip') {
    throw new Refused(415, 'unsupported_encoding', 'Content-Encoding must be gzip or absent.', {
      headers: { 'accept-encoding': 'gzip' },
    });
  }
  const packed = await collect(request, options);
  const bytes = encoding === 'gzip' ? await unpack(packed, options) : packed;
  const text = bytes.toString('utf8');
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
}

function collect(request: IncomingMessage, { maxBytes, budget }: BodyOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const refuse = (reason: Refused): void => {
      request.off('data', take).resume(); // what still comes is read and dropped, so that the answer arrives
      reject(reason);
    };
    const take = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > maxBytes) refuse(tooLarge(maxBytes));
      else if (!budget.take(chunk.length)) refuse(busy());
      else chunks.push(chunk);
    };
    const gone = (): void => {
      if (!request.readableEnded) reject(new Refused(400, 'incomplete', 'The body broke off.'));
    };
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) return refuse(tooLarge(maxBytes));
    request.on('data', take);
    request.once('end', () => resolve(chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks)));
    request.once('error', gone).once('close', gone);
    return undefined;
  });
}

async function unpack(packed: Buffer, { maxBytes, budget, unpacking }: BodyOptions): Promise<Buffer> {
  const bytes = await unpacking(() => unzip(packed, { maxOutputLength: maxBytes })).catch((error: unknown) => {
    if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes, true);
    throw new Refused(400, 'invalid_gzip', 'The body is not gzip, or breaks off, though Content-Encoding says gzip.');
  });
  if (!budget.take(bytes.length)) throw busy();
  return bytes;
}
