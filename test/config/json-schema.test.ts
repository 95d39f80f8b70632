import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { printJsonSchema } from '../../src/config/json-schema.ts';

test('the shipped JSON Schema is the one that the shapes make (npm run schema)', async () => {
  const shipped = new URL('../../docs/event_processor.schema.json', import.meta.url);
  expect(await readFile(shipped, 'utf8')).toBe(printJsonSchema());
});

test('every key that the JSON Schema offers says what it is for', () => {
  const undescribed: string[] = [];
  const visit = (schema: unknown, path: string): void => {
    if (typeof schema !== 'object' || schema === null) return;
    for (const [key, value] of Object.entries(schema)) {
      if (key === 'properties') {
        for (const [name, property] of Object.entries(value as object)) {
          if (!('description' in property)) undescribed.push(`${path}.${name}`);
        }
      }
      visit(value, `${path}.${key}`);
    }
  };
  visit(JSON.parse(printJsonSchema()), '');
  expect(undescribed).toEqual([]);
});
