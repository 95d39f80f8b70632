// Batches (SPEC 6): one POST with a JSON array, accepted or refused whole, cut in halves only where the events may be to
// blame.

import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { batchKey, cutBatches, MAX_BATCH_BYTES } from '../../src/destinations/http-batch.ts';
import { type Answer, createHttpReceiver, type ReceivedRequest } from '../helpers/http-receiver.ts';
import { httpPost, NEVER, sampleEvent } from './samples.ts';

const events = (count: number) => Array.from({ length: count }, (_, id) => sampleEvent({ id: String(id + 1) }));
const memberOf = (body: string, key: string) => ({ body: Buffer.from(body), key });
const batchOf = (maxEvents: number) => ({ batch: { maxEvents, maxWaitMs: 0 } });
const idsOf = ({ body }: ReceivedRequest): number[] => JSON.parse(body).map(({ id }: { id: number }) => id);
const refusingIds = (status: number, ...bad: readonly number[]) => {
  return (request: ReceivedRequest): Answer =>
    idsOf(request).some((id) => bad.includes(id)) ? { status, body: 'bad event' } : {};
};

test('a batch is one POST with an array of exactly what single POSTs send', async () => {
  await using receiver = await createHttpReceiver();
  await using single = httpPost(receiver.url());
  await using batched = httpPost(receiver.url(), batchOf(100));
  const three = [...events(2), sampleEvent({ id: '3', email: 'ü💥 日本', headers: '{"a": "é"}' })];
  expect(await single.deliver(three, NEVER)).toHaveLength(3);
  const bodies = receiver.requests.map(({ body }) => body);
  expect(await batched.deliver(three, NEVER)).toEqual([{ ok: true }, { ok: true }, { ok: true }]);
  expect(receiver.requests).toHaveLength(4);
  expect(receiver.requests[3]?.headers['content-type']).toBe('application/json');
  expect(receiver.requests[3]?.body).toBe(`[${bodies.toSorted().join(',')}]`);
});

test('a batch of one event is an array too', async () => {
  await using receiver = await createHttpReceiver();
  await using destination = httpPost(receiver.url(), batchOf(100));
  expect(await destination.errorOf(sampleEvent({ id: '7' }))).toBeNull();
  expect(receiver.requests.map(idsOf)).toEqual([[7]]);
});

test('the key of a batch is the SHA-256 of its keys, one a line, the same in every attempt', async () => {
  await using receiver = await createHttpReceiver({ status: 503 });
  await using destination = httpPost(receiver.url(), batchOf(100));
  const batch = [sampleEvent({ id: '1', event_unique_id: 'a' }), sampleEvent({ id: '2', server_id: 'mta' })];
  for (let attempt = 0; attempt < 2; attempt += 1) await destination.deliver(batch, NEVER);
  const key = createHash('sha256').update('a\nmta:2').digest('hex');
  expect(receiver.requests.map(({ headers }) => headers['idempotency-key'])).toEqual([key, key]);
  expect(batchKey([memberOf('{}', 'a')])).not.toBe(batchKey([memberOf('{}', 'b')]));
});

test('a batch holds at most max_events', async () => {
  await using receiver = await createHttpReceiver();
  await using destination = httpPost(receiver.url(), batchOf(4));
  expect(destination.maxBatchEvents).toBe(4);
  expect(await destination.deliver(events(10), NEVER)).toEqual(events(10).map(() => ({ ok: true })));
  expect(receiver.requests.map(idsOf).toSorted((a, b) => (a[0] ?? 0) - (b[0] ?? 0))).toEqual([
    [1, 2, 3, 4],
    [5, 6, 7, 8],
    [9, 10],
  ]);
});

test('a batch is cut at 4 MiB, and a larger event goes alone', () => {
  const member = (bytes: number) => memberOf('x'.repeat(bytes), 'k');
  const cut = (...sizes: readonly number[]) =>
    cutBatches(sizes.map(member), 100).map((batch) => batch.map(({ body }) => body.length));
  const half = MAX_BATCH_BYTES / 2;
  expect(cut(half, half - 3)).toEqual([[half, half - 3]]);
  expect(cut(half, half - 2)).toEqual([[half], [half - 2]]);
  expect(cut(1, MAX_BATCH_BYTES * 2, 1, 1)).toEqual([[1], [MAX_BATCH_BYTES * 2], [1, 1]]);
  expect(cutBatches([memberOf('é'.repeat(half), 'k'), member(1)], 100)).toHaveLength(2);
});

test.each([400, 413, 422])('status %i is bisected until the event to blame stands alone', async (status) => {
  await using receiver = await createHttpReceiver(refusingIds(status, 3, 14));
  await using destination = httpPost(receiver.url(), batchOf(16));
  const results = await destination.deliver(events(16), NEVER);
  const refused = {
    ok: false,
    error: expect.stringContaining(`HTTP ${status}`),
    status,
    blame: 'event',
    answer: 'bad event',
  };
  expect(results).toEqual(events(16).map(({ id }) => (['3', '14'].includes(id) ? refused : { ok: true })));
  const accepted = receiver.requests.map(idsOf).filter((ids) => !ids.includes(3) && !ids.includes(14));
  expect(accepted.flat().toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 16 }, (_, at) => at + 1).filter((id) => id !== 3 && id !== 14),
  );
});

test.each([401, 403, 404, 410, 429, 500, 503, 302])('status %i fails a batch whole, in one request', async (status) => {
  await using receiver = await createHttpReceiver({ status });
  await using destination = httpPost(receiver.url(), batchOf(16));
  const results = await destination.deliver(events(16), NEVER);
  expect(results.map((result) => !result.ok && result.status)).toEqual(events(16).map(() => status));
  expect(results.some((result) => 'blame' in result)).toBe(false);
  expect(receiver.requests).toHaveLength(1);
});

test('a connection that breaks fails a batch whole', async () => {
  await using receiver = await createHttpReceiver({ kind: 'reset', when: 'before-headers' });
  await using destination = httpPost(receiver.url(), batchOf(16));
  const results = await destination.deliver(events(16), NEVER);
  expect(results.map(({ ok }) => ok)).toEqual(events(16).map(() => false));
  expect(receiver.requests).toHaveLength(1);
});

test('a receiver that dies while a batch is bisected keeps what it has accepted', async () => {
  await using receiver = await createHttpReceiver((_, index) =>
    index === 0 ? { status: 422 } : index === 1 ? {} : { status: 500 },
  );
  await using destination = httpPost(receiver.url(), batchOf(4));
  const results = await destination.deliver(events(4), NEVER);
  expect(results.map(({ ok }) => ok)).toEqual([true, true, false, false]);
  expect(receiver.requests.map(idsOf)).toEqual([
    [1, 2, 3, 4],
    [1, 2],
    [3, 4],
  ]);
});

test('an abort while a batch is bisected ends it', async () => {
  await using receiver = await createHttpReceiver((_, index) => (index === 0 ? { status: 400 } : { kind: 'hang' }));
  await using destination = httpPost(receiver.url(), batchOf(4));
  const abort = new AbortController();
  const under = destination.deliver(events(4), { signal: abort.signal });
  await receiver.waitForRequests(2);
  abort.abort();
  expect((await under).map((result) => !result.ok && result.error)).toEqual(
    Array.from({ length: 4 }, () => 'aborted before the destination answered'),
  );
  expect(receiver.requests).toHaveLength(2);
});

test.each([400, 413, 422])('status %i to a single event blames the event, and no other status does', async (status) => {
  await using receiver = await createHttpReceiver({ status });
  for (const format of ['json', 'form'] as const) {
    await using destination = httpPost(receiver.url(), { format });
    expect(await destination.deliver([sampleEvent()], NEVER)).toMatchObject([{ status, blame: 'event' }]);
    receiver.script({ status: status + 100 });
    expect((await destination.deliver([sampleEvent()], NEVER))[0]).not.toHaveProperty('blame');
    receiver.script({ status });
  }
});
