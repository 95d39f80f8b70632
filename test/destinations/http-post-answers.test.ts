// FAULTS H1, H3 and H4: what counts as accepted, and what the error says of everything else.

import { describe, expect, test } from 'vitest';
import { type Answer, createHttpReceiver, failingWithProbability, inTurn } from '../helpers/http-receiver.ts';
import { httpPost, NEVER, sampleEvent } from './samples.ts';

const FORMATS = ['json', 'form'] as const;

async function errorOf(answer: Answer, format: 'json' | 'form'): Promise<string | null> {
  await using receiver = await createHttpReceiver(answer);
  await using destination = httpPost(receiver.url(), { format });
  return await destination.errorOf();
}

async function retryAfterOf(value: string, status = 503): Promise<number | undefined> {
  await using receiver = await createHttpReceiver({ status, headers: { 'retry-after': value } });
  await using destination = httpPost(receiver.url());
  const [result] = await destination.deliver([sampleEvent()], NEVER);
  return result?.ok === false ? result.retryAfterMs : undefined;
}

test('a JSON event goes out as a POST with its headers', async () => {
  await using receiver = await createHttpReceiver();
  await using destination = httpPost(receiver.url('/hook/a?b=c#d'), {}, { httpUserAgent: 'acme/1 (tëst)' });
  await destination.deliver([sampleEvent({ event_unique_id: 'u-1' })], NEVER);
  expect(receiver.requests).toMatchObject([
    {
      method: 'POST',
      url: '/hook/a?b=c',
      headers: {
        'content-type': 'application/json',
        'idempotency-key': 'u-1',
        'user-agent': 'acme/1 (t%C3%ABst)',
        'accept-encoding': 'identity',
      },
    },
  ]);
  expect(receiver.requests[0]?.headers).not.toHaveProperty('authorization');
  expect(JSON.parse(receiver.requests[0]?.body ?? '')).toMatchObject({ id: 1, event_type: 'bounce_all', email: null });
});

test('a form event goes out as form parameters', async () => {
  await using receiver = await createHttpReceiver({ body: 'ok' });
  await using destination = httpPost(receiver.url(), { format: 'form' });
  expect(await destination.errorOf(sampleEvent({ email: 'ü@example.com' }))).toBeNull();
  expect(receiver.requests[0]?.headers['content-type']).toBe('application/x-www-form-urlencoded');
  expect(new URLSearchParams(receiver.requests[0]?.body).get('email')).toBe('ü@example.com');
});

test('user information in the URL becomes basic authentication', async () => {
  await using receiver = await createHttpReceiver();
  await using destination = httpPost(receiver.url().replace('//', '//us%40er:p%C3%A4ss@'));
  await destination.errorOf();
  expect(receiver.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from('us@er:päss').toString('base64')}`);
});

describe('a JSON event is accepted', () => {
  test.each([200, 201, 202, 204, 299])('by status %i, whatever the body', async (status) => {
    expect(await errorOf({ status, body: status === 204 ? '' : 'error' }, 'json')).toBeNull();
  });

  test('when the headers arrive, though the body never ends, drips, is huge, breaks off or is a bomb', async () => {
    const answers: Answer[] = [
      { kind: 'endless' },
      { kind: 'drip', body: 'never mind'.repeat(100) },
      { body: Buffer.alloc(5_000_000) },
      { kind: 'reset', when: 'after-headers' },
      { kind: 'reset', when: 'mid-body' },
      { kind: 'cut-off' },
      { kind: 'gzip-bomb', bytes: 100_000_000 },
    ];
    await using receiver = await createHttpReceiver(inTurn(...answers));
    await using destination = httpPost(receiver.url(), { concurrency: 1 });
    for (const answer of answers) expect(await destination.errorOf(), answer.kind).toBeNull();
  });

  test('after informational answers', async () => {
    const text = 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
    expect(await errorOf({ kind: 'raw', text }, 'json')).toBeNull();
  });
});

describe('a form event is accepted', () => {
  test.each(['ok', ' ok', 'ok\r\n', '\n\t ok \v\f\n'])('by the body %j', async (body) => {
    expect(await errorOf({ body }, 'form')).toBeNull();
  });

  test('by a body that drips in, inside the deadline', async () => {
    expect(await errorOf({ kind: 'drip', body: ' ok\n', everyMs: 10 }, 'form')).toBeNull();
  });

  test.each([
    ['', 'empty body'],
    ['  ', 'blank body'],
    ['OK', 'OK'],
    ['k', 'k'],
    ['o', 'o'],
    ['okay', 'okay'],
    ['ok ok', 'ok ok'],
    ['"ok"', '"ok"'],
    ['\u00a0ok', 'ok'],
    ['ok\0', 'ok\\x00'],
    ['error: no such list\nat line 3', 'error: no such list at line 3'],
    ['\u001b[2J\u202eko', '\\x1b[2J\\u{202e}ko'],
  ])('not by the body %j, which the error quotes', async (body, quote) => {
    expect(await errorOf({ body }, 'form')).toBe(`HTTP 200 OK, but the body is not "ok": ${quote}`);
  });

  test('not by ok in an answer that is no success', async () => {
    expect(await errorOf({ status: 500, body: 'ok' }, 'form')).toBe('HTTP 500 Internal Server Error: ok');
  });

  test('not by a body that is huge, a bomb or broken off', async () => {
    expect(await errorOf({ body: `ok${' '.repeat(70_000)}` }, 'form')).toBe(
      'HTTP 200 OK, but the body is not "ok": ok',
    );
    expect(await errorOf({ kind: 'endless' }, 'form')).toContain(`not "ok": ${'x'.repeat(100)}…`);
    expect(await errorOf({ kind: 'gzip-bomb', bytes: 50_000_000 }, 'form')).toContain('compressed with gzip');
    expect(await errorOf({ kind: 'cut-off' }, 'form')).toMatch(/closed the connection while reading the answer$/);
    expect(await errorOf({ kind: 'reset', when: 'mid-body' }, 'form')).toMatch(/while reading the answer$/);
  });
});

describe.each(FORMATS)('a %s event is refused', (format) => {
  test.each([
    [500, 'HTTP 500 Internal Server Error: boom'],
    [503, 'HTTP 503 Service Unavailable: boom'],
    [404, 'HTTP 404 Not Found: boom'],
    [400, 'HTTP 400 Bad Request: boom'],
    [599, 'HTTP 599 unknown: boom'],
  ])('by status %i, with the first of the body', async (status, error) => {
    expect(await errorOf({ status, body: 'boom' }, format)).toBe(error);
  });

  test('by 410, with the hint that it is for good', async () => {
    expect(await errorOf({ status: 410 }, format)).toMatch(/^HTTP 410 Gone: .*change or remove the destination/);
  });

  test('in one line of bounded length, whatever the body', async () => {
    const error = await errorOf({ status: 500, body: '<html>\r\n\u2028 ü💥'.repeat(10_000) }, format);
    expect(error).toMatch(/^HTTP 500 Internal Server Error: <html> ü💥<html>[^\n\u2028]{50,150}…$/);
  });

  test('by a refusal whose body breaks off or never comes, with its status', async () => {
    expect(await errorOf({ kind: 'cut-off', status: 503 }, format)).toBe('HTTP 503 Any: o');
    expect(await errorOf({ kind: 'reset', status: 500, when: 'after-headers' }, format)).toMatch(/^HTTP 500 Any: /);
    expect(await errorOf({ kind: 'endless', status: 500 }, format)).toMatch(
      /^HTTP 500 Internal Server Error: x{100}…$/,
    );
    expect(await errorOf({ kind: 'drip', status: 500, body: 'abcdef', everyMs: 700 }, format)).toMatch(
      /^HTTP 500 .*: a$/,
    );
  });

  test('by headers without end', async () => {
    expect(await errorOf({ kind: 'header-flood', count: 1_000_000 }, format)).toMatch(/headers .* too large$/);
  });

  test('by what is not HTTP', async () => {
    expect(await errorOf({ kind: 'raw', text: '220 smtp.example.com ESMTP\r\n' }, format)).toMatch(/HTTP\/1\.1/);
  });

  test('by a redirect, which is not followed and whose target is shown without secrets', async () => {
    await using receiver = await createHttpReceiver(({ url }) =>
      url === '/hook'
        ? { status: 302, headers: { location: '//u:canary@127.0.0.1:1/next?k=canary#canary' } }
        : { body: 'ok' },
    );
    await using destination = httpPost(receiver.url(), { format });
    expect(await destination.errorOf()).toMatch(
      /^HTTP 302 Found: redirect to http:\/\/127\.0\.0\.1:1\/next not followed/,
    );
    receiver.script({ status: 308, headers: { location: 'again?x' } });
    expect(await destination.errorOf()).toContain(`redirect to ${receiver.url('/again')} not followed`);
    receiver.script({ status: 301, headers: { location: 'http://[' } });
    expect(await destination.errorOf()).toContain('redirect to an invalid address not followed');
    expect(receiver.requests.map(({ url }) => url)).toEqual(['/hook', '/hook', '/hook']);
  });
});

test('Retry-After of 429 and 503 is passed on, as seconds or as a date', async () => {
  expect(await retryAfterOf('120')).toBe(120_000);
  expect(await retryAfterOf(' 0 ', 429)).toBe(0);
  expect(await retryAfterOf('9'.repeat(400))).toBe(Number.MAX_SAFE_INTEGER);
  const inAMinute = await retryAfterOf(new Date(Date.now() + 60_000).toUTCString());
  expect(inAMinute).toBeGreaterThan(50_000);
  expect(inAMinute).toBeLessThanOrEqual(60_000);
  expect(await retryAfterOf('Wed, 21 Oct 2015 07:28:00 GMT')).toBe(0);
});

test('Retry-After is ignored where it is no such thing', async () => {
  expect(await retryAfterOf('soon')).toBeUndefined();
  expect(await retryAfterOf('-1')).toBeUndefined();
  expect(await retryAfterOf('1.5')).toBeUndefined();
  expect(await retryAfterOf('120', 500)).toBeUndefined();
});

test.each(FORMATS)('a %s receiver that fails half the time gives each event its own result', async (format) => {
  const script = failingWithProbability(0.5, 42, { status: 500 }, { body: 'ok' });
  const answered = new Map<string, boolean>();
  await using receiver = await createHttpReceiver((request, index) => {
    const answer = script(request, index);
    answered.set(String(request.headers['idempotency-key']), 'status' in answer === false);
    return answer;
  });
  await using destination = httpPost(receiver.url(), { format });
  const events = Array.from({ length: 200 }, (_, id) => sampleEvent({ id: String(id) }));
  const results = await destination.deliver(events, NEVER);
  expect(results.map(({ ok }) => ok)).toEqual(events.map(({ id }) => answered.get(id)));
  expect(new Set(answered.values())).toEqual(new Set([true, false]));
});
