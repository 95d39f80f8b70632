import { pino } from 'pino';
import { createDestination } from '../../src/destinations/create-destination.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { describeDestination, type Subject } from './contract.ts';
import { httpPostConfig } from './samples.ts';

const others = { key: 'hook', logger: pino({ enabled: false }) };
const config = { httpKeepAlive: 10, httpUserAgent: 'tailrace/0.0.0', expandJsonColumns: [] };

const WAYS = [
  ['form', { format: 'form' }],
  ['json', {}],
  ['json, compressed', { compress: true }],
  ['batches', { batch: { maxEvents: 3, maxWaitMs: 0 } }],
  ['batches, compressed', { batch: { maxEvents: 100, maxWaitMs: 0 }, compress: true }],
] as const;

for (const [name, settings] of WAYS) {
  describeDestination(`http_post, ${name}`, async (): Promise<Subject> => {
    const receiver = await createHttpReceiver({ body: 'ok' });
    const destination = createDestination(httpPostConfig(receiver.url(), { concurrency: 4, ...settings }), {
      config,
      ...others,
    });
    return {
      destination,
      refuse: (ids) =>
        receiver.script(({ body }) => {
          const refused = idsIn(body).some((id) => ids.has(id));
          // A batch is told what is wrong with it; a single event is refused either way.
          return refused ? { status: 'batch' in settings ? 422 : 500, body: 'no' } : { body: 'ok' };
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
    const destination = createDestination({ type }, { config, ...others });
    return { destination, refuse: null, hang: null, [Symbol.asyncDispose]: () => destination.close() };
  });
}

/** The ids of the events in a body, whatever its form. */
function idsIn(body: string): readonly string[] {
  if (!/^[[{]/.test(body)) return [new URLSearchParams(body).get('id') ?? ''];
  return [JSON.parse(body)].flat().map(({ id }) => String(id));
}
