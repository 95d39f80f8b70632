// The JSON Schema of the configuration, for completion and checks in editors. Made from the shapes.

import { z } from 'zod';
import { configShape } from './shape.ts';

/** The text of docs/event_processor.schema.json: JSON Schema draft 7, which editors know best. */
export function printJsonSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(configShape, { target: 'draft-7', io: 'input' }), null, 2)}\n`;
}
