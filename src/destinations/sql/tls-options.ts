// The TLS settings of an SQL destination as Node takes them. The files are read for each connection, so that a renewed
// certificate is in use without a restart.

import { readFile } from 'node:fs/promises';
import type { SqlTlsConfig } from '../../config/config.ts';

export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized: boolean;
}

/** Reads the files. @throws the file system's error, which names the path. */
export async function readTlsOptions({ verify, caFile, certFile, keyFile }: SqlTlsConfig): Promise<TlsOptions> {
  const [ca, cert, key] = await Promise.all([caFile, certFile, keyFile].map((path) => path && readFile(path, 'utf8')));
  return {
    // Said aloud, because NODE_TLS_REJECT_UNAUTHORIZED=0 would else switch the verification off.
    rejectUnauthorized: verify !== 'none',
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
  };
}
