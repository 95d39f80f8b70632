// From the configuration's `destination` to the driver that serves it: the one place that knows all drivers.

import type { Config, DestinationConfig } from '../config/config.ts';
import type { Destination } from './destination.ts';
import { createDropFromQueue } from './drop-from-queue.ts';
import { createHttpPost } from './http-post.ts';
import { createLeaveInQueue } from './leave-in-queue.ts';

/**
 * Creates the driver of one destination. Nothing is opened before the first delivery.
 *
 * @throws {TailraceError} CONFIG_INVALID when the URL is not one; the configuration's loader has said it better before.
 */
export function createDestination(
  destination: DestinationConfig,
  { config }: { readonly config: Pick<Config, 'httpKeepAlive' | 'httpUserAgent' | 'expandJsonColumns'> },
): Destination {
  switch (destination.type) {
    case 'http_post':
      return createHttpPost(destination, config);
    case 'drop_from_queue':
      return createDropFromQueue();
    case 'leave_in_queue':
      return createLeaveInQueue();
    default:
      return unknown(destination);
  }
}

function unknown(destination: never): never {
  throw new Error(`no driver for the destination ${JSON.stringify(destination)}`);
}
