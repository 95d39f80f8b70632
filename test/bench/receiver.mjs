// The receiver of the bench, in a process of its own: takes every POST, answers 200, and remembers no more than it is
// asked to. Talks to the bench over the channel of `fork`; receiver.ts is the other end.

import { createServer } from 'node:http';

const port = Number(process.argv[2] ?? 0);
let bodies = [];
let captured = 0;
let timed = false;
let times = [];
/** By path: requests, and the clock (nanoseconds, that of all processes) at the first and the last answer. */
let paths = {};

const clear = ({ capture = 0, times: wanted = false }) => {
  bodies = [];
  captured = capture;
  timed = wanted;
  times = [];
  paths = {};
};

const server = createServer((request, response) => {
  const arrivedAt = timed ? Number(process.hrtime.bigint()) : 0;
  const keep = bodies.length < captured;
  const chunks = [];
  request.on('data', (chunk) => {
    if (keep) chunks.push(chunk);
  });
  request.on('end', () => {
    if (request.url === '/hang') return;
    if (keep) bodies.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
    response.writeHead(200, { 'content-length': 2 });
    response.end('ok');
    const now = Number(process.hrtime.bigint());
    paths[request.url] ??= { requests: 0, firstNs: now, lastNs: now };
    const path = paths[request.url];
    path.requests += 1;
    path.lastNs = now;
    if (timed) times.push([String(request.headers['idempotency-key']), arrivedAt, now]);
  });
});
// Idle connections stay: what is measured is requests.
server.keepAliveTimeout = 0;
server.listen(port, '127.0.0.1', () => process.send({ port: server.address().port }));

process.on('message', (message) => {
  if (message.ask === 'clear') clear(message);
  // Not a word to anybody after the last report.
  if (message.ask === 'end') server.close().closeAllConnections();
  process.send({ paths, bodies, times }, () => {
    if (message.ask === 'end') process.exit();
  });
  // Handed over once.
  times = [];
});
process.on('disconnect', () => process.exit());
