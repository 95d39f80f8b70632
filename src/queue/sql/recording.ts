// Recording inside a producer's own transaction: the SQL functions of SPEC 7, written out by `init` from the catalog.
// What they do to an event is what src/recording/normalize.ts does; test/recording/cases.ts holds the two together.
//
// Who calls needs INSERT on the queue table and EXECUTE here, nothing else: the four functions that read or count for
// everybody are SECURITY DEFINER, take no SQL from their caller and have a search path of their own.

import { EVENT_TYPES } from '../../event/catalog.ts';
import { QUEUE_COLUMNS } from '../../event/queue-columns.ts';
import { STUDIO_SWITCHES } from '../../event/recording-switches.ts';
import { quoteName } from '../session.ts';

export interface RecordingFunctionsOptions {
  /** Schema of the queue table: its triggers may look for things there. */
  readonly queueSchema: string;
  /** Whether lower case can follow Unicode, as it does outside PostgreSQL, whatever the database's locale. */
  readonly hasIcu: boolean;
}

/** JSON for a literal between apostrophes. */
const literal = (value: unknown): string => `'${JSON.stringify(value).replaceAll("'", "''")}'::jsonb`;

const CURRENT_NAMES = literal(
  Object.fromEntries(
    EVENT_TYPES.flatMap(({ name, formerNames }) => [name, ...formerNames].map((each) => [each, name])),
  ),
);
const ORIGINS = literal(Object.fromEntries(EVENT_TYPES.map(({ name, origin }) => [name, origin])));
const STUDIO_COLUMNS = literal(Object.fromEntries(STUDIO_SWITCHES.map(({ type, where }) => [type, where])));
const KNOWN_COLUMNS = literal(Object.fromEntries(QUEUE_COLUMNS.map(({ name }) => [name, true])));

/** The functions that the roles of producers and processors are granted one by one. */
const SIGNATURES = [
  'recording_switches()',
  'recording_settings()',
  'count_recording(jsonb)',
  'fold_recording_counts()',
  'queue_columns(regclass)',
  'bounce_text(text, int)',
  'normalize_event(jsonb, jsonb, text, int)',
  'insert_events(jsonb, boolean)',
  'record_event(jsonb)',
  'record_events(jsonb)',
];

/** Takes away what PostgreSQL gives to everybody. */
export const REVOKE_RECORDING = SIGNATURES.map(
  (signature) => `REVOKE ALL ON FUNCTION tailrace.${signature} FROM PUBLIC;`,
).join('\n');

/** CREATE OR REPLACE of all of them. */
export function recordingFunctions({ queueSchema, hasIcu }: RecordingFunctionsOptions): string {
  const ownPath = 'SET search_path = pg_catalog, pg_temp';
  const queuePath = `SET search_path = pg_catalog, ${quoteName(queueSchema)}, pg_temp`;
  return `
-- PL/pgSQL for what producers call: a session keeps the plans of its statements, which it does not for functions in SQL.

-- Every switch as it stands now. A missing row, column or table is off.
CREATE OR REPLACE FUNCTION tailrace.recording_switches() RETURNS TABLE (event_type text, of_studio boolean, is_on boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER ${ownPath} AS $$
#variable_conflict use_column
DECLARE
  studio regclass := (SELECT to_regclass(r.studio_table) FROM tailrace.recording r);
  config jsonb;
BEGIN
  IF studio IS NOT NULL AND has_table_privilege(studio, 'SELECT') THEN
    EXECUTE format('SELECT to_jsonb(s) FROM %s s LIMIT 1', studio) INTO config;
  END IF;
  RETURN QUERY
    SELECT w.event_type, false, w.is_on FROM tailrace.switches w
    UNION ALL
    SELECT c.key, true, coalesce(config -> c.value = 'true', false) FROM jsonb_each_text(${STUDIO_COLUMNS}) c;
END $$;

CREATE OR REPLACE FUNCTION tailrace.recording_settings(OUT queue regclass, OUT server_id text, OUT bounce_text_bytes int)
LANGUAGE plpgsql STABLE SECURITY DEFINER ${ownPath} AS $$
BEGIN
  SELECT m.queue, r.server_id, r.bounce_text_bytes INTO queue, server_id, bounce_text_bytes FROM tailrace.meta m, tailrace.recording r;
END $$;

-- Counts: [{"event_type", "of_studio", "recorded", "suppressed"}]. Only adds rows, so that nobody waits for anybody.
CREATE OR REPLACE FUNCTION tailrace.count_recording(counts jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER ${ownPath} AS $$
BEGIN
  INSERT INTO tailrace.recording_count (event_type, of_studio, recorded, suppressed)
  SELECT c.event_type, c.of_studio, c.recorded, c.suppressed
  FROM jsonb_to_recordset(counts) AS c(event_type text, of_studio boolean, recorded bigint, suppressed bigint);
END $$;

-- Adds the rows up; those of transactions under way are for the next time. What somebody else adds up meanwhile is
-- waited for, and then no longer there.
CREATE OR REPLACE FUNCTION tailrace.fold_recording_counts() RETURNS void
LANGUAGE sql SECURITY DEFINER ${ownPath} AS $$
  WITH gone AS (DELETE FROM tailrace.recording_count RETURNING *)
  INSERT INTO tailrace.recording_count (event_type, of_studio, recorded, suppressed)
  SELECT event_type, of_studio, sum(recorded), sum(suppressed) FROM gone GROUP BY 1, 2
$$;

-- Column → type, as PostgreSQL names it.
CREATE OR REPLACE FUNCTION tailrace.queue_columns(queue regclass) RETURNS jsonb
LANGUAGE plpgsql STABLE ${ownPath} AS $$
BEGIN
  RETURN (SELECT jsonb_object_agg(attname, format_type(atttypid, atttypmod)) FROM pg_attribute
    WHERE attrelid = queue AND attnum > 0 AND NOT attisdropped AND attgenerated = '');
END $$;

-- At most so many bytes of UTF-8, and no character split.
CREATE OR REPLACE FUNCTION tailrace.bounce_text(said text, max_bytes int) RETURNS text
LANGUAGE plpgsql STABLE ${ownPath} AS $$
DECLARE
  bytes bytea := convert_to(said, 'UTF8');
  cut int := max_bytes;
BEGIN
  IF length(bytes) <= max_bytes THEN RETURN said; END IF;
  WHILE cut > 0 AND get_byte(bytes, cut) & 192 = 128 LOOP cut := cut - 1; END LOOP;
  RETURN convert_from(substring(bytes FOR cut), 'UTF8');
END $$;

-- One event to the texts of its row, or to what is wrong with it.
CREATE OR REPLACE FUNCTION tailrace.normalize_event(event jsonb, columns jsonb, server_id text, bounce_text_bytes int,
  OUT fields jsonb, OUT of_studio boolean, OUT problem text)
LANGUAGE plpgsql VOLATILE ${ownPath} AS $$
DECLARE
  current_names CONSTANT jsonb := ${CURRENT_NAMES};
  known_columns CONSTANT jsonb := ${KNOWN_COLUMNS};
  is_bounce boolean;
  given text := event ->> 'event_type';
  name text; value jsonb; kind text; type text; plain text; shown text; said text;
  number numeric; most numeric; longest int; address inet;
  names text[] := '{}'; texts text[] := '{}'; problems text[] := '{}';
BEGIN
  of_studio := false;
  IF jsonb_typeof(event) IS DISTINCT FROM 'object' THEN
    problem := 'expected an object';
    RETURN;
  END IF;
  IF given IS NULL THEN problems := ARRAY['event_type: missing']; END IF;
  given := coalesce(current_names ->> given, current_names ->> lower(given), given);
  is_bounce := given IN ('bounce_all', 'bounce_bad_address');
  FOR name, value IN SELECT e.key, e.value FROM jsonb_each(event) e LOOP
    kind := jsonb_typeof(value);
    CONTINUE WHEN kind = 'null';
    type := columns ->> name;
    plain := value #>> '{}';
    shown := value::text;
    IF length(shown) > 60 THEN shown := left(shown, 60) || '...'; END IF;
    said := NULL;
    of_studio := of_studio OR name ~ '^studio_.*id$';
    IF name = 'id' THEN said := 'is given by the queue table; leave it out';
    ELSIF name = 'event_type' AND (kind <> 'string' OR plain !~ '\\S') THEN said := 'expected a name, got ' || shown;
    ELSIF type IS NULL AND known_columns ? name THEN CONTINUE;
    ELSIF type IS NULL THEN said := 'unknown field';
    ELSIF type IN ('smallint', 'integer', 'bigint') THEN
      most := CASE type WHEN 'smallint' THEN 32767 WHEN 'integer' THEN 2147483647 ELSE 9223372036854775807 END;
      IF name = 'is_retry' AND kind = 'boolean' THEN plain := CASE plain WHEN 'true' THEN '1' ELSE '0' END; kind := 'number'; END IF;
      IF NOT (kind = 'number' OR kind = 'string' AND plain ~ '^-?[0-9]+$') THEN said := format('expected %s, got %s', type, shown);
      ELSIF length(plain) > 1000 THEN said := format('%s is out of range for %s', shown, type);
      ELSE
        number := plain::numeric;
        IF number <> trunc(number) THEN said := format('expected %s, got %s', type, shown);
        ELSIF number > most OR number < -most - 1 THEN said := format('%s is out of range for %s', shown, type);
        ELSE plain := trunc(number)::text;
        END IF;
      END IF;
    ELSIF type IN ('double precision', 'real') OR type LIKE 'numeric%' THEN
      IF plain ~ '^(NaN|-?Infinity)$' AND kind = 'string' THEN NULL;
      ELSIF kind NOT IN ('number', 'string') OR plain !~ '^-?[0-9]+(\\.[0-9]+)?([eE][-+]?[0-9]+)?$' THEN said := format('expected number, got %s', shown);
      ELSIF length(plain) > 1000 OR abs(plain::numeric) > 1.7976931348623157e308 THEN said := shown || ' is out of range';
      END IF;
    ELSIF type = 'boolean' THEN
      IF plain ~ '^(true|t|1)$' THEN plain := 'true';
      ELSIF plain ~ '^(false|f|0)$' THEN plain := 'false';
      ELSE said := format('expected boolean, got %s', shown);
      END IF;
    ELSIF type = 'inet' THEN
      said := format('expected IP address, got %s', shown);
      IF kind = 'string' AND (plain ~ ':' OR plain ~ '^[0-9]+(\\.[0-9]+){3}(/[0-9]{1,3})?$') THEN
        BEGIN
          address := plain::inet;
          said := NULL;
        EXCEPTION WHEN invalid_text_representation THEN NULL;
        END;
      END IF;
    ELSIF type IN ('json', 'jsonb') THEN plain := value::text;
    ELSIF kind NOT IN ('string', 'number', 'object') THEN said := format('expected text, got %s', shown);
    ELSE
      longest := substring(type FROM '^character varying\\(([0-9]+)\\)$')::int;
      IF name = 'message' AND current_setting('server_encoding') = 'UTF8' THEN plain := replace(plain, chr(65533), ''); END IF;
      IF length(plain) > longest THEN said := format('expected at most %s characters, got %s', longest, length(plain)); END IF;
    END IF;
    IF said IS NOT NULL THEN
      problems := problems || (CASE WHEN name ~ '^[A-Za-z0-9_]{1,100}$' THEN name ELSE to_jsonb(left(name, 100))::text END || ': ' || said);
      CONTINUE;
    END IF;
    IF name = 'event_type' THEN plain := given;
    ELSIF name = 'bounce_text' THEN plain := tailrace.bounce_text(plain, bounce_text_bytes);
    ELSIF is_bounce AND name IN ('listid', 'sendid') THEN plain := lower(plain${hasIcu ? ' COLLATE "und-x-icu"' : ''});
    END IF;
    names := names || name;
    texts := texts || plain;
  END LOOP;
  IF problems <> '{}' THEN
    problem := array_to_string(problems, '; ');
    RETURN;
  END IF;
  fields := jsonb_object(names, texts);
  IF columns ? 'event_time' AND NOT fields ? 'event_time' THEN
    fields := fields || jsonb_build_object('event_time', floor(extract(epoch FROM clock_timestamp()))::text);
  END IF;
  IF columns ? 'event_unique_id' AND NOT fields ? 'event_unique_id' THEN
    fields := fields || jsonb_build_object('event_unique_id', encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'hex'));
  END IF;
  IF columns ? 'server_id' AND NOT fields ? 'server_id' THEN
    fields := fields || jsonb_build_object('server_id', coalesce(nullif(current_setting('tailrace.server_id', true), ''), server_id));
  END IF;
  IF columns ? 'destination_id' AND NOT fields ? 'destination_id' THEN fields := fields || '{"destination_id": "1"}'; END IF;
END $$;

-- Rows as normalize_event gives them, [{"fields", "of_studio"}], into the queue table as far as they are switched on.
-- One id for each, in their order; NULL: switched off. An id is taken before the INSERT, since RETURNING would want SELECT.
CREATE OR REPLACE FUNCTION tailrace.insert_events(events jsonb, regardless boolean) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE ${queuePath} AS $$
DECLARE
  origins CONSTANT jsonb := ${ORIGINS};
  queue regclass := (SELECT s.queue FROM tailrace.recording_settings() s);
  switches jsonb := (SELECT jsonb_object_agg(concat(s.event_type, ' ', s.of_studio), s.is_on) FROM tailrace.recording_switches() s);
  admitted boolean[]; rows jsonb; counts jsonb; next_id text; targets text; texts text; ids bigint[];
BEGIN
  WITH given AS (
    SELECT e.at, e.event -> 'fields' AS fields, e.event -> 'fields' ->> 'event_type' AS event_type,
      CASE origins ->> (e.event -> 'fields' ->> 'event_type') WHEN 'studio' THEN true WHEN 'either' THEN (e.event ->> 'of_studio')::boolean ELSE false END AS of_studio
    FROM jsonb_array_elements(events) WITH ORDINALITY AS e(event, at)
  ), decided AS (
    SELECT g.*, regardless OR NOT origins ? g.event_type OR coalesce((switches ->> concat(g.event_type, ' ', g.of_studio))::boolean, false) AS is_on
    FROM given g
  ), counted AS (
    SELECT CASE WHEN origins ? d.event_type THEN d.event_type ELSE '*' END AS event_type, d.of_studio,
      count(*) FILTER (WHERE d.is_on) AS recorded, count(*) FILTER (WHERE NOT d.is_on) AS suppressed
    FROM decided d GROUP BY 1, 2
  )
  SELECT array_agg(d.is_on ORDER BY d.at), jsonb_agg(d.fields ORDER BY d.at) FILTER (WHERE d.is_on), (SELECT jsonb_agg(to_jsonb(c)) FROM counted c)
  INTO admitted, rows, counts FROM decided d;
  IF admitted IS NULL THEN RETURN; END IF;
  IF NOT regardless THEN PERFORM tailrace.count_recording(counts); END IF;

  IF rows IS NOT NULL THEN
    SELECT CASE WHEN a.attidentity <> '' THEN format('nextval(%L::regclass)', pg_get_serial_sequence(queue::text, 'id')) ELSE pg_get_expr(d.adbin, d.adrelid) END
    INTO next_id FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = queue AND a.attname = 'id';
    IF next_id IS NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
        MESSAGE = format('the column id of %s has no default, so that no event can get an id', queue);
    END IF;
    EXECUTE format('SELECT array_agg((%s)::bigint) FROM generate_series(1, $1)', next_id) INTO ids USING jsonb_array_length(rows);
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
      string_agg(format('(r.fields ->> %L)::%s', a.attname, format_type(a.atttypid, NULL)), ', ' ORDER BY a.attnum)
    INTO targets, texts FROM pg_attribute a
    WHERE a.attrelid = queue AND a.attname IN (SELECT jsonb_object_keys(e) FROM jsonb_array_elements(rows) e);
    EXECUTE format('INSERT INTO %s (id, %s) OVERRIDING SYSTEM VALUE SELECT ($2)[r.at], %s FROM jsonb_array_elements($1) WITH ORDINALITY AS r(fields, at)', queue, targets, texts)
    USING rows, ids;
  END IF;
  RETURN QUERY SELECT CASE WHEN a.is_on THEN ids[count(*) FILTER (WHERE a.is_on) OVER (ORDER BY a.at)] END
    FROM unnest(admitted) WITH ORDINALITY AS a(is_on, at) ORDER BY a.at;
END $$;

-- All of an array, or none. One id for each event in its order; NULL: its type is switched off.
CREATE OR REPLACE FUNCTION tailrace.record_events(events jsonb) RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE ${queuePath} AS $$
DECLARE
  settings record; columns jsonb; event jsonb; at bigint; checked record; rows jsonb[] := '{}';
BEGIN
  IF jsonb_typeof(events) IS DISTINCT FROM 'array' THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'expected an array of events';
  END IF;
  SELECT * INTO settings FROM tailrace.recording_settings();
  columns := tailrace.queue_columns(settings.queue);
  FOR event, at IN SELECT * FROM jsonb_array_elements(events) WITH ORDINALITY LOOP
    SELECT * INTO checked FROM tailrace.normalize_event(event, columns, settings.server_id, settings.bounce_text_bytes);
    IF checked.problem IS NOT NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('event %s: %s', at, checked.problem);
    END IF;
    rows := rows || jsonb_build_object('fields', checked.fields, 'of_studio', checked.of_studio);
  END LOOP;
  RETURN QUERY SELECT * FROM tailrace.insert_events(to_jsonb(rows), false);
END $$;

-- The id of the event; NULL: its type is switched off.
CREATE OR REPLACE FUNCTION tailrace.record_event(event jsonb) RETURNS bigint
LANGUAGE plpgsql VOLATILE ${queuePath} AS $$
DECLARE
  settings record; checked record;
BEGIN
  SELECT * INTO settings FROM tailrace.recording_settings();
  SELECT * INTO checked FROM tailrace.normalize_event(event, tailrace.queue_columns(settings.queue), settings.server_id, settings.bounce_text_bytes);
  IF checked.problem IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = checked.problem;
  END IF;
  RETURN (SELECT * FROM tailrace.insert_events(jsonb_build_array(jsonb_build_object('fields', checked.fields, 'of_studio', checked.of_studio)), false));
END $$;
`;
}
