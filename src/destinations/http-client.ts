// The two pieces of undici that a destination is made of. All of undici, with its fetch, its caches and its web sockets, takes
// 10 MB more of a process that may idle for months; a package without `exports` may be asked for a part of it.

import { createRequire } from 'node:module';
import type { buildConnector as BuildConnector, Client as UndiciClient } from 'undici';

const require = createRequire(import.meta.url);

/** One connection to one origin. */
export const Client: typeof UndiciClient = require('undici/lib/dispatcher/client.js');
export type Client = UndiciClient;

/** Makes what opens a connection, over TCP, TLS or a proxy. */
export const buildConnector: typeof BuildConnector = require('undici/lib/core/connect.js');
