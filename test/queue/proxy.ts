// Between the settler and PostgreSQL: lets a COMMIT through, swallows its answer and cuts the connection, which is the
// one fault after which a client cannot know what happened.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface CommitSwallower extends AsyncDisposable {
  /** The database's URL, through the proxy. */
  readonly url: string;
  /** How many answers were swallowed. */
  readonly swallowed: number;
  /** The next COMMIT, or statement that commits by itself, gets no answer. */
  arm(): void;
}

/** @param databaseUrl with `host=` naming the folder of the server's Unix socket. */
export async function createCommitSwallower(databaseUrl: string): Promise<CommitSwallower> {
  const { pathname, searchParams } = new URL(databaseUrl.replace('@/', '@localhost/'));
  const socketPath = `${searchParams.get('host')}/.s.PGSQL.5432`;
  const sockets = new Set<Socket>();
  let armed = false;
  let swallowed = 0;
  const server = createServer((client) => {
    const upstream = connect(socketPath);
    let swallowing = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (data) => {
      if (armed && /COMMIT|settle_gone/.test(data.toString('latin1'))) {
        armed = false;
        swallowing = true;
      }
      upstream.write(data);
    });
    upstream.on('data', (data) => {
      if (!swallowing) return void client.write(data);
      swallowed += 1;
      client.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // TCP, not a pipe
  return {
    url: `postgresql://postgres@127.0.0.1:${port}${pathname}`,
    get swallowed() {
      return swallowed;
    },
    arm: () => {
      armed = true;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
