import { createDestination } from '../../src/destinations/create-destination.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { describeDestination, type Subject } from './contract.ts';
import { httpPostConfig } from './samples.ts';

const log = { warn: () => undefined };
const config = { httpKeepAlive: 10, httpUserAgent: 'tailrace/0.0.0', expandJsonColumns: [] };

for (const format of ['json', 'form'] as const) {
  describeDestination(`http_post, ${format}`, async (): Promise<Subject> => {
    const receiver = await createHttpReceiver({ body: 'ok' });
    const destination = createDestination(httpPostConfig(receiver.url(), { format, concurrency: 4 }), { config, log });
    return {
      destination,
      refuse: (ids) =>
        receiver.script(({ body }) => {
          const id = format === 'json' ? String(JSON.parse(body).id) : new URLSearchParams(body).get('id');
          return ids.has(id ?? '') ? { status: 500, body: 'no' } : { body: 'ok' };
        }),
      hang: () => receiver.script({ kind: 'hang' }),
      [Symbol.asyncDispose]: async () => {
        await destination.close();
        await receiver.close();
      },
    };
  });
}

for (const type of ['drop_from_queue', 'leave_in_queue'] as const) {
  describeDestination(type, async (): Promise<Subject> => {
    const destination = createDestination({ type }, { config, log });
    return { destination, refuse: null, hang: null, [Symbol.asyncDispose]: () => destination.close() };
  });
}
