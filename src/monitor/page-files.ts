// The page's own files, which lie in the package as they are served: no build step, nothing from elsewhere. Read once at
// the start.

import { readFile } from 'node:fs/promises';

const FOLDER = new URL('../../src/web-page/', import.meta.url);
const FILES = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/app.js', 'app.js', 'text/javascript; charset=utf-8'],
  ['/curves.js', 'curves.js', 'text/javascript; charset=utf-8'],
  ['/figures.js', 'figures.js', 'text/javascript; charset=utf-8'],
  ['/app.css', 'app.css', 'text/css; charset=utf-8'],
  ['/icon.svg', 'icon.svg', 'image/svg+xml'],
] as const;

/** Their paths. */
export const PAGE_PATHS: readonly string[] = FILES.map(([path]) => path);

export interface PageFile {
  readonly path: string;
  readonly contentType: string;
  readonly bytes: Buffer;
}

/** @throws the file system's error when the package is not whole. */
export function readPageFiles(): Promise<readonly PageFile[]> {
  return Promise.all(
    FILES.map(async ([path, name, contentType]) => ({
      path,
      contentType,
      bytes: await readFile(new URL(name, FOLDER)),
    })),
  );
}
