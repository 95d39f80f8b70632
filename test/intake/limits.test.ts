import { once } from 'node:events';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { expect, test, vi } from 'vitest';
import { waitFor } from '../helpers/wait-for.ts';
import { createScene, type StartedIntake } from './scene.ts';

// Many processes, each of which takes its time to start on a busy machine.
vi.setConfig({ testTimeout: 180_000 });

const GOOD = '{"event_type":"scomp","email":"a@example.com"}';
const GZIP = { headers: { 'content-encoding': 'gzip' } };

/** Writes text to a connection of its own. @returns what came back when the connection was closed. */
async function raw({ address }: StartedIntake, text: string): Promise<string> {
  const { hostname, port } = new URL(address);
  const socket = connect(Number(port), hostname);
  let answer = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    answer += chunk;
  });
  socket.on('error', () => undefined);
  socket.write(text);
  await once(socket, 'close');
  return answer;
}

const bodyOf = (answer: string): { error: string } => JSON.parse(answer.slice(answer.indexOf('\r\n\r\n')));

test('a gzip body is unpacked, within the bound of a body', async () => {
  const { start, database } = await createScene();
  const { send } = await start(['--max-body-bytes', '100000']);
  expect(await send(gzipSync(`[${GOOD},${GOOD}]`), GZIP)).toMatchObject({ status: 202, body: { recorded: 2 } });
  const bomb = gzipSync(Buffer.alloc(50_000_000, ' '));
  expect(bomb.length).toBeLessThan(100_000);
  expect(await send(bomb, GZIP)).toMatchObject({ status: 413, body: { error: 'too_large' } });
  expect(await send(GOOD, GZIP)).toMatchObject({ status: 400, body: { error: 'invalid_gzip' } });
  expect(await send(GOOD, { headers: { 'content-encoding': 'br' } })).toMatchObject({ status: 415 });
  expect(await database.query('SELECT FROM events')).toHaveLength(2);
});

test('too large a body and too many events are 413, with and without a length', async () => {
  const { start, database } = await createScene();
  const intake = await start(['--max-body-bytes', '1000', '--max-events', '3']);
  const { send } = intake;
  expect(await send(' '.repeat(1_001))).toMatchObject({ status: 413, body: { error: 'too_large' } });
  const head = 'POST /events HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n';
  const chunk = `1f4\r\n${' '.repeat(500)}\r\n`;
  const chunked = await raw(intake, `${head}transfer-encoding: chunked\r\n\r\n${chunk.repeat(3)}0\r\n\r\n`);
  expect(chunked).toMatch(/^HTTP\/1.1 413 /);
  expect(await send(`[${Array(4).fill(GOOD).join()}]`)).toMatchObject({
    status: 413,
    body: { error: 'too_many_events' },
  });
  const lines = { headers: { 'content-type': 'application/jsonl' } };
  expect(await send(`${GOOD}\n`.repeat(4), lines)).toMatchObject({ status: 413 });
  expect(await send(`${GOOD}\n`.repeat(3), lines)).toMatchObject({ status: 202 });
  expect(await database.query('SELECT FROM events')).toHaveLength(3);
});

test('a body that is not said to be JSON is 415, an empty or broken one 400', async () => {
  const { start } = await createScene();
  const intake = await start();
  const { send } = intake;
  const as = (type: string) => ({ headers: { 'content-type': type } });
  expect(await send(GOOD, as('text/plain'))).toMatchObject({ status: 415, body: { error: 'unsupported_type' } });
  for (const odd of [
    'application',
    '/',
    '; charset=utf-8',
    'application/json, text/plain',
    'multipart/form-data; boundary=',
  ]) {
    expect([odd, (await send(GOOD, as(odd))).status]).toEqual([odd, 415]);
  }
  expect(await send(GOOD, as('application/json; charset=latin1'))).toMatchObject({ status: 415 });
  expect(await send(GOOD, as('application/JSON; charset="UTF-8"'))).toMatchObject({ status: 202 });
  const typeless = await raw(
    intake,
    `POST /events HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}`,
  );
  expect(typeless).toMatch(/^HTTP\/1.1 415 /);
  expect(await send(' \n')).toMatchObject({ status: 400, body: { error: 'empty' } });
  expect(await send('\n', as('application/x-ndjson'))).toMatchObject({ status: 400, body: { error: 'empty' } });
  for (const broken of [`[${GOOD}`, `[${GOOD}] ${GOOD}`, '["', '[']) {
    expect(await send(broken)).toMatchObject({ status: 400, body: { error: 'invalid_json' } });
  }
  expect(await send(`[${GOOD} ${GOOD}]`)).toMatchObject({ status: 400, body: { problems: [{ index: 0 }] } });
  expect(await send(`[${GOOD},]`)).toMatchObject({ status: 400, body: { problems: [{ index: 1 }] } });
});

test('other paths are 404, other methods 405, what is no HTTP 400, all in JSON', async () => {
  const { start } = await createScene();
  const intake = await start();
  const { send } = intake;
  expect(await send(GOOD, { path: '/event' })).toMatchObject({ status: 404, body: { error: 'not_found' } });
  for (const method of ['GET', 'PUT', 'DELETE', 'OPTIONS']) {
    const answer = await send(null, { method });
    expect(answer).toMatchObject({ status: 405, headers: { allow: 'POST' }, body: { error: 'method_not_allowed' } });
  }
  expect(await send(GOOD, { path: '/health' })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
  expect(await send(null, { method: 'HEAD', path: '/health' })).toMatchObject({ status: 200 });
  expect(await send(GOOD, { path: '/%' })).toMatchObject({ status: 400, body: { error: 'bad_request' } });
  expect(bodyOf(await raw(intake, 'hello\r\n\r\n')).error).toBe('bad_request');
  const headers = `GET /health HTTP/1.1\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`;
  expect(bodyOf(await raw(intake, headers)).error).toBe('headers_too_large');
});

test('a client that does not send its headers in time is sent away', async () => {
  const { start } = await createScene();
  const intake = await start();
  const answer = await raw(intake, 'POST /events HTTP/1.1\r\nhost: x\r\n');
  expect(answer).toMatch(/^HTTP\/1.1 408 /);
  expect(bodyOf(answer).error).toBe('timeout');
});

test('a client that goes away in the middle of its body leaves nothing behind', async () => {
  const { start, database } = await createScene();
  const intake = await start(['--max-requests', '1']);
  const { hostname, port } = new URL(intake.address);
  const socket = connect(Number(port), hostname);
  socket.write('POST /events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{');
  await waitFor(async () => (await intake.send(GOOD)).status === 429, { what: 'the only place to be taken' });
  socket.destroy();
  await waitFor(async () => (await intake.send(GOOD)).status === 202, { what: 'the place to be free again' });
  expect(await database.query('SELECT FROM events')).not.toEqual([]);
});

test('beyond the requests or bytes that may be under way 429 says when to come again, and nothing is lost', async () => {
  const { start, database } = await createScene();
  const { send } = await start(['--max-requests', '20']);
  const locker = await database.client();
  await locker.query('BEGIN; LOCK TABLE events IN SHARE MODE');
  const large = `{"event_type":"scomp","email":"${'x'.repeat(6_000_000)}"}`;
  const waiting = Array.from({ length: 8 }, () => send(large));
  // 48 MB are held; 64 MiB may be.
  const refused: Promise<unknown>[] = [];
  await waitFor(
    async () => {
      const next = send(large);
      refused.push(next);
      const answer = await Promise.race([next, new Promise((resolve) => setTimeout(resolve, 300))]);
      return answer !== undefined;
    },
    { what: 'a large body to be refused' },
  );
  expect(await refused.at(-1)).toMatchObject({ status: 429, headers: { 'retry-after': '1' }, body: { error: 'busy' } });
  const small = Array.from({ length: 40 }, () => send(GOOD));
  await waitFor(async () => (await send(GOOD)).status === 429, { what: 'small ones to be refused too' });
  await locker.query('ROLLBACK');
  const answers = await Promise.all([...waiting, ...(refused as typeof waiting), ...small]);
  const recorded = answers.filter(({ status }) => status === 202).length;
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202, 429]));
  const [found] = await database.query('SELECT count(*)::int AS n FROM events');
  expect(found?.n).toBe(recorded);
  expect((await send(GOOD)).status).toBe(202);
});
