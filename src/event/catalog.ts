// The catalog of event types: one data table, read by whatever needs to know what an event type is called, where it
// comes from and which columns it uses (log line, recording, configuration, switches). A column's SQL type is not
// repeated here; it stands in queue-columns.ts.

/** Which part of GreenArrow makes events of a type; `either` where both do, with a switch each (seed 001, step 1). */
export type Origin = 'engine' | 'studio' | 'either';

export interface EventType {
  readonly name: string;
  /** Names the type had in older versions; rows and configurations may still bear them (SPEC 3). */
  readonly formerNames: readonly string[];
  readonly origin: Origin;
  /** The queue columns the type uses, in catalog order, without those that head every log line. */
  readonly fields: readonly string[];
}

/** All but `bounce_lite` and `scomp_lite`, whose tables begin the other way round, name these first. */
const IDENTITY = ['server_id', 'event_unique_id'];

const BOUNCE_FIELDS = [
  ...IDENTITY,
  'email',
  'listid',
  'sendid',
  'bounce_type',
  'bounce_code',
  'bounce_text',
  'click_tracking_id',
];

const STUDIO_OPEN_IDS = [
  'studio_mailing_list_id',
  'studio_subscriber_id',
  'studio_campaign_id',
  'studio_autoresponder_id',
  'studio_is_unique',
];

const STUDIO_RL_IDS = ['studio_rl_seq_id', 'studio_rl_distinct_id'];

const STUDIO_SUBSCRIBER_FIELDS = [
  ...IDENTITY,
  'listid',
  'studio_mailing_list_id',
  'list_name',
  'studio_subscriber_id',
  'email',
];

/** The fourteen event types in the order of SPEC 3; fields in the order of seed 003 and, for Studio, of SPEC 3. */
export const EVENT_TYPES: readonly EventType[] = [
  {
    name: 'bounce_all',
    formerNames: ['hook_stat'],
    origin: 'either',
    fields: [...BOUNCE_FIELDS, 'synchronous', 'mailclass', 'instanceid'],
  },
  {
    name: 'bounce_bad_address',
    formerNames: ['hook_bounce'],
    origin: 'either',
    fields: [...BOUNCE_FIELDS, 'mailclass', 'instanceid'],
  },
  {
    name: 'bounce_lite',
    formerNames: [],
    origin: 'engine',
    fields: [
      'event_unique_id',
      'server_id',
      'bounce_code',
      'bounce_code_match_text',
      'synchronous',
      'report_recipient',
      'report_message_text',
    ],
  },
  {
    name: 'scomp',
    formerNames: ['hook_scomp'],
    origin: 'either',
    fields: [...IDENTITY, 'email', 'listid', 'sendid', 'click_tracking_id', 'mailclass', 'instanceid'],
  },
  {
    name: 'scomp_lite',
    formerNames: [],
    origin: 'engine',
    fields: [
      'event_unique_id',
      'server_id',
      'email',
      'user_agent',
      'headers',
      'report_recipient',
      'report_message_text',
      'report_sender',
    ],
  },
  {
    name: 'engine_click',
    formerNames: [],
    origin: 'engine',
    fields: [
      ...IDENTITY,
      'email',
      'listid',
      'sendid',
      'click_url',
      'click_tracking_id',
      'engine_ip',
      'user_agent',
      'linkid',
      'mailclass',
      'instanceid',
    ],
  },
  {
    name: 'engine_open',
    formerNames: [],
    origin: 'engine',
    fields: [
      ...IDENTITY,
      'email',
      'listid',
      'sendid',
      'click_tracking_id',
      'engine_ip',
      'user_agent',
      'is_privacy_open',
      'mailclass',
      'instanceid',
    ],
  },
  {
    name: 'engine_unsub',
    formerNames: ['hook_unsub'],
    origin: 'engine',
    fields: [...IDENTITY, 'email', 'listid', 'sendid', 'click_url', 'click_tracking_id', 'mailclass', 'instanceid'],
  },
  {
    name: 'delivery_attempt',
    formerNames: [],
    origin: 'engine',
    fields: [
      ...IDENTITY,
      'email',
      'listid',
      'sendid',
      'click_tracking_id',
      'timestamp',
      'channel',
      'status',
      'is_retry',
      'msguid',
      'sender',
      'mtaid',
      'mtaid_id',
      'mtaid_name',
      'injected_time',
      'message',
      'outmtaid',
      'outmtaid_ip',
      'outmtaid_hostname',
      'outmtaid_name',
      'sendsliceid',
      'throttleid',
      'mx_hostname',
      'mx_ip',
      'from_address',
      'headers',
      'message_size',
      'smtp_timing',
      'bounce_code',
      'source_ip',
      'mailclass',
      'instanceid',
    ],
  },
  {
    name: 'studio_click',
    formerNames: [],
    origin: 'studio',
    fields: [
      ...IDENTITY,
      'listid',
      'list_name',
      'email',
      'sendid',
      'click_url',
      ...STUDIO_OPEN_IDS,
      'studio_ip',
      ...STUDIO_RL_IDS,
    ],
  },
  {
    name: 'studio_open',
    formerNames: [],
    origin: 'studio',
    fields: [...IDENTITY, 'listid', 'list_name', 'email', 'sendid', ...STUDIO_OPEN_IDS, 'studio_ip', ...STUDIO_RL_IDS],
  },
  {
    name: 'studio_unsub',
    formerNames: [],
    origin: 'studio',
    fields: [...IDENTITY, 'listid', 'list_name', 'email', 'sendid', ...STUDIO_OPEN_IDS, ...STUDIO_RL_IDS],
  },
  {
    name: 'studio_subscriber_created',
    formerNames: [],
    origin: 'studio',
    fields: [...STUDIO_SUBSCRIBER_FIELDS, 'json_after'],
  },
  {
    name: 'studio_subscriber_updated',
    formerNames: [],
    origin: 'studio',
    fields: [...STUDIO_SUBSCRIBER_FIELDS, 'json_before', 'json_after'],
  },
];

const TYPE_BY_NAME: ReadonlyMap<string, EventType> = new Map(
  EVENT_TYPES.flatMap((type) => [type.name, ...type.formerNames].map((name) => [name, type])),
);

/** The catalog entry of a type under its current or a former name, in any case; undefined when the type is unknown. */
export function findEventType(name: string): EventType | undefined {
  return TYPE_BY_NAME.get(name) ?? TYPE_BY_NAME.get(name.toLowerCase());
}

/** The name by which types are compared: lower case, a former name mapped to the current one; an unknown type keeps its own. */
export function canonicalType(name: string): string {
  return findEventType(name)?.name ?? name.toLowerCase();
}
