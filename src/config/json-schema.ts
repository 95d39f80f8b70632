// The JSON Schema of the configuration, for completion and checks in editors. Made from the shapes; what this version
// refuses is not in it.

import { z } from 'zod';
import { destinationShape } from './destination-shape.ts';
import { configShape, entryShape } from './shape.ts';
import { UNAVAILABLE_KEYS } from './unavailable.ts';

type Schema = z.core.JSONSchema.BaseSchema;

/** The text of docs/event_processor.schema.json: JSON Schema draft 7, which editors know best. */
export function printJsonSchema(): string {
  const schema = z.toJSONSchema(configShape, {
    target: 'draft-7',
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema === configShape) withoutUnavailable(jsonSchema, 'top');
      if (zodSchema === entryShape) withoutUnavailable(jsonSchema, 'entry');
      if (destinationShape.options.some((option) => option === zodSchema)) {
        withoutUnavailable(jsonSchema, 'destination');
      }
    },
  });
  return `${JSON.stringify(schema, null, 2)}\n`;
}

function withoutUnavailable(schema: Schema, place: 'top' | 'entry' | 'destination'): void {
  for (const { key, off } of UNAVAILABLE_KEYS.filter((entry) => entry.place === place)) {
    if (schema.properties?.[key] === undefined) continue;
    if (off === undefined) delete schema.properties[key];
    else schema.properties[key] = { const: off, default: off, description: 'Not available in this version yet.' };
  }
}
