// What later versions of the schema `tailrace` add to the first one (schema.ts), one step a version. A fresh database
// goes through all of them, so that there is one way to the newest version.

export interface UpgradeStep {
  /** The version that the schema has afterwards. */
  readonly version: number;
  readonly sql: string;
}

/** In ascending order. A step runs in the transaction of `init`, and only where the schema is older. */
export const UPGRADES: readonly UpgradeStep[] = [
  // The table tailrace.lane is new too: CREATE_SCHEMA makes what is absent.
  { version: 2, sql: 'ALTER TABLE tailrace.destination ADD COLUMN IF NOT EXISTS retry_asked timestamptz' },
  {
    version: 3,
    sql: `
-- The Engine's switches as the SQL functions read them. A process with a control directory writes what stands there;
-- without one this table is where they are kept.
CREATE TABLE tailrace.switches (
  event_type     text PRIMARY KEY,
  is_on          boolean NOT NULL,
  mirrored_from  text,                                  -- host:control directory; null: set here
  changed_at     timestamptz NOT NULL DEFAULT now()
);

-- What the SQL functions fill in. Written by init, then by each processor from its configuration.
CREATE TABLE tailrace.recording (
  only_row           boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  server_id          text NOT NULL,
  bounce_text_bytes  int  NOT NULL,
  studio_table       text                               -- qualified name of s_system_configs, as init found it
);

-- What was recorded and what was not, as additions: a producer inserts and never waits for another one. A processor
-- adds them up now and then. event_type '*': types that tailrace does not know.
CREATE TABLE tailrace.recording_count (
  event_type  text NOT NULL,
  of_studio   boolean NOT NULL,
  recorded    bigint NOT NULL,
  suppressed  bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
`,
  },
  {
    version: 4,
    sql: `
-- How far a recorder has come in a file, moved in the transaction of each batch.
CREATE TABLE tailrace.checkpoint (
  host         text NOT NULL,
  path         text NOT NULL,                           -- absolute, links resolved
  size         bigint NOT NULL,                         -- when it was opened: a smaller one is another file
  head_bytes   int    NOT NULL,
  head_sha256  bytea  NOT NULL,                         -- of its first head_bytes
  run          uuid   NOT NULL,                         -- whose position it is; another recorder's batch is refused
  records      bigint NOT NULL,                         -- that are recorded, rejected or switched off
  line         bigint NOT NULL,                         -- on which the last of them begins
  recorded_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (host, path)
) WITH (fillfactor = 50);
`,
  },
  {
    version: 5,
    sql: `
-- Each shard has a word of its own.
ALTER TABLE tailrace.lane ADD COLUMN shard smallint NOT NULL DEFAULT 0;   -- the lowest slot of the process whose word it is
ALTER TABLE tailrace.lane DROP CONSTRAINT lane_pkey;
ALTER TABLE tailrace.lane ADD PRIMARY KEY (destination_id, shard);
`,
  },
];
