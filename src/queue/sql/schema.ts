// tailrace's own state (QUEUE.md, "Schema"), PostgreSQL 14 and newer. Everything is made only where it is absent, so
// that `init` can be run again; a change of the schema raises SCHEMA_VERSION and adds a step to upgrades.ts.

/** The version that this program needs in tailrace.meta: that of the last step in upgrades.ts. */
export const SCHEMA_VERSION = 5;

/** The version that CREATE_SCHEMA makes, before any step. */
export const FIRST_VERSION = 1;

export const CREATE_SCHEMA = `
CREATE SCHEMA IF NOT EXISTS tailrace;

-- Which queue table this schema serves; a second table in the same database needs a database of its own.
CREATE TABLE IF NOT EXISTS tailrace.meta (
  only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  schema_version  int     NOT NULL,
  queue           regclass NOT NULL
);

-- One row per take-over. epoch is the fencing token: every settling names it.
CREATE TABLE IF NOT EXISTS tailrace.writer (
  epoch        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  slots        smallint[] NOT NULL,              -- of 64: shard i/n owns the slots s with s % n = i
  revoked      boolean NOT NULL DEFAULT false,   -- set by the next owner of any of the slots
  clean        boolean NOT NULL DEFAULT false,   -- stopped with nothing in flight
  journal      uuid NOT NULL,                    -- header of the journal that holds what is in flight
  journal_at   text NOT NULL,                    -- host:path, where recovery must look
  settled_seq  bigint NOT NULL DEFAULT 0,        -- newest settlement that is committed: makes settling exactly-once
  started_at   timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- A new row when the routing part of the configuration changes: O(1), nothing is rewritten.
CREATE TABLE IF NOT EXISTS tailrace.generation (
  generation   int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  epoch        bigint NOT NULL,
  fingerprint  bytea NOT NULL,
  since        timestamptz NOT NULL DEFAULT now()
);

-- A destination keeps its number while its key (its name, else type and target) stays the same.
CREATE TABLE IF NOT EXISTS tailrace.destination (
  destination_id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,   -- 0 is never given: it stands for "none"
  key            text NOT NULL UNIQUE,
  paused         boolean NOT NULL DEFAULT false,         -- by tailrace pause
  retry_asked    timestamptz                             -- by tailrace retry: one that is probed is probed at once
);

-- How the running writer finds its destinations, for tailrace status. Written every few seconds where something has changed.
CREATE TABLE IF NOT EXISTS tailrace.lane (
  destination_id smallint PRIMARY KEY,
  epoch          bigint NOT NULL,                -- whose word this is: stale unless it is the writer of now
  state          text   NOT NULL,
  until          timestamptz,                    -- when the state ends or is tried to; null = not by itself
  per_second     real   NOT NULL,                -- events delivered, over the last minute
  said_at        timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Sets of event ids, 1,024 to a row, for all that has nothing more to say than "it is so".
--   'L' logged: has its line and is still in the queue       'S' settled while there was no log file
--   'X' parked as too large before it was read               'l' left under that generation
--   'w' waits for that destination, never attempted          'd' done: this destination has it, others do not yet
CREATE TABLE IF NOT EXISTS tailrace.ledger (
  kind            "char"   NOT NULL CHECK (kind IN ('L', 'S', 'X', 'l', 'w', 'd')),
  destination_id  smallint NOT NULL,
  generation      int      NOT NULL,
  block           bigint   NOT NULL,               -- id >> 10
  ids             bit(1024) NOT NULL,              -- bit (id & 1023)
  PRIMARY KEY (kind, destination_id, generation, block)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
CREATE INDEX IF NOT EXISTS ledger_block ON tailrace.ledger (block);

-- One row per (event, destination) that was attempted and failed.
CREATE TABLE IF NOT EXISTS tailrace.pending (
  destination_id  smallint    NOT NULL,
  event_id        bigint      NOT NULL,
  parked          boolean     NOT NULL DEFAULT false,
  generation      int         NOT NULL,
  attempts        int         NOT NULL,
  next_attempt_at timestamptz NOT NULL,
  failed_at       timestamptz NOT NULL DEFAULT now(),   -- the first failure
  last_error      text        NOT NULL,
  PRIMARY KEY (destination_id, event_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000);
CREATE INDEX IF NOT EXISTS pending_due ON tailrace.pending (destination_id, generation, next_attempt_at) WHERE NOT parked;
CREATE INDEX IF NOT EXISTS pending_parked ON tailrace.pending (destination_id, event_id) WHERE parked;
CREATE INDEX IF NOT EXISTS pending_event ON tailrace.pending (event_id);
`;

/**
 * Wake-up of a sleeping reader (QUEUE B3). An ordinary NOTIFY costs busy producers three quarters of their commits:
 * this one notifies only while the reader holds advisory lock 64 of the table, that is, while it sleeps.
 */
export const CREATE_WAKE_FUNCTION = `
CREATE OR REPLACE FUNCTION tailrace.wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT pg_try_advisory_xact_lock_shared((TG_RELID::int8 - 2147483648)::int4, 64) THEN PERFORM pg_notify('tailrace', ''); END IF;
  RETURN NULL;
END $$`;

/** @param table quoted and qualified. */
export const createWakeTrigger = (table: string): string =>
  `CREATE TRIGGER tailrace_wake AFTER INSERT ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION tailrace.wake()`;

/** The Studio's switches: one row, all off. */
export const CREATE_SYSTEM_CONFIGS = `
CREATE TABLE s_system_configs (
  event_notification_studio_click              boolean NOT NULL DEFAULT false,
  event_notification_studio_open               boolean NOT NULL DEFAULT false,
  event_notification_studio_unsub              boolean NOT NULL DEFAULT false,
  event_notification_studio_subscriber_created boolean NOT NULL DEFAULT false,
  event_notification_studio_subscriber_updated boolean NOT NULL DEFAULT false,
  event_notification_bounce_all                boolean NOT NULL DEFAULT false,
  event_notification_bounce_bad_address        boolean NOT NULL DEFAULT false,
  event_notification_scomp                     boolean NOT NULL DEFAULT false
);
INSERT INTO s_system_configs DEFAULT VALUES`;
