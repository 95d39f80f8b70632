// From the configuration's `destination` to what previews its requests or statements.

import type { Config, DestinationConfig } from '../config/config.ts';
import { createHttpPreview } from './http-preview.ts';
import type { Previewer } from './preview.ts';
import { createSqlDriver } from './sql/create-driver.ts';
import { createCustomSqlPreview, createSqlInsertPreview } from './sql/sql-preview.ts';

export interface PreviewOptions {
  readonly config: Pick<Config, 'httpUserAgent' | 'expandJsonColumns'>;
  /** Databases of `sql_insert` destinations are connected to, and their catalog is read. */
  readonly look: boolean;
}

/** Creates what previews one destination. Nothing is ever sent. */
export function createPreview(destination: DestinationConfig, { config, look }: PreviewOptions): Previewer {
  switch (destination.type) {
    case 'http_post':
      return createHttpPreview(destination, config);
    case 'custom_sql':
      return createCustomSqlPreview(destination, { driver: createSqlDriver(destination), look });
    case 'sql_insert':
      return createSqlInsertPreview(destination, { driver: createSqlDriver(destination), look });
    case 'drop_from_queue':
    case 'leave_in_queue':
      return async () => ({ kind: 'nothing' });
    default:
      return destination satisfies never;
  }
}
