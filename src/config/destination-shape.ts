// The shapes of a destination, one for each type of SPEC 5 and 6.

import { z } from 'zod';
import { isObject } from './problem.ts';
import { flag, object, oneOf, secretText, text, wholeNumber } from './shape-parts.ts';

const HOUR_MS = 3_600_000;

/** How often a destination is tried again, and when. */
export const retryShape = object({
  initial_ms: wholeNumber(1, 24 * HOUR_MS)
    .default(1_000)
    .meta({
      description:
        'Most milliseconds before the second attempt. The wait doubles with each attempt, and is random below.',
    }),
  max_ms: wholeNumber(1, 7 * 24 * HOUR_MS)
    .default(300_000)
    .meta({
      description: 'Most milliseconds between two attempts.',
    }),
  max_attempts: wholeNumber(1, 1_000_000)
    .nullable()
    .default(null)
    .meta({
      description: 'Attempts after which an event is parked until `tailrace retry`. null: try for ever.',
      examples: [null, 20],
    }),
  max_retry_after_ms: wholeNumber(0, 7 * 24 * HOUR_MS)
    .default(HOUR_MS)
    .meta({
      description: 'Longest wait in milliseconds that a receiver can ask for with Retry-After.',
    }),
});

/** How many events go to a destination in one request or transaction. */
export const batchShape = object({
  max_events: wholeNumber(1, 10_000).meta({ description: 'Most events in one batch.' }),
  max_wait_ms: wholeNumber(0, 60_000).default(0).meta({
    description: 'Milliseconds for which an event may wait for its batch to fill.',
  }),
});

const tuning = {
  concurrency: wholeNumber(1, 1_000).default(10).meta({
    description: 'Most requests or transactions under way to this destination at any time.',
  }),
  max_per_second: z
    .number({ error: 'a number above 0' })
    .positive({ error: 'a number above 0' })
    .max(1_000_000, { error: 'a number up to 1,000,000' })
    .optional()
    .meta({ description: 'Most events a second. Without it there is no limit.' }),
  batch: batchShape.optional().meta({ description: 'Hand over several events at once.' }),
  retry: retryShape.prefault({}).meta({ description: 'When a failed event is tried again.' }),
};

/** Who we are to an HTTP destination. */
export const authShape = z.union(
  [
    object({ bearer: secretText('a token').meta({ description: 'Sent as Authorization: Bearer.' }) }),
    object({
      basic: object({
        username: secretText('a user name').meta({ description: 'User name, without a colon.' }),
        password: secretText('a password').meta({ description: 'Password.' }),
      }).meta({ description: 'Sent as Authorization: Basic.' }),
    }),
  ],
  { error: 'an object with either "bearer" or "basic"' },
);

/** Certificates for an HTTP destination: paths of PEM files. */
export const tlsShape = object({
  ca: text('the path of a PEM file')
    .optional()
    .meta({ description: 'Authorities to trust instead of the usual ones: the path of a PEM file.' }),
  cert: text('the path of a PEM file')
    .optional()
    .meta({ description: 'Client certificate with its chain: the path of a PEM file.' }),
  key: text('the path of a PEM file')
    .optional()
    .meta({ description: 'Key of the client certificate, not encrypted: the path of a PEM file.' }),
});

const httpPostShape = object({
  type: z.literal('http_post').meta({ description: 'An HTTP POST for each event.' }),
  url: secretText('an http:// or https:// URL', text().meta({ pattern: '^[Hh][Tt][Tt][Pp][Ss]?://' })).meta({
    description: 'Where to POST. A URL with a token in it may come from the environment or a file.',
    examples: ['https://hooks.example.com/events', { env: 'HOOK_URL' }, { file: '/run/secrets/hook-url' }],
  }),
  format: oneOf('json', 'form').optional().meta({
    description: 'Body of the request. Without it, use_json_for_http_post decides.',
  }),
  columns: oneOf('all', 'applicable').default('all').meta({
    description: 'all: every column of the queue table. applicable: those that belong to the type of the event.',
  }),
  timeout_ms: wholeNumber(100, 600_000).default(30_000).meta({
    description: 'Milliseconds for one attempt, from connecting to the end of the answer.',
  }),
  headers: z
    .record(z.string(), secretText('a text'), { error: 'an object of header names and values' })
    .optional()
    .meta({
      description: 'More request headers. A value may come from the environment or a file.',
      examples: [{ 'X-Api-Key': { env: 'HOOK_API_KEY' } }],
    }),
  auth: authShape.optional().meta({
    description: 'Credentials for the Authorization header: a bearer token, or a user name and a password.',
    examples: [{ bearer: { env: 'HOOK_TOKEN' } }],
  }),
  signing_secret: secretText('a signing secret')
    .optional()
    .meta({
      description:
        'Signs each request as Standard Webhooks has it: whsec_ and a key in base64; several, with spaces between them, while one replaces the other.',
      examples: [{ env: 'HOOK_SIGNING_SECRET' }],
    }),
  tls: tlsShape.optional().meta({
    description: 'Certificates: private authorities, and our own.',
    examples: [{ ca: '/etc/tailrace/ca.pem', cert: '/etc/tailrace/client.pem', key: '/etc/tailrace/client.key' }],
  }),
  compress: flag().default(false).meta({ description: 'true: compress the body with gzip.' }),
  public_only: flag().default(false).meta({
    description: 'true: connect to addresses of the public internet only, never to private or local ones.',
  }),
  ...tuning,
});

const sqlConnection = {
  db_dsn: secretText('a database URL').meta({
    description: 'URL of the database, or a Perl DBI string.',
    examples: ['postgresql://10.0.0.5/crm', 'mysql://10.0.0.5/crm', 'mssql://10.0.0.5/crm', { env: 'CRM_DSN' }],
  }),
  db_username: secretText('a user name').optional().meta({
    description: 'User name at the database, over the one in db_dsn.',
  }),
  db_password: secretText('a password').optional().meta({
    description: 'Password at the database, over the one in db_dsn.',
  }),
};

const columnNames = z.array(text('a column name'), { error: 'a list of column names' });

const customSqlShape = object({
  type: z.literal('custom_sql').meta({ description: 'An SQL statement for each event.' }),
  ...sqlConnection,
  sql: text('an SQL statement').meta({
    description: "The statement, with ? for each bound column. PostgreSQL's operator ? is written ??.",
    examples: ["UPDATE subscribers SET status = 'bad' WHERE email = ?", 'CALL bounced(?, ?)'],
  }),
  bind_list: columnNames.default([]).meta({
    description: 'The columns bound to the placeholders, in order.',
    examples: [['email', 'event_time']],
  }),
  on_conflict: oneOf('accept', 'fail').default('fail').meta({
    description: 'What a unique violation counts as: accept = delivered, fail = refused.',
  }),
  ...tuning,
});

const sqlInsertShape = object({
  type: z.literal('sql_insert').meta({ description: 'A row in a table of another database for each event.' }),
  ...sqlConnection,
  table: text('a table name').meta({
    description: 'The table, with its schema where that is needed; "quoted" parts are taken as they stand.',
    examples: ['events', 'crm.events'],
  }),
  columns: columnNames
    .min(1, { error: 'a list of column names, not empty' })
    .optional()
    .meta({
      description: 'The columns to fill. Without it, those that both tables have, but for id.',
      examples: [['event_unique_id', 'event_type', 'event_time', 'email']],
    }),
  on_conflict: oneOf('accept', 'fail').default('accept').meta({
    description: 'What a row with the same event_unique_id counts as: accept = delivered, fail = refused.',
  }),
  ...tuning,
});

const leaveShape = object({
  type: z.literal('leave_in_queue').meta({ description: 'The event stays in the queue table.' }),
});

const dropShape = object({
  type: z.literal('drop_from_queue').meta({ description: 'The event is deleted and goes nowhere.' }),
});

const options = [httpPostShape, leaveShape, dropShape, customSqlShape, sqlInsertShape] as const;

/** The destination types. */
export const availableTypes: readonly string[] = options.map((option) => option.shape.type.value);

/** Where events go: one shape for each `type`. */
export const destinationShape = z.discriminatedUnion('type', options, {
  error: (issue) =>
    isObject(issue.input)
      ? `one of the types ${availableTypes.map((type) => `"${type}"`).join(', ')}`
      : 'an object such as {"type": "leave_in_queue"}',
});

const tuningShape = object(tuning);

/** What every destination with a lane may set. */
export type TuningInput = z.output<typeof tuningShape>;

export type DestinationInput = z.output<typeof destinationShape>;
