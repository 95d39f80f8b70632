import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type LoadedConfig, loadConfig } from '../../src/config/load.ts';
import { temporaryFolder } from './config-file.ts';

/** JSON values of the right and of the wrong kind. */
const word = fc.constantFrom(
  'scomp',
  'hook_stat',
  'a',
  '',
  'all',
  '\u0000',
  '__proto__',
  'https://u:p@h/x?y',
  'json',
  'ü',
);
const junk = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  word,
  fc.integer(),
  fc.constantFrom(null, true, 1e308, -0, [], {}),
);
const or = <T>(arbitrary: fc.Arbitrary<T>) => fc.oneof({ weight: 8, arbitrary }, { weight: 1, arbitrary: junk });
const keys = (shape: Record<string, fc.Arbitrary<unknown>>) =>
  fc
    .tuple(
      fc.record(shape, { requiredKeys: [] }),
      fc.option(fc.dictionary(word, junk, { maxKeys: 2 }), { nil: {}, freq: 6 }),
    )
    .map(([known, unknown]) => ({ ...known, ...unknown }));

const words = fc.oneof(word, fc.array(or(word), { maxLength: 4 }));
const secret = or(fc.oneof(fc.webUrl(), keys({ env: word }), keys({ file: word })));
const destination = keys({
  type: or(fc.constantFrom('http_post', 'custom_sql', 'sql_insert', 'leave_in_queue', 'drop_from_queue')),
  url: secret,
  db_dsn: secret,
  headers: fc.dictionary(word, secret),
  auth: or(keys({ bearer: secret, basic: keys({ username: secret, password: secret }) })),
  timeout_ms: or(fc.integer()),
  retry: or(keys({ initial_ms: or(fc.integer()), max_ms: or(fc.integer()) })),
  batch: or(keys({ max_events: junk })),
  compress: junk,
});
const entry = keys({
  name: or(word),
  enabled: or(fc.boolean()),
  continue: or(fc.boolean()),
  matches: or(keys({ all: or(fc.constant(true)), event_type: or(words), mail_class: or(words) })),
  destination: or(destination),
});
const configuration = or(
  keys({
    configuration_mode: or(fc.constant('json')),
    use_json_for_http_post: or(fc.boolean()),
    logfile: or(
      keys({ filename: or(word), mode: or(fc.constantFrom('0640', '9')), filename_append_date: or(fc.boolean()) }),
    ),
    event_destinations: or(fc.array(or(entry), { maxLength: 6 })),
    max_event_bytes: or(fc.integer()),
  }),
);

/** Texts that are nearly JSON: a piece taken out, put in or doubled. */
const mutated = fc
  .tuple(
    configuration.map((value) => JSON.stringify(value, null, 1)),
    fc.nat(),
    fc.nat(20),
    fc.constantFrom(
      '',
      '"',
      '{',
      '}',
      '[',
      ',',
      ':',
      "'",
      '//',
      '/*',
      '\\',
      '\n',
      '\t',
      '\u00a0',
      '\ufeff',
      '\u2028',
      '01',
      'x',
      '\u0001',
      '-',
    ),
  )
  .map(([text, seed, length, piece]) => {
    const at = seed % (text.length + 1);
    return text.slice(0, at) + piece + text.slice(at + length);
  });

function expectPositionsInside(text: string, { problems, warnings }: LoadedConfig): void {
  const lines = text.replace(/^\ufeff/, '').split('\n');
  for (const { line, column, message } of [...problems, ...warnings]) {
    expect(line).toBeGreaterThanOrEqual(1);
    expect(line).toBeLessThanOrEqual(lines.length);
    expect(column).toBeGreaterThanOrEqual(1);
    expect(column).toBeLessThanOrEqual((lines[line - 1]?.length ?? 0) + 1);
    expect(message).toMatch(/^[^\n\r]+$/);
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text.replace(/^\ufeff/, ''));
    return true;
  } catch {
    return false;
  }
}

test('no file makes loading throw, and every problem has a place inside the file', async () => {
  const file = join(await temporaryFolder(), 'event_processor.json');
  const texts = fc.oneof(
    configuration.map((value) => JSON.stringify(value, null, 1)),
    mutated,
    mutated,
    fc.string({ unit: 'binary' }),
  );
  await fc.assert(
    fc.asyncProperty(texts, async (written) => {
      await writeFile(file, written);
      const text = await readFile(file, 'utf8');
      const loaded = await loadConfig(file, { env: { a: 'https://h/' } });
      expectPositionsInside(text, loaded);
      expect(loaded.config === null).toBe(loaded.problems.length > 0);
      if (!isJson(text)) expect(loaded.config).toBeNull();
    }),
    { numRuns: 500 },
  );
});

test('a configuration of known good parts is good, whatever the parts', async () => {
  const file = join(await temporaryFolder(), 'event_processor.json');
  const rule = fc.record(
    {
      event_type: fc.constantFrom('scomp', ['engine_open', 'hook_unsub']),
      mail_class: fc.constantFrom('a', ['b', 'C']),
    },
    { requiredKeys: [] },
  );
  const good = fc.record({
    logfile: fc.record({ filename: fc.constantFrom('/l', 'l'), filename_append_date: fc.boolean() }),
    event_destinations: fc
      .array(
        fc.record({
          matches: rule.filter((matches) => Object.keys(matches).length > 0),
          destination: fc.oneof(
            fc.record({ type: fc.constant('http_post'), url: fc.webUrl({ withQueryParameters: true }) }),
            fc.constantFrom({ type: 'leave_in_queue' }, { type: 'drop_from_queue' }),
          ),
        }),
      )
      .map((entries) => [...entries, { matches: { all: true }, destination: { type: 'drop_from_queue' } }]),
    max_event_bytes: fc.integer({ min: 1_024, max: 67_108_864 }),
  });
  await fc.assert(
    fc.asyncProperty(good, async (value) => {
      await writeFile(file, JSON.stringify(value));
      const { config, problems } = await loadConfig(file, { env: {} });
      expect(problems).toEqual([]);
      expect(config?.routes).toHaveLength(value.event_destinations.length);
    }),
    { numRuns: 200 },
  );
});
