// Between the program and any server: loses the answer to a request, hangs up on one, or falls silent.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Socket } from 'node:net';

export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** Connections made so far. */
  readonly connections: number;
  /** Pieces of data that came from clients. */
  readonly requests: number;
  /** The next request that contains this text reaches the server, whose answer is lost with the connection. Once. */
  loseAnswerTo(text: string): void;
  /** Passes nothing on in either direction. */
  silent: boolean;
}

/**
 * Starts a proxy on a port of its own.
 *
 * @param refuses whether it hangs up on a piece of data from a client instead of passing it on.
 */
export async function createTcpProxy(
  upstream: NetConnectOpts,
  refuses: (request: Buffer) => boolean = () => false,
): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let connections = 0;
  let requests = 0;
  let silent = false;
  let fatal: string | null = null;

  const server = createServer({ noDelay: true }, (client) => {
    connections += 1;
    const far = connect(upstream);
    let losing = false;
    const cut = (): void => {
      client.destroy();
      far.destroy();
    };
    for (const socket of [client, far]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        cut();
      });
    }
    client.on('data', (data) => {
      requests += 1;
      if (silent) return;
      if (refuses(data)) return cut();
      if (fatal !== null && data.includes(fatal)) {
        fatal = null;
        losing = true;
      }
      far.write(data);
    });
    far.on('data', (data) => {
      if (losing) cut();
      else if (!silent) client.write(data);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port, // TCP has a port
    get connections() {
      return connections;
    },
    get requests() {
      return requests;
    },
    get silent() {
      return silent;
    },
    set silent(value) {
      silent = value;
    },
    loseAnswerTo(text) {
      fatal = text;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
