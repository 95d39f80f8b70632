import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bisect, type PartResult } from '../../src/destinations/bisect.ts';

const ACCEPTED: PartResult = { ok: true };
const REFUSED: PartResult = { ok: false, error: 'value out of range', blame: 'event' };
const DOWN: PartResult = { ok: false, error: 'connection refused' };

const numbers = (count: number) => Array.from({ length: count }, (_, at) => at);

/** A receiver that refuses each part with a bad number in it. */
function receiver(bad: ReadonlySet<number>) {
  const parts: (readonly number[])[] = [];
  const delivered: number[] = [];
  const attempt = async (part: readonly number[]): Promise<PartResult> => {
    parts.push(part);
    if (part.some((number) => bad.has(number))) return REFUSED;
    delivered.push(...part);
    return ACCEPTED;
  };
  return { attempt, parts, delivered };
}

describe('bisect', () => {
  it('delivers a good batch in one attempt', async () => {
    const { attempt, parts } = receiver(new Set());
    expect(await bisect(numbers(100), attempt)).toEqual(numbers(100).map(() => ACCEPTED));
    expect(parts).toHaveLength(1);
  });

  it('finds one bad event among a hundred in few attempts', async () => {
    const { attempt, parts, delivered } = receiver(new Set([37]));
    const results = await bisect(numbers(100), attempt);
    expect(results.flatMap((result, at) => (result.ok ? [] : [at]))).toEqual([37]);
    expect(delivered).toHaveLength(99);
    expect(parts.length).toBeLessThanOrEqual(2 * 7 + 1);
  });

  it('delivers each good event exactly once and refuses exactly the bad ones, wherever they stand', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 60 }), async (isBad) => {
        const bad = new Set(numbers(isBad.length).filter((at) => isBad[at]));
        const { attempt, parts, delivered } = receiver(bad);
        const results = await bisect(numbers(isBad.length), attempt);
        expect(results).toEqual(isBad.map((refused) => (refused ? REFUSED : ACCEPTED)));
        expect(delivered).toEqual(numbers(isBad.length).filter((at) => !isBad[at]));
        expect(parts.every((part) => part.length > 0)).toBe(true);
      }),
    );
  });

  it('fails the whole batch without halving it when the destination fails', async () => {
    let attempts = 0;
    const results = await bisect(numbers(10), async () => {
      attempts += 1;
      return DOWN;
    });
    expect(results).toEqual(numbers(10).map(() => DOWN));
    expect(attempts).toBe(1);
  });

  it('keeps what was accepted and attempts nothing more when the destination fails half-way', async () => {
    const answers = [REFUSED, ACCEPTED, DOWN];
    let attempts = 0;
    const results = await bisect(numbers(4), async () => answers[attempts++] ?? ACCEPTED);
    expect(results).toEqual([ACCEPTED, ACCEPTED, DOWN, DOWN]);
    expect(attempts).toBe(3);
  });

  it('passes on what an attempt throws', async () => {
    await expect(bisect([1], () => Promise.reject(new Error('a bug')))).rejects.toThrow('a bug');
  });
});
