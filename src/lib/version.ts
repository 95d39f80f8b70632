// The version of this program, as package.json has it: for `--version`, the user agent and whatever else says who we are.

import { readFileSync } from 'node:fs';

/** The version of tailrace, for example `0.1.0`. */
export function version(): string {
  // The same two folders up from src/lib and from dist/lib.
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  if (typeof manifest === 'object' && manifest !== null && 'version' in manifest) return String(manifest.version);
  throw new Error('package.json of tailrace has no version');
}
