// The POST of an event as it would go out, with its credentials masked. The signature is the real one, made now.

import { gunzipSync } from 'node:zlib';
import type { Config, HttpPostConfig } from '../config/config.ts';
import { createHttpMessages } from './http-messages.ts';
import { createHttpTarget } from './http-target.ts';
import type { Previewer } from './preview.ts';

/** Whatever a header of the configuration holds may be a secret. */
const MASK = '[secret]';
const CREDENTIALS = /^(?:proxy-)?authorization$/i;

/** Creates what previews the requests of one `http_post` destination. */
export function createHttpPreview(
  destination: HttpPostConfig,
  options: Pick<Config, 'httpUserAgent' | 'expandJsonColumns'>,
): Previewer {
  const target = createHttpTarget(destination);
  const messages = createHttpMessages(destination, target, options);
  const configured = new Set(destination.headers.map(({ name }) => name.toLowerCase()));
  const masked = (name: string, value: string): string => {
    if (configured.has(name.toLowerCase())) return MASK;
    // `Basic`, `Bearer`: which one it is helps, and tells nothing.
    return CREDENTIALS.test(name) ? `${value.split(' ', 1)[0]} ${MASK}` : value;
  };
  return async (event) => {
    const { batch, compress, url } = destination;
    const request = await (batch ? messages.batch([messages.member(event)]) : messages.single(event));
    // As http-request.ts makes them: names and values in turn, and a buffer.
    const flat = request.headers as readonly string[];
    const body = request.body as Buffer;
    return {
      kind: 'request',
      method: request.method,
      url: url.shown,
      through: target.proxy?.place ?? null,
      headers: Array.from({ length: flat.length / 2 }, (_, at): [string, string] => {
        const [name = '', value = ''] = flat.slice(2 * at, 2 * at + 2);
        return [name, masked(name, value)];
      }),
      body: (compress ? gunzipSync(body) : body).toString(),
      batch_max_events: batch?.maxEvents ?? null,
    };
  };
}
