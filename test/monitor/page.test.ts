import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createWorld, httpPost, type World } from '../acceptance/world.ts';
import { openPage, startBrowser } from '../helpers/browser.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { requireTool } from '../helpers/require-tool.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { TOKEN, watch } from './scene.ts';

/** A folder for pictures, for whoever wants to look. */
const PICTURES = process.env.TAILRACE_PICTURES;
const picture = async (page: Page, name: string): Promise<void> => {
  if (PICTURES) await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
};

const STRANGE = '<img src=x onerror="alert(1)">"</script><script>alert(2)</script>@example.com';
const LONG = `503 with a long story: ${'no room for this, '.repeat(40)}<b onclick="alert(3)">really</b>`;

const textOf = (page: Page, selector: string): Promise<string> => page.locator(selector).innerText();
/** The number of a tile. */
const figureOf = async (page: Page, title: string): Promise<number> =>
  Number((await textOf(page, `#tiles > div:has(dt:text-is("${title}")) dd`)).replace(/[^\d.]/g, ''));

/** Two destinations, the first of which fails with a long error. */
async function configure(world: World, good: string, bad: string): Promise<void> {
  const entry = (name: string, matches: object, url: string): object => httpPost(url, {}, { name, matches });
  await world.configure({
    logfile: { filename: world.log },
    event_destinations: [
      entry('crm', { event_type: 'scomp' }, bad),
      entry('warehouse, with a rather long name that has to wrap somewhere', { all: true }, good),
    ],
  });
}

describe.skipIf(!requireTool('chromium'))('the page', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser.close();
  });

  test('shows figures that grow, states, errors and lines, and what strangers wrote as text', async () => {
    await using world = await createWorld();
    await using good = await createHttpReceiver({ delayMs: 3 });
    await using bad = await createHttpReceiver({ status: 503, body: LONG });
    await configure(world, good.url(), bad.url());
    await using watched = await watch(world, { env: { TAILRACE_HTTP_TOKEN: TOKEN } });
    await world.insert(40, { event_type: 'scomp', email: STRANGE });
    await using opened = await openPage(browser, watched.address);
    const { page, faults } = opened;
    await page.getByLabel('Token', { exact: true }).fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.locator('#figures').waitFor();
    const before = await waitFor(() => figureOf(page, 'Logged since the start'));
    for (let turn = 0; turn < 6; turn += 1) {
      await world.insert(50 + 30 * turn);
      await page.waitForTimeout(700);
    }
    await waitFor(async () => (await figureOf(page, 'Logged since the start')) > before);
    await waitFor(async () => /L/.test((await page.locator('#curves path').first().getAttribute('d')) ?? ''));
    const crm = page.locator('#destinations > li', { hasText: 'crm' });
    await waitFor(async () => (await crm.locator('.badge').innerText()).startsWith('open'));
    await waitFor(async () => (await crm.locator('.error').innerText()).includes('503'));
    await world.insert(1, { email: STRANGE });
    await waitFor(async () => (await textOf(page, '#lines')).includes('onerror'));
    expect(await page.locator('img').count()).toBe(0);
    expect(await page.locator('#lines li').count()).toBe(20);
    await picture(page, 'light-1280');
    expect(await opened.audit()).toEqual([]);
    await page.emulateMedia({ colorScheme: 'dark' });
    await picture(page, 'dark-1280');
    expect(await opened.audit()).toEqual([]);
    await page.setViewportSize({ width: 360, height: 740 });
    await picture(page, 'dark-360');
    expect(await opened.audit()).toEqual([]);
    // Nothing is wider than a phone.
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(360);
    await page.emulateMedia({ colorScheme: 'light' });
    await picture(page, 'light-360');
    expect(faults).toEqual([]);
  }, 180_000);

  test('pauses and resumes by keyboard, and keeps the focus', async () => {
    await using world = await createWorld();
    await using good = await createHttpReceiver();
    await configure(world, good.url(), good.url());
    await using watched = await watch(world, { env: { TAILRACE_HTTP_TOKEN: TOKEN } });
    await world.insert(1);
    await using opened = await openPage(browser, watched.address);
    const { page, faults } = opened;
    await page.locator('#sign-in').waitFor();
    await picture(page, 'token');
    expect(await opened.audit()).toEqual([]);
    await page.keyboard.press('Tab');
    await page.keyboard.type('not-the-token-0123456789');
    await page.keyboard.press('Enter');
    await page.getByText('That token is not one of this process.').waitFor();
    await page.keyboard.type(TOKEN);
    await page.keyboard.press('Enter');
    const button = page.getByRole('button', { name: 'Pause crm' });
    await button.waitFor();
    const focused = (): Promise<string | null> =>
      page.evaluate('document.activeElement?.getAttribute("aria-label")') as Promise<string | null>;
    for (let steps = 0; (await focused()) !== 'Pause crm' && steps < 20; steps += 1) await page.keyboard.press('Tab');
    const isPaused = async (): Promise<boolean> => {
      const [row] = await world.database.query<{ paused: boolean }>(
        `SELECT paused FROM tailrace.destination WHERE key = 'crm'`,
      );
      return row?.paused ?? false;
    };
    await page.keyboard.press('Space');
    await waitFor(isPaused);
    await waitFor(async () => (await focused()) === 'Resume crm');
    expect(await textOf(page, '#destinations > li:has-text("crm") .badge')).toBe('paused');
    expect(await textOf(page, '#said')).toBe('crm: paused');
    await page.keyboard.press('Enter');
    await waitFor(async () => !(await isPaused()));
    await waitFor(async () => (await focused()) === 'Pause crm');
    expect(faults).toEqual([]);
    await page.getByRole('button', { name: 'Forget the token' }).click();
    await page.locator('#sign-in').waitFor();
  }, 180_000);

  test("without a token there are no buttons and nobody's address, and a lost process is said", async () => {
    await using world = await createWorld();
    await using good = await createHttpReceiver();
    await configure(world, good.url(), good.url());
    await using watched = await watch(world);
    await world.insert(3, { email: 'person@example.com' });
    await using opened = await openPage(browser, watched.address, { width: 360, height: 740 });
    const { page, faults } = opened;
    await waitFor(async () => (await page.locator('#lines li').count()) === 3);
    expect(await textOf(page, '#lines')).not.toContain('person@');
    expect(await textOf(page, '#lines')).toMatch(/"event_type":"engine_open", …\}/);
    expect(await page.getByRole('button').count()).toBe(0);
    expect(await page.content()).not.toContain('person@');
    await watched.program[Symbol.asyncDispose]();
    await page.getByText(/The process does not answer.*the figures are those of/).waitFor();
    await picture(page, 'lost');
    expect(await opened.audit()).toEqual([]);
    expect(faults).toEqual([]);
  }, 180_000);
});
