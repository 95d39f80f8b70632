// Between the program and PostgreSQL: knows where statements and their answers end, so that a test can kill the program,
// cut the connection or fall silent at each of these boundaries, also between an executed COMMIT and its answer.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type Side = 'request' | 'answer';

export interface Boundary {
  /** `request`: the n-th statement does not reach the server. `answer`: it was executed, but nobody hears of it. */
  readonly side: Side;
  /** From 1, over all connections. */
  readonly n: number;
  /** Called once, instead of passing it on. */
  readonly act: (connection: ProxiedConnection) => void;
}

export interface ProxiedConnection {
  /** Ends it on both sides. */
  cut(): void;
}

export interface Proxy extends AsyncDisposable {
  /** The database's URL through the proxy. */
  readonly url: string;
  /** Statements seen so far. */
  readonly statements: number;
  /** Passes nothing on in either direction, on old connections and on new ones, until it is false again. */
  blackHole: boolean;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Length of a message without its type octet, at this offset: the startup message has no type. */
const LENGTH_BYTES = 4;
const QUERY = 0x51; // 'Q'
const SYNC = 0x53; // 'S'
const READY = 0x5a; // 'Z'

/** @param databaseUrl with `host=` naming the folder of the server's Unix socket. */
export async function createProxy(databaseUrl: string, boundary?: Boundary): Promise<Proxy> {
  const { pathname, searchParams } = new URL(databaseUrl.replace('@/', '@localhost/'));
  const socketPath = `${searchParams.get('host')}/.s.PGSQL.5432`;
  const sockets = new Set<Socket>();
  const counts = { request: 0, answer: 0 };
  let blackHole = false;
  const swallowed: (() => void)[] = [];

  const pass = (to: Socket, bytes: Buffer): void => {
    if (blackHole) swallowed.push(() => to.destroy());
    else to.write(bytes);
  };
  // Messages are passed on one by one: Nagle's algorithm would hold each up for 40 ms.
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect(socketPath);
    const cut = (): void => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        cut();
      });
    }
    const relay = (from: Socket, to: Socket, side: Side, ends: (type: number) => boolean): void => {
      const messages = createFramer(side === 'request');
      from.on('data', (data: Buffer) => {
        for (const { type, bytes } of messages(data)) {
          if (ends(type)) {
            counts[side] += 1;
            if (boundary?.side === side && boundary.n === counts[side]) {
              boundary.act({ cut });
              return;
            }
          }
          if (!to.destroyed) pass(to, bytes);
        }
      });
    };
    relay(client, upstream, 'request', (type) => type === QUERY || type === SYNC);
    relay(upstream, client, 'answer', (type) => type === READY);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // TCP has a port
  return {
    url: `postgresql://postgres@127.0.0.1:${port}${pathname}`,
    get statements() {
      return counts.request;
    },
    get blackHole() {
      return blackHole;
    },
    set blackHole(value) {
      blackHole = value;
      // What was swallowed is missing from its stream: these connections can only end.
      if (!value) for (const end of swallowed.splice(0)) end();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Cuts a stream into whole messages. `startsUntyped`: a client's first message bears no type. */
function createFramer(startsUntyped: boolean): (data: Buffer) => { readonly type: number; readonly bytes: Buffer }[] {
  let rest: Buffer = Buffer.alloc(0);
  let typed = !startsUntyped;
  return (data) => {
    rest = Buffer.concat([rest, data]);
    const messages: { readonly type: number; readonly bytes: Buffer }[] = [];
    for (;;) {
      const typeBytes = typed ? 1 : 0;
      if (rest.length < typeBytes + LENGTH_BYTES) return messages;
      const end = typeBytes + rest.readUInt32BE(typeBytes);
      if (rest.length < end) return messages;
      messages.push({ type: typed ? (rest[0] ?? 0) : 0, bytes: rest.subarray(0, end) });
      rest = rest.subarray(end);
      typed = true;
    }
  };
}
