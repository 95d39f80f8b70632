// As much of a Microsoft SQL Server as its wire protocol needs (MS-TDS): logging in, transactions, sp_executesql, rows and
// errors. It understands no SQL: the test says what is answered, and sees what was sent.

import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

/** What the server was asked, in order. */
export type TdsCall =
  | { readonly kind: 'begin' | 'commit' | 'rollback' }
  | { readonly kind: 'execute'; readonly sql: string; readonly values: readonly (string | null)[] };

export type TdsAnswer =
  | { readonly rows?: readonly (readonly (string | boolean | null)[])[]; readonly columns?: readonly string[] }
  | { readonly error: number; readonly message: string }
  /** Never answers. */
  | 'hang'
  /** Ends the connection. */
  | 'reset';

export interface TdsServer extends AsyncDisposable {
  readonly url: string;
  readonly calls: readonly TdsCall[];
}

const PACKET = {
  batch: 0x01,
  rpc: 0x03,
  answer: 0x04,
  attention: 0x06,
  transaction: 0x0e,
  login: 0x10,
  prelogin: 0x12,
};
const HEADER_BYTES = 8;
const END_OF_MESSAGE = 1;
const BEGIN = 0x05;
const COMMIT = 0x07;
const COLLATION = Buffer.from([0x09, 0x04, 0xd0, 0x00, 0x34]);
const TRANSACTION = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);

/** Starts a server. `answer` is asked for each statement, and for begin, commit and rollback. */
export async function createTdsServer(
  answer: (call: TdsCall) => TdsAnswer,
  options: { readonly password?: string } = {},
): Promise<TdsServer> {
  const calls: TdsCall[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    const send = (...tokens: readonly Buffer[]): void => {
      const body = Buffer.concat(tokens);
      const header = Buffer.alloc(HEADER_BYTES);
      header.writeUInt8(PACKET.answer, 0);
      header.writeUInt8(END_OF_MESSAGE, 1);
      header.writeUInt16BE(HEADER_BYTES + body.length, 2);
      socket.write(Buffer.concat([header, body]));
    };
    const respond = (call: TdsCall, good: readonly Buffer[]): void => {
      calls.push(call);
      const given = answer(call);
      if (given === 'hang') return;
      if (given === 'reset') socket.destroy();
      else if ('error' in given) send(errorToken(given.error, given.message), done(0x02));
      else if (given.columns) send(columnsToken(given), ...(given.rows ?? []).map(rowToken), done());
      else send(...good, done());
    };
    readMessages(socket, (type, body) => {
      switch (type) {
        case PACKET.prelogin:
          return send(PRELOGIN);
        case PACKET.login:
          if (options.password === undefined || passwordOf(body) === options.password) return send(loginAck(), done());
          return send(errorToken(18456, "Login failed for user 'sa'."), done(0x02));
        case PACKET.batch:
          return send(done());
        case PACKET.attention:
          return send(done(0x20));
        case PACKET.transaction: {
          const operation = body.readUInt16LE(body.readUInt32LE(0));
          if (operation === BEGIN) return respond({ kind: 'begin' }, [transactionToken(8, TRANSACTION, NOTHING)]);
          if (operation === COMMIT) return respond({ kind: 'commit' }, [transactionToken(9, NOTHING, TRANSACTION)]);
          return respond({ kind: 'rollback' }, [transactionToken(10, NOTHING, TRANSACTION)]);
        }
        case PACKET.rpc: {
          const [sql, , ...values] = readParameters(body);
          return respond({ kind: 'execute', sql: sql ?? '', values }, []);
        }
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // TCP has a port
  return {
    url: `mssql://sa:${options.password ?? 'Sq1-s3cret'}@127.0.0.1:${port}/crm?encrypt=false`,
    calls,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

const NOTHING = Buffer.alloc(0);

/** VERSION 16.0 and ENCRYPTION "not supported". */
const PRELOGIN = Buffer.from([0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 16, 0, 0, 0, 0, 0, 2]);

function readMessages(socket: Socket, onMessage: (type: number, body: Buffer) => void): void {
  let rest: Buffer = NOTHING;
  let parts: Buffer[] = [];
  socket.on('data', (data: Buffer) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= HEADER_BYTES && rest.length >= rest.readUInt16BE(2)) {
      const end = rest.readUInt16BE(2);
      parts.push(rest.subarray(HEADER_BYTES, end));
      const [type = 0, status = 0] = rest;
      rest = rest.subarray(end);
      if ((status & END_OF_MESSAGE) === 0) continue;
      const body = Buffer.concat(parts);
      parts = [];
      onMessage(type, body);
    }
  });
}

/** LOGIN7's password: UCS-2 with swapped nibbles, each octet XOR 0xA5. */
function passwordOf(login: Buffer): string {
  const offset = login.readUInt16LE(44);
  const bytes = login.subarray(offset, offset + login.readUInt16LE(46) * 2).map((byte) => {
    const plain = byte ^ 0xa5;
    return ((plain & 0x0f) << 4) | (plain >> 4);
  });
  return Buffer.from(bytes).toString('utf16le');
}

/** The values of an RPC's parameters as text: the statement, the declarations, then those of the statement. */
function readParameters(body: Buffer): (string | null)[] {
  let at = body.readUInt32LE(0);
  const nameLength = body.readUInt16LE(at);
  at += nameLength === 0xffff ? 6 : 4 + nameLength * 2;
  const values: (string | null)[] = [];
  while (at < body.length) {
    at += 1 + (body[at] ?? 0) * 2 + 1; // name, status
    const type = body[at];
    if (type === 0xe7) {
      const most = body.readUInt16LE(at + 1);
      at += 8;
      const read = most === 0xffff ? readPartial(body, at) : readShort(body, at);
      values.push(read.value);
      at = read.end;
    } else if (type === 0x26 || type === 0x68) {
      const length = body[at + 2] ?? 0;
      at += 3;
      const bytes = body.subarray(at, at + length);
      values.push(
        length === 0 ? null : length === 8 ? String(bytes.readBigInt64LE()) : String(bytes.readIntLE(0, length)),
      );
      at += length;
    } else throw new Error(`a parameter of type ${type}, which this server does not know`);
  }
  return values;
}

interface Read {
  readonly value: string | null;
  readonly end: number;
}

function readShort(body: Buffer, at: number): Read {
  const length = body.readUInt16LE(at);
  if (length === 0xffff) return { value: null, end: at + 2 };
  return { value: body.toString('utf16le', at + 2, at + 2 + length), end: at + 2 + length };
}

function readPartial(body: Buffer, start: number): Read {
  if (body.readBigUInt64LE(start) === 0xffffffffffffffffn) return { value: null, end: start + 8 };
  let at = start + 8;
  let text = '';
  for (let length = body.readUInt32LE(at); length > 0; length = body.readUInt32LE(at)) {
    text += body.toString('utf16le', at + 4, at + 4 + length);
    at += 4 + length;
  }
  return { value: text, end: at + 4 };
}

const u16 = (value: number): Buffer => Buffer.from([value & 0xff, value >> 8]);
const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const shortText = (text: string): Buffer => Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'utf16le')]);
const longText = (text: string): Buffer => Buffer.concat([u16(text.length), Buffer.from(text, 'utf16le')]);
const sized = (token: number, content: Buffer): Buffer =>
  Buffer.concat([Buffer.from([token]), u16(content.length), content]);

function done(status = 0): Buffer {
  return Buffer.concat([Buffer.from([0xfd]), u16(status), Buffer.alloc(10)]);
}

function loginAck(): Buffer {
  const content = [Buffer.from([1, 0x74, 0, 0, 4]), shortText('Stub SQL Server'), Buffer.from([16, 0, 0, 0])];
  return sized(0xad, Buffer.concat(content));
}

function errorToken(number: number, message: string): Buffer {
  const content = [u32(number), Buffer.from([1, 16]), longText(message), shortText('stub'), shortText(''), u32(1)];
  return sized(0xaa, Buffer.concat(content));
}

function transactionToken(type: number, now: Buffer, before: Buffer): Buffer {
  return sized(0xe3, Buffer.concat([Buffer.from([type, now.length]), now, Buffer.from([before.length]), before]));
}

function columnsToken({ columns = [], rows = [] }: Exclude<TdsAnswer, string | { error: number }>): Buffer {
  const described = columns.map((name, at) => {
    const isBit = typeof rows[0]?.[at] === 'boolean';
    const type = isBit ? Buffer.from([0x68, 1]) : Buffer.concat([Buffer.from([0xe7]), u16(8000), COLLATION]);
    return Buffer.concat([u32(0), u16(1), type, shortText(name)]);
  });
  return Buffer.concat([Buffer.from([0x81]), u16(columns.length), ...described]);
}

function rowToken(row: readonly (string | boolean | null)[]): Buffer {
  const values = row.map((value) => {
    if (value === null) return u16(0xffff);
    if (typeof value === 'boolean') return Buffer.from([1, value ? 1 : 0]);
    return Buffer.concat([u16(value.length * 2), Buffer.from(value, 'utf16le')]);
  });
  return Buffer.concat([Buffer.from([0xd1]), ...values]);
}
