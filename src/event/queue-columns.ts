// The queue table as `init` makes it and as recording fills it: one data table. Reading does not use it, since the
// table may be somebody else's; the reader asks PostgreSQL's catalog.

export interface QueueColumn {
  readonly name: string;
  readonly type: 'bigint' | 'boolean' | 'double precision' | 'inet' | 'integer' | 'text' | 'varchar' | 'varchar(100)';
  /** Added by tailrace: the column is not part of the table that seed 002 defines (SPEC 2). */
  readonly own: boolean;
  /** The SQL expression behind DEFAULT. */
  readonly defaultSql?: string;
}

/** Columns, types and order of seed 002, "Queue Table in GreenArrow's PostgreSQL Database", then those of SPEC 2. */
export const QUEUE_COLUMNS: readonly QueueColumn[] = [
  // Primary key and NOT NULL besides.
  { name: 'id', type: 'bigint', own: false, defaultSql: "nextval('events_seq')" },
  { name: 'event_type', type: 'varchar(100)', own: false },
  { name: 'event_time', type: 'integer', own: false },
  { name: 'email', type: 'varchar', own: false },
  { name: 'listid', type: 'varchar', own: false },
  { name: 'list_name', type: 'varchar', own: false },
  { name: 'list_label', type: 'varchar', own: false },
  { name: 'sendid', type: 'varchar', own: false },
  { name: 'bounce_type', type: 'varchar', own: false },
  { name: 'bounce_code', type: 'integer', own: false },
  { name: 'bounce_text', type: 'text', own: false },
  { name: 'click_url', type: 'varchar', own: false },
  { name: 'click_tracking_id', type: 'varchar', own: false },
  { name: 'studio_rl_seq', type: 'bigint', own: false },
  { name: 'studio_rl_recipid', type: 'varchar', own: false },
  { name: 'studio_campaign_id', type: 'integer', own: false },
  { name: 'studio_autoresponder_id', type: 'integer', own: false },
  { name: 'studio_is_unique', type: 'boolean', own: false },
  { name: 'studio_mailing_list_id', type: 'integer', own: false },
  { name: 'studio_subscriber_id', type: 'integer', own: false },
  { name: 'studio_ip', type: 'inet', own: false },
  { name: 'studio_rl_seq_id', type: 'integer', own: false },
  { name: 'studio_rl_distinct_id', type: 'integer', own: false },
  { name: 'engine_ip', type: 'varchar', own: false },
  { name: 'user_agent', type: 'varchar', own: false },
  { name: 'json_before', type: 'text', own: false },
  { name: 'json_after', type: 'text', own: false },
  { name: 'timestamp', type: 'double precision', own: false },
  { name: 'channel', type: 'varchar', own: false },
  { name: 'status', type: 'varchar', own: false },
  { name: 'is_retry', type: 'integer', own: false },
  { name: 'msguid', type: 'varchar', own: false },
  { name: 'sender', type: 'varchar', own: false },
  { name: 'mtaid', type: 'varchar', own: false },
  { name: 'injected_time', type: 'integer', own: false },
  { name: 'message', type: 'varchar', own: false },
  { name: 'outmtaid', type: 'integer', own: false },
  { name: 'outmtaid_ip', type: 'varchar', own: false },
  { name: 'outmtaid_hostname', type: 'varchar', own: false },
  { name: 'sendsliceid', type: 'varchar', own: false },
  { name: 'throttleid', type: 'integer', own: false },
  { name: 'mx_hostname', type: 'varchar', own: false },
  { name: 'mx_ip', type: 'varchar', own: false },
  { name: 'synchronous', type: 'boolean', own: false },
  { name: 'from_address', type: 'varchar', own: false },
  { name: 'headers', type: 'text', own: false },
  { name: 'is_privacy_open', type: 'boolean', own: false },
  { name: 'true_event_id', type: 'bigint', own: false },
  { name: 'event_unique_id', type: 'varchar', own: false },
  { name: 'server_id', type: 'varchar', own: false },
  { name: 'destination_id', type: 'integer', own: false, defaultSql: '1' },
  { name: 'message_size', type: 'integer', own: false },
  { name: 'smtp_timing', type: 'text', own: false },
  { name: 'mailclass', type: 'varchar', own: true },
  { name: 'instanceid', type: 'varchar', own: true },
  { name: 'linkid', type: 'varchar', own: true },
  { name: 'mtaid_id', type: 'integer', own: true },
  { name: 'mtaid_name', type: 'varchar', own: true },
  { name: 'outmtaid_name', type: 'varchar', own: true },
  { name: 'source_ip', type: 'varchar', own: true },
  { name: 'bounce_code_match_text', type: 'text', own: true },
  { name: 'report_recipient', type: 'varchar', own: true },
  { name: 'report_message_text', type: 'text', own: true },
  { name: 'report_sender', type: 'varchar', own: true },
];
