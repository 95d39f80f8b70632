// The shape of the whole configuration file (SPEC 5): the one source of its types, its checks and the JSON Schema that
// editors read. Rules between several keys are in rules.ts.

import { z } from 'zod';
import { EVENT_TYPES } from '../event/catalog.ts';
import { destinationShape } from './destination-shape.ts';
import { flag, object, oneOf, oneOrMore, text, textLike, wholeNumber } from './shape-parts.ts';

/** More destinations than anybody has; the analysis of rules is quadratic. */
const MAX_DESTINATIONS = 1_000;
/** A control character takes six in a line, and no string may have more than 512 MiB. */
const MOST_EVENT_BYTES = 64 * 1024 * 1024;
const TOO_MANY = `a list of at most ${MAX_DESTINATIONS.toLocaleString('en-US')} destinations`;

/** Which events a rule is for. */
export const matchesShape = object({
  all: z.literal(true, { error: 'true' }).optional().meta({
    description: 'Every event. Stands alone, and in the last entry.',
  }),
  event_type: oneOrMore(text().meta({ examples: EVENT_TYPES.map((type) => type.name) }))
    .optional()
    .meta({ description: 'Event types, in any case; former names such as hook_bounce are good too.' }),
  mail_class: oneOrMore(text())
    .optional()
    .meta({
      description: 'Mail Classes, in any case.',
      examples: ['transactional', ['transactional', 'newsletter']],
    }),
}).meta({
  description:
    'Which events: all that is given must match. The first entry that matches an event gets it, with `continue` the next ones too.',
  minProperties: 1,
  examples: [{ all: true }, { event_type: ['bounce_all', 'bounce_bad_address'] }],
});

/** One of the event destinations. */
export const entryShape = object({
  name: textLike(
    /^[!-~\u00a1-\uffff](?:[ -~\u00a0-\uffff]{0,98}[!-~\u00a1-\uffff])?$/,
    'a name of 1 to 100 characters, none of them invisible',
  )
    .optional()
    .meta({
      description: 'What the destination is called in `status`. It keeps its failed events when its URL changes.',
      examples: ['crm'],
    }),
  enabled: flag().default(true).meta({ description: 'false: its events wait as if it were paused.' }),
  continue: flag().default(false).meta({
    description: 'true: an event that matches goes here and to the next entry that matches as well.',
  }),
  matches: matchesShape,
  destination: destinationShape.meta({
    description: 'Where the events go.',
    examples: [{ type: 'http_post', url: 'https://hooks.example.com/events' }, { type: 'leave_in_queue' }],
  }),
});

/** The log file that every event is written to first. */
export const logfileShape = object({
  filename: text('the path of the log file').meta({
    description: "Path of the log file. A relative one starts at this file's folder.",
    examples: ['/var/log/tailrace/events.jsonl'],
  }),
  filename_append_date: flag().default(false).meta({ description: 'Append .YYYY-MM-DD to the name.' }),
  mode: textLike(/^0?[67][0-7]{2}$/, 'an octal file mode in quotes with which its owner can read and write')
    .default('0640')
    .meta({ description: 'Permissions of a new log file, in octal.', examples: ['0640', '0644'] }),
  create_directory: flag().default(false).meta({ description: "Create the log file's folder when it is missing." }),
});

/** The configuration file. */
export const configShape = object({
  $schema: z.string({ error: 'the path or URL of a JSON Schema' }).optional().meta({
    description: 'For editors: where this schema is. tailrace does not read it.',
  }),
  configuration_mode: z
    .literal('json', {
      error: '"json", the only mode there is (write the destinations out under "event_destinations")',
    })
    .default('json')
    .meta({
      description: 'The only mode there is.',
    }),
  use_json_for_http_post: flag().default(false).meta({
    description: 'true: POST JSON. false: POST form fields, and the answer has to be the text ok.',
  }),
  logfile: logfileShape.optional().meta({
    description: 'Write every event to this file, one JSON object a line, before it goes anywhere else.',
    examples: [{ filename: '/var/log/tailrace/events.jsonl' }],
  }),
  event_destinations: z
    .array(entryShape, { error: TOO_MANY })
    .max(MAX_DESTINATIONS, { error: TOO_MANY })
    .optional()
    .meta({
      description: 'Where events go. The first entry that matches gets the event; the last has to match all.',
      examples: [[{ matches: { all: true }, destination: { type: 'leave_in_queue' } }]],
    }),
  on_delivered: oneOf('delete', 'mark_processed').default('delete').meta({
    description: 'What becomes of a delivered row. mark_processed sets its column processed.',
  }),
  expand_json_columns: z
    .array(text('a column name'), { error: 'a list of column names' })
    .default(['headers'])
    .meta({ description: 'Text columns that are written as an object when they hold one.' }),
  http_keep_alive: wholeNumber(0, 10_000).default(10).meta({ description: 'Most idle connections that are kept.' }),
  http_user_agent: textLike(/^[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?$/, 'up to 256 printable ASCII characters')
    .optional()
    .meta({ description: 'The User-Agent header. Without it, tailrace/<version>.' }),
  max_event_bytes: wholeNumber(1_024, MOST_EVENT_BYTES).default(16_777_216).meta({
    description: 'A row with more bytes than this is parked, neither logged nor delivered.',
  }),
  poll_interval_ms: wholeNumber(1, 60_000).default(200).meta({
    description: 'Milliseconds between two looks at an idle queue.',
  }),
  server_id: text().max(255, { error: 'at most 255 characters' }).optional().meta({
    description: 'Name of this server in the events it records. Without it, the host name.',
  }),
  store_bounce_details_length: wholeNumber(0, 1_048_576).default(1_024).meta({
    description: 'Most bytes of bounce_text that are recorded.',
  }),
  delivery_log: object({
    filename: text('the path of the delivery log').meta({
      description: "Path of the delivery log. A relative one starts at this file's folder.",
    }),
  })
    .optional()
    .meta({
      description: 'Write a line for each attempt to deliver an event to this file: for people, at best effort.',
      examples: [{ filename: '/var/log/tailrace/deliveries.jsonl' }],
    }),
}).meta({
  title: 'event_processor.json',
  description: 'Configuration of tailrace.',
  anyOf: [{ required: ['event_destinations'] }, { required: ['logfile'] }],
});

export type ConfigInput = z.output<typeof configShape>;
export type EntryInput = z.output<typeof entryShape>;
export type MatchesInput = z.output<typeof matchesShape>;
