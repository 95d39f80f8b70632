// What goes wrong between us and a receiver before a whole answer is there, as one clear line. The only place that
// knows the codes of undici, of Node's sockets and of OpenSSL.

import { codeOf, messageOf } from '../lib/errors.ts';

/** How far an exchange has come; names what a deadline cut short. */
export type Phase = 'connecting' | 'waiting' | 'reading';

const DOING: Readonly<Record<Phase, string>> = {
  connecting: 'while connecting',
  waiting: 'while waiting for an answer',
  reading: 'while reading the answer',
};

const CERTIFICATE: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'has expired',
  CERT_NOT_YET_VALID: 'is not valid yet',
  CERT_REVOKED: 'is revoked',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'comes from an authority that is not trusted here',
  UNABLE_TO_GET_ISSUER_CERT: 'comes from an authority that is not trusted here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'comes from an authority that is not trusted here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'comes without the chain that leads to a trusted authority',
  ERR_TLS_CERT_ALTNAME_INVALID: 'is for another host',
};

/** Code of our own error for an address that `public_only` refuses; its message begins with the address. */
export const NOT_PUBLIC = 'ADDRESS_NOT_PUBLIC';

/** Code of our own error about a proxy, not the receiver; its message is a whole line. */
export const PROXY_FAILED = 'PROXY_FAILED';

/** Codes with which a receiver says that it wants another certificate from us, or one at all. */
const CLIENT_CERTIFICATE: Readonly<Record<string, string>> = {
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'asks for a client certificate (tls.cert)',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'does not trust our client certificate (tls.cert)',
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: 'does not accept our client certificate (tls.cert)',
  ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE: 'does not accept our client certificate (tls.cert)',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED: 'says that our client certificate is revoked (tls.cert)',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'says that our client certificate has expired (tls.cert)',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: 'does not accept our client certificate (tls.cert)',
};

/** Codes with which a socket that the other side has closed can show it. */
const CLOSED = new Set([
  'ECONNRESET',
  'EPIPE',
  'ECONNABORTED',
  'UND_ERR_SOCKET',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'HPE_INVALID_EOF_STATE',
]);

/** Whether the other side closed or reset the connection, as it does to an idle one that it has grown tired of. */
export function isConnectionClosed(error: unknown): boolean {
  return CLOSED.has(codeOf(error) ?? '');
}

/** One line for an exchange that failed; `place` is host and port. */
export function describeHttpError(error: unknown, place: string, phase: Phase): string {
  const code = codeOf(error) ?? '';
  const certificate = CERTIFICATE[code];
  if (certificate) return `the certificate of ${place} ${certificate} (${code})`;
  const ours = CLIENT_CERTIFICATE[code];
  if (ours) return `${place} ${ours} (${code})`;
  if (/^ERR_SSL_|^ERR_TLS_|^EPROTO$/.test(code)) return `no TLS connection with ${place} (${code})`;
  if (code.startsWith('HPE_') && !CLOSED.has(code)) return `${place} does not answer in HTTP/1.1 (${code})`;
  if (CLOSED.has(code)) return `${place} closed the connection ${DOING[phase]}`;
  switch (code) {
    case PROXY_FAILED:
      return messageOf(error);
    case NOT_PUBLIC:
      return `not connected to ${place}: ${messageOf(error)}, and public_only is set`;
    case 'ECONNREFUSED':
      return `connection refused by ${place}`;
    case 'ENOTFOUND':
      return `the host name of ${place} does not exist (ENOTFOUND)`;
    case 'EAI_AGAIN':
      return `the host name of ${place} cannot be looked up at the moment (EAI_AGAIN)`;
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ENETDOWN':
    case 'EHOSTDOWN':
      return `no route to ${place} (${code})`;
    case 'ETIMEDOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return `${place} did not respond ${DOING[phase]} (${code})`;
    case 'UND_ERR_HEADERS_OVERFLOW':
      return `the headers of the answer from ${place} are too large`;
    default:
      return `request to ${place} failed ${DOING[phase]}: ${messageOf(error).replace(/\s+/g, ' ')}${code && ` (${code})`}`;
  }
}

/** One line for an exchange that its deadline ended. */
export function describeTimeout(timeoutMs: number, place: string, phase: Phase): string {
  return `no complete answer from ${place} within ${timeoutMs} ms: stopped ${DOING[phase]}`;
}
