import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { printJsonSchema } from '../../src/config/json-schema.ts';
import { load, messages } from './config-file.ts';

const PAGE = await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
const HTTP_PAGE = await readFile(new URL('../../docs/http-destinations.md', import.meta.url), 'utf8');
const EXAMPLES = [...PAGE.matchAll(/```json\n(.*?)```/gs)].map(([, text]) => text ?? '');

test('the page has examples', () => {
  expect(EXAMPLES.length).toBeGreaterThan(2);
});

test.each(EXAMPLES)('each example of the page is good as it is: %#', async (text) => {
  expect(messages(await load(text, { CRM_HOOK_URL: 'https://crm.example.com/hook' }))).toEqual([]);
});

test('the page names every key that the JSON Schema offers', () => {
  const missing = [...printJsonSchema().matchAll(/"(\w+)": \{/g)]
    .map(([, key]) => key ?? '')
    .filter(
      (key) => !['properties', 'propertyNames', 'additionalProperties', 'items', 'default', 'retry'].includes(key),
    )
    .filter((key) => !new RegExp(`["\`.]${key}["\`:]`).test(PAGE));
  expect([...new Set(missing)]).toEqual([]);
});

test('the example of the page about HTTP lacks nothing but the files and variables that it names', async () => {
  const [, example = ''] = /```json\n(.*?)```/s.exec(HTTP_PAGE) ?? [];
  const problems = (await load(example, { CRM_API_KEY: 'x', CRM_SIGNING_SECRET: `whsec_${'a'.repeat(32)}` })).problems;
  expect(problems.map(({ message }) => message)).toEqual([
    expect.stringContaining('/run/secrets/crm-token cannot be read'),
    ...['ca.pem', 'client.pem', 'client.key'].map((file) => expect.stringContaining(`/${file} cannot be read`)),
  ]);
});
