// Who may see and do what. Where a token is set it is asked for by everything but health and the page's own files. Where
// none is, the server listens on this machine only, and any program and any browser on it may look; so that a web page
// of somebody else cannot look through that browser (DNS rebinding), a request must name this machine.

import type { FastifyRequest } from 'fastify';
import type { ListenAddress } from '../http/listen-address.ts';
import type { TokenCheck } from '../http/tokens.ts';
import { PAGE_PATHS } from './page-files.ts';

const HEALTH_PATHS = new Set(['/healthz', '/readyz']);
/** Nothing in their answers is anybody's secret. */
const OPEN_PATHS = new Set([...HEALTH_PATHS, ...PAGE_PATHS]);
/** With any port: it may be forwarded. */
const LOCAL_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i;

export interface Refusal {
  readonly status: number;
  readonly error: string;
  readonly message: string;
}

export interface Access {
  readonly address: ListenAddress;
  readonly isAllowed: TokenCheck;
  readonly wantsToken: () => boolean;
}

/** Why a request is refused; null = it may go on. */
export function refusalOf(request: FastifyRequest, { address, isAllowed, wantsToken }: Access): Refusal | null {
  const path = request.url.split('?')[0] ?? '';
  if (!wantsToken() && address.kind === 'tcp' && !HEALTH_PATHS.has(path)) {
    const { host } = request.headers;
    if (host === undefined || !LOCAL_HOST.test(host)) {
      return {
        status: 421,
        error: 'host',
        message:
          'Without a token only requests to localhost, 127.0.0.1 or [::1] are answered. Set one with --http-token-file to use another name.',
      };
    }
  }
  const changes = request.method !== 'GET' && request.method !== 'HEAD';
  if (changes && !wantsToken()) {
    return {
      status: 403,
      error: 'no_token',
      message:
        'Nothing can be changed here without a token: start with --http-token-file, or use tailrace pause and resume.',
    };
  }
  if ((changes || !OPEN_PATHS.has(path)) && !isAllowed(request.headers.authorization)) {
    return { status: 401, error: 'unauthorized', message: 'Send "Authorization: Bearer" with the token of --http.' };
  }
  return null;
}
