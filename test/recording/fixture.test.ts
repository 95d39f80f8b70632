import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { EVENT_TYPES } from '../../src/event/catalog.ts';
import { QUEUE_COLUMNS } from '../../src/event/queue-columns.ts';
import { createNormalizer } from '../../src/recording/normalize.ts';

const FIXTURES = new URL('../../fixtures/', import.meta.url);
const fixture = () => readFile(new URL('events.jsonl', FIXTURES), 'utf8');

test('the fixture is what its generator makes', async () => {
  const generator = (await import(new URL('generate-events.mjs', FIXTURES).href)) as { generateFile(): string };
  expect(generator.generateFile() === (await fixture())).toBe(true);
});

test('every event of the fixture can be recorded, and every type is in it', async () => {
  const normalizer = createNormalizer(QUEUE_COLUMNS, { serverId: 'mail1', bounceTextBytes: 1024 });
  const results = (await fixture()).trimEnd().split('\n').map(normalizer.normalize);
  expect(results.filter((result) => !result.ok)).toEqual([]);
  const types = new Set(results.map((result) => (result.ok ? result.row.get('event_type') : '')));
  expect(EVENT_TYPES.filter(({ name }) => !types.has(name))).toEqual([]);
  expect(results.length).toBeGreaterThan(2_000);
});

test('the fixture names nobody who exists', async () => {
  const text = await fixture();
  const hosts = text.match(/[\w.-]+\.(?:com|net|org|de|io)\b/g) ?? [];
  expect(hosts.filter((host) => !/(?:^|[.-])example\.(?:com|net|org)$/.test(host))).toEqual([]);
});
