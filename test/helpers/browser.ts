// A headless Chromium of the system, which notes what a page must not do: errors on its console, requests to anywhere
// else, dialogs.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { findTool } from './require-tool.ts';

export interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  /** What the page did that it must not. */
  readonly faults: readonly string[];
  /** Accessibility faults, each with where it is. */
  audit(): Promise<readonly string[]>;
}

export interface OpenPageOptions {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
}

/** Starts Chromium. The sandbox is off, since tests may run as root. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = findTool('chromium');
  if (executablePath === undefined) throw new Error('chromium is not installed');
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

/** Opens a page in a profile of its own. */
export async function openPage(
  browser: Browser,
  address: string,
  { width = 1280, height = 900, dark = false }: OpenPageOptions = {},
): Promise<OpenPage> {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: dark ? 'dark' : 'light',
    locale: 'en-GB',
    // axe is put in by the test; the page's own rules would not let it.
    bypassCSP: false,
  });
  const faults: string[] = [];
  const page = await context.newPage();
  page.on('console', (message) => {
    // A refused request is what some tests ask for.
    if (message.type() !== 'error' || /status of 40[13]|ERR_CONNECTION/.test(message.text())) return;
    faults.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== address) faults.push(`request: ${request.url()}`);
  });
  await page.goto(address);
  return {
    page,
    faults,
    async audit() {
      const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
      // Through the debugger, which no Content-Security-Policy binds.
      await page.evaluate(source);
      const results = await page.evaluate(async () => {
        const { axe } = globalThis as unknown as { axe: { run(): Promise<AxeResults> } };
        return axe.run();
      });
      return results.violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
    },
    [Symbol.asyncDispose]: () => context.close(),
  };
}
