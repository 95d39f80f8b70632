// A proxy on a free port of 127.0.0.1. Whatever host it is asked for, it leads to the port that the test gives: names
// that nobody can look up are reached through it, and nothing leaves this machine.

import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';

export interface ProxyServer extends AsyncDisposable {
  readonly port: number;
  /** Request lines and the headers that are for the proxy. */
  readonly asked: {
    readonly line: string;
    readonly host: string | undefined;
    readonly authorization: string | undefined;
  }[];
  /** How many connections are open. */
  readonly openConnections: number;
}

export interface ProxyOptions {
  /** Where every tunnel and every request ends. */
  readonly port: number;
  /** Answers each request with this status instead. */
  readonly refuseWith?: number;
  /** Takes a tunnel's request and says nothing. */
  readonly silent?: boolean;
  readonly tls?: { readonly key: string; readonly cert: string };
}

/** Starts a proxy. */
export async function createProxyServer(options: ProxyOptions): Promise<ProxyServer> {
  const asked: ProxyServer['asked'] = [];
  const sockets = new Set<Socket>();
  const note = ({ method, url, headers }: IncomingMessage): void => {
    asked.push({ line: `${method} ${url}`, host: headers.host, authorization: headers['proxy-authorization'] });
  };
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  };

  const server = options.tls ? createTlsServer(options.tls) : createServer();
  server.on('connection', keep);
  server.on('request', (message: IncomingMessage, response) => {
    note(message);
    if (options.refuseWith) {
      message.resume();
      response.writeHead(options.refuseWith).end('proxy says no');
      return;
    }
    const { pathname, search } = new URL(message.url ?? '');
    const onward = request({
      port: options.port,
      host: '127.0.0.1',
      method: message.method,
      path: pathname + search,
      headers: message.headers,
    });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    message.pipe(onward);
  });
  server.on('connect', (message: IncomingMessage, socket: Socket) => {
    note(message);
    if (options.silent) {
      // Who does not read does not notice that the other side has left.
      socket.resume().on('end', () => socket.destroy());
      return;
    }
    if (options.refuseWith) {
      socket.end(`HTTP/1.1 ${options.refuseWith} No\r\n\r\n`);
      return;
    }
    const onward = connect(options.port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(socket);
      socket.pipe(onward);
    });
    keep(onward);
    onward.on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    // Not a pipe: an address of TCP has a port.
    port: (server.address() as AddressInfo).port,
    asked,
    get openConnections() {
      return sockets.size;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
