import { expect, test } from 'vitest';
import { dropFreePages, lendPageBuffer, takeBack } from '../../src/flow/page-buffers.ts';

test('a page that is given back is lent again, to one at a time however often it was given back', () => {
  const page = lendPageBuffer(1_000);
  takeBack(page);
  takeBack(page);
  const again = lendPageBuffer(1_000);
  expect(again).toBe(page);
  expect(lendPageBuffer(1_000)).not.toBe(page);
});

test('only what was lent is taken in, and nothing huge', () => {
  dropFreePages();
  const [stranger, huge] = [Buffer.alloc(2_000), lendPageBuffer(9 * 1024 * 1024)];
  takeBack(stranger);
  takeBack(huge);
  const page = lendPageBuffer(2_000);
  expect(page).not.toBe(stranger);
  expect(page).not.toBe(huge);
});

test('few pages are kept, and none while nothing is read', () => {
  const pages = Array.from({ length: 20 }, () => lendPageBuffer(3_000));
  for (const page of pages) takeBack(page);
  const kept = Array.from({ length: 20 }, () => lendPageBuffer(3_000)).filter((page) => pages.includes(page));
  expect(kept.length).toBe(6);
  for (const page of kept) takeBack(page);
  dropFreePages();
  expect(kept).not.toContain(lendPageBuffer(3_000));
});
