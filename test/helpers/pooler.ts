// PgBouncer in miniature: clients that are logged in by the pooler itself, and server connections that are given to them
// for the length of a transaction, or of a session. Says a process id of its own, or (as a load balancer that knows
// nothing of sessions does) that of a server.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface PoolerOptions {
  /** What a server connection is given for; may be changed while it runs. */
  mode: 'session' | 'transaction';
  /** Which idle connection is given: the one used last, as PgBouncer does, or each in turn. */
  readonly order: 'last' | 'in turn';
  /** Whether clients are told the process id of a server. */
  readonly honest?: boolean;
}

export interface Pooler extends AsyncDisposable {
  readonly url: string;
  readonly options: PoolerOptions;
}

interface Upstream {
  readonly socket: Socket;
  /** What it said when it was logged in: parameters, process id, readiness. */
  readonly greeting: Buffer;
  user: Client | null;
}

interface Client {
  readonly socket: Socket;
  upstream: Upstream | null;
  /** Statements without an answer. */
  open: number;
}

const QUERY = 0x51;
const SYNC = 0x53;
const READY = 0x5a;
const BACKEND_KEY = 0x4b;
const IDLE = 0x49;

/** @param databaseUrl with `host=` naming the folder of the server's Unix socket. */
export async function createPooler(databaseUrl: string, options: PoolerOptions): Promise<Pooler> {
  const { pathname, searchParams } = new URL(databaseUrl.replace('@/', '@localhost/'));
  const socketPath = `${searchParams.get('host')}/.s.PGSQL.5432`;
  const sockets = new Set<Socket>();
  /** Idle ones; the one used last is the last. */
  const idle: Upstream[] = [];

  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  };

  const logIn = async (): Promise<Upstream> => {
    const socket = connect(socketPath);
    keep(socket);
    await once(socket, 'connect');
    socket.write(startup(pathname.slice(1)));
    const frame = createFramer();
    const greeting: Buffer[] = [];
    await new Promise<void>((resolve) => {
      const onData = (data: Buffer): void => {
        for (const message of frame(data)) {
          greeting.push(message);
          if (message[0] !== READY) continue;
          socket.off('data', onData);
          resolve();
        }
      };
      socket.on('data', onData);
    });
    const upstream: Upstream = { socket, greeting: Buffer.concat(greeting), user: null };
    const frameAnswers = createFramer();
    socket.on('data', (data: Buffer) => {
      for (const message of frameAnswers(data)) onAnswer(upstream, message);
    });
    return upstream;
  };

  const onAnswer = (upstream: Upstream, message: Buffer): void => {
    const client = upstream.user;
    if (client === null) return;
    if (!client.socket.destroyed) client.socket.write(message);
    if (message[0] !== READY) return;
    client.open -= 1;
    if (options.mode === 'transaction' && client.open === 0 && message[5] === IDLE) giveBack(client);
  };

  const giveBack = (client: Client): void => {
    const { upstream } = client;
    client.upstream = null;
    if (upstream === null) return;
    upstream.user = null;
    idle.push(upstream);
  };

  const serve = async (socket: Socket): Promise<void> => {
    keep(socket);
    const client: Client = { socket, upstream: null, open: 0 };
    // A transaction that its client left is ended with its connection.
    socket.on('close', () => {
      client.upstream?.socket.destroy();
      if (client.upstream) client.upstream.user = null;
    });
    const frame = createFramer(true);
    let turn = Promise.resolve();
    let greeted = false;
    const onMessage = async (message: Buffer): Promise<void> => {
      if (!greeted) {
        greeted = true;
        const upstream = await logIn();
        idle.push(upstream);
        socket.write(options.honest ? upstream.greeting : withOtherKey(upstream.greeting));
        return;
      }
      if (client.upstream === null) {
        client.upstream = (options.order === 'last' ? idle.pop() : idle.shift()) ?? (await logIn());
        client.upstream.user = client;
      }
      if (message[0] === QUERY || message[0] === SYNC) client.open += 1;
      client.upstream.socket.write(message);
    };
    socket.on('data', (data: Buffer) => {
      for (const message of frame(data)) {
        turn = turn.then(() => onMessage(message));
      }
    });
  };

  const server = createServer({ noDelay: true }, (socket) => void serve(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // TCP has a port
  return {
    url: `postgresql://postgres@127.0.0.1:${port}${pathname}`,
    options,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function startup(database: string): Buffer {
  const body = Buffer.from(`\0\x03\0\0user\0postgres\0database\0${database}\0application_name\0tailrace\0\0`, 'latin1');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length + 4);
  return Buffer.concat([length, body]);
}

function withOtherKey(greeting: Buffer): Buffer {
  const messages = createFramer()(greeting).map((message) => {
    if (message[0] !== BACKEND_KEY) return message;
    const other = Buffer.from(message);
    other.writeUInt32BE(1_234_567, 5);
    return other;
  });
  return Buffer.concat(messages);
}

/** Cuts a stream into whole messages. `startsUntyped`: a client's first message bears no type. */
function createFramer(startsUntyped = false): (data: Buffer) => Buffer[] {
  let rest: Buffer = Buffer.alloc(0);
  let typeBytes = startsUntyped ? 0 : 1;
  return (data) => {
    rest = Buffer.concat([rest, data]);
    const messages: Buffer[] = [];
    while (rest.length >= typeBytes + 4) {
      const end = typeBytes + rest.readUInt32BE(typeBytes);
      if (rest.length < end) break;
      messages.push(rest.subarray(0, end));
      rest = rest.subarray(end);
      typeBytes = 1;
    }
    return messages;
  };
}
