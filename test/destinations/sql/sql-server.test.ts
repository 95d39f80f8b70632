// SQL destinations on Microsoft SQL Server: what is sent, and what becomes of the server's errors. There is no such server
// for tests, so this is a stub of its protocol: it proves nothing about its SQL.

import { describe, expect, test } from 'vitest';
import { createTdsServer, type TdsAnswer, type TdsCall } from '../../helpers/tds-server.ts';
import { describeDestination, type Subject } from '../contract.ts';
import { NEVER, sampleEvent } from '../samples.ts';
import { sqlDestination } from './subject.ts';

const OK: TdsAnswer = {};
const TABLE = ['id', 'event_type', 'event_time', 'email', 'studio_is_unique', 'event_unique_id'];

const events = (count: number) =>
  Array.from({ length: count }, (_, at) => sampleEvent({ id: String(at + 1), event_unique_id: `unique-${at}` }));

/** The catalog of a table, and `statement` for everything else. */
function table(statement: (call: TdsCall & { readonly kind: 'execute' }) => TdsAnswer = () => OK, key = true) {
  return (call: TdsCall): TdsAnswer => {
    if (call.kind !== 'execute') return OK;
    if (call.sql.includes('sys.indexes')) {
      const rows = key
        ? [
            ['1', 'id'],
            ['2', 'event_unique_id'],
          ]
        : [['1', 'id']];
      return { columns: ['index_id', 'name'], rows };
    }
    if (call.sql.includes('sys.columns')) {
      return { columns: ['name', 'type', 'is_identity'], rows: TABLE.map((name) => [name, 'nvarchar', name === 'id']) };
    }
    return statement(call);
  };
}

const insert = (db_dsn: string, settings: object = {}) => ({
  type: 'sql_insert',
  db_dsn,
  table: 'dbo.events',
  ...settings,
});
const custom = (db_dsn: string, settings: object = {}) => ({
  type: 'custom_sql',
  db_dsn,
  sql: "EXEC bounced ?, ?, ?, '?' -- ?",
  bind_list: ['email', 'event_time', 'studio_is_unique'],
  ...settings,
});
const kinds = (calls: readonly TdsCall[]) => calls.map(({ kind }) => kind);
const statements = (calls: readonly TdsCall[]) => calls.flatMap((call) => (call.kind === 'execute' ? [call] : []));

describeDestination('custom_sql, SQL Server (stub)', async (): Promise<Subject> => {
  const refused = new Set<string>();
  let hanging = false;
  const server = await createTdsServer((call) => {
    if (call.kind !== 'execute') return OK;
    if (hanging) return 'hang';
    return refused.has(call.values[0] ?? '') ? { error: 245, message: 'Conversion failed.' } : OK;
  });
  const destination = await sqlDestination(custom(server.url, { sql: 'EXEC p ?', bind_list: ['id'], concurrency: 4 }));
  return {
    destination,
    refuse: (ids) => {
      for (const id of ids) refused.add(id);
    },
    hang: () => {
      hanging = true;
    },
    [Symbol.asyncDispose]: async () => {
      await destination.close();
      await server[Symbol.asyncDispose]();
    },
  };
});

describe('what is sent', () => {
  test('custom_sql is parameters in one transaction', async () => {
    await using server = await createTdsServer(() => OK);
    await using destination = await sqlDestination(custom(server.url));
    const text = "it's; DROP TABLE x -- 漢 😀";
    const rows = [
      sampleEvent({ email: text, event_time: '9223372036854775807', studio_is_unique: 't' }),
      sampleEvent({ email: 'x'.repeat(5000), event_time: null, studio_is_unique: 'f' }),
    ];
    expect(await destination.deliver(rows, NEVER)).toEqual([{ ok: true }, { ok: true }]);
    expect(kinds(server.calls)).toEqual(['begin', 'execute', 'execute', 'commit']);
    const [first, second] = statements(server.calls);
    expect(first).toEqual({
      kind: 'execute',
      sql: "EXEC bounced @p1, @p2, @p3, '?' -- ?",
      values: [text, '9223372036854775807', '1'],
    });
    expect(second?.values).toEqual(['x'.repeat(5000), null, '0']);
  });

  test('sql_insert is rows of the columns that the table has, which passes over known events', async () => {
    await using server = await createTdsServer(table());
    await using destination = await sqlDestination(insert(server.url));
    expect(await destination.deliver(events(3), NEVER)).toEqual([{ ok: true }, { ok: true }, { ok: true }]);
    const sent = statements(server.calls).at(-1);
    expect(sent?.sql).toBe(
      'INSERT INTO [dbo].[events] ([event_type], [event_time], [email], [event_unique_id], [studio_is_unique]) '
        .replace('[email], [event_unique_id], [studio_is_unique]', '[email], [studio_is_unique], [event_unique_id]')
        .concat(
          'SELECT [event_type], [event_time], [email], [studio_is_unique], [event_unique_id] FROM (VALUES ',
          '(@p1, @p2, @p3, @p4, @p5), (@p6, @p7, @p8, @p9, @p10), (@p11, @p12, @p13, @p14, @p15)) ',
          'AS v ([event_type], [event_time], [email], [studio_is_unique], [event_unique_id]) ',
          'WHERE NOT EXISTS (SELECT 1 FROM [dbo].[events] AS t WHERE t.[event_unique_id] = v.[event_unique_id])',
        ),
    );
    expect(sent?.values.slice(0, 5)).toEqual(['bounce_all', '1317305252', null, null, 'unique-0']);
    expect(destination.warnings.map(({ fields }) => fields.columns)).toEqual([
      ['bounce_text', 'timestamp', 'headers', 'server_id'],
    ]);
  });

  test('more rows than a statement takes parameters for are several statements of one transaction', async () => {
    await using server = await createTdsServer(table());
    await using destination = await sqlDestination(insert(server.url));
    const results = await destination.deliver(events(900), NEVER);
    expect(results.filter(({ ok }) => ok)).toHaveLength(900);
    const sent = statements(server.calls).filter(({ sql }) => sql.startsWith('INSERT'));
    expect(sent.map(({ values }) => values.length)).toEqual([2000, 2000, 500]);
    expect(kinds(server.calls).slice(-5)).toEqual(['begin', 'execute', 'execute', 'execute', 'commit']);
  });
});

describe('errors', () => {
  test.each([
    [245, 'event'],
    [2628, 'event'],
    [515, 'event'],
    [50_001, 'event'],
    [2627, 'event'],
    [1205, undefined],
    [1222, undefined],
    [208, undefined],
    [229, undefined],
  ])('%i is the fault of %s', async (error, blame) => {
    await using server = await createTdsServer((call) =>
      call.kind === 'execute' ? { error, message: 'What the server says.' } : OK,
    );
    await using destination = await sqlDestination(custom(server.url));
    const [result] = await destination.deliver(events(1), NEVER);
    expect(result).toMatchObject({ ok: false, status: error, error: expect.stringContaining('What the server says.') });
    expect(result && 'blame' in result ? result.blame : undefined).toBe(blame);
    expect(kinds(server.calls)).toEqual(['begin', 'execute', 'rollback']);
  });

  test('a value that is refused stands alone, and the others are delivered', async () => {
    await using server = await createTdsServer(
      table(({ values }) => (values.includes('unique-37') ? { error: 8152, message: 'truncated' } : OK)),
    );
    await using destination = await sqlDestination(insert(server.url));
    const results = await destination.deliver(events(100), NEVER);
    expect(results.flatMap(({ ok }, at) => (ok ? [] : [at]))).toEqual([37]);
  });

  test.each([
    ['is there', [['1']], { ok: true }],
    ['is not there', [], { ok: false, blame: 'event', status: 2627 }],
  ])('a conflict counts as delivered only if the event %s', async (_, found, expected) => {
    await using server = await createTdsServer(
      table(({ sql }) =>
        sql.startsWith('SELECT')
          ? { columns: ['x'], rows: found }
          : { error: 2627, message: 'Violation of UNIQUE KEY' },
      ),
    );
    await using destination = await sqlDestination(insert(server.url));
    expect(await destination.deliver(events(1), NEVER)).toMatchObject([expected]);
    expect(statements(server.calls).at(-1)).toMatchObject({
      sql: 'SELECT TOP (1) 1 FROM [dbo].[events] WHERE event_unique_id = @p1',
      values: ['unique-0'],
    });
  });

  test('custom_sql counts a conflict as delivered when on_conflict is accept', async () => {
    await using server = await createTdsServer((call) =>
      call.kind === 'execute' ? { error: 2601, message: 'Cannot insert duplicate key row' } : OK,
    );
    await using destination = await sqlDestination(custom(server.url, { on_conflict: 'accept' }));
    expect(await destination.deliver(events(2), NEVER)).toEqual([{ ok: true }, { ok: true }]);
  });

  test('a wrong password is named without it', async () => {
    await using server = await createTdsServer(() => OK, { password: 'right-one' });
    await using destination = await sqlDestination(custom(server.url.replace('right-one', 'wr0ng-one')));
    const [result] = await destination.deliver(events(1), NEVER);
    expect(result).toMatchObject({ ok: false, error: expect.stringContaining('Login failed') });
    expect(JSON.stringify(result)).not.toContain('wr0ng-one');
  });

  test('a connection that ends fails the batch, and the next one has another', async () => {
    let resets = 1;
    await using server = await createTdsServer((call) => {
      if (call.kind !== 'commit' || resets === 0) return OK;
      resets -= 1;
      return 'reset';
    });
    await using destination = await sqlDestination(custom(server.url, { concurrency: 1 }));
    const [lost] = await destination.deliver(events(1), NEVER);
    expect(lost).toMatchObject({ ok: false });
    expect(lost && 'blame' in lost).toBe(false);
    expect(await destination.deliver(events(1), NEVER)).toEqual([{ ok: true }]);
  });

  test('a statement that is not answered is given up, with its connection', async () => {
    let hangs = true;
    await using server = await createTdsServer((call) => (call.kind === 'execute' && hangs ? 'hang' : OK));
    await using destination = await sqlDestination(custom(server.url, { concurrency: 1 }), { deadlineMs: 500 });
    const [result] = await destination.deliver(events(1), NEVER);
    expect(result).toEqual({ ok: false, error: expect.stringContaining('no answer within 0.5 s') });
    hangs = false;
    expect(await destination.deliver(events(1), NEVER)).toEqual([{ ok: true }]);
    expect(kinds(server.calls).filter((kind) => kind === 'commit')).toHaveLength(1);
  });

  test('nobody listening is a failure of the destination', async () => {
    await using destination = await sqlDestination(custom('mssql://u:p@127.0.0.1:1/d?encrypt=false'));
    const [result] = await destination.deliver(events(1), NEVER);
    expect(result).toMatchObject({
      ok: false,
      error: expect.stringMatching(/SQL Server at 127\.0\.0\.1:1: Failed to connect/),
    });
  });
});
