// Sets of bigint ids as bitmaps of 1,024, the same blocks as tailrace.ledger: dense ids cost one bit each, so that a
// million ids of a run take 128 KB instead of 100 MB of strings. Ids are decimal strings outside, bits inside.

/** log2 of the ids in a block; a block is `id >> 10`, a bit `id & 1023`. */
const BLOCK_SHIFT = 10n;
const BLOCK_MASK = 1023n;
const WORDS = 32;

/** The block of an id, as a decimal string. */
export function blockOf(id: string): string {
  return splitId(id).block;
}

/** Splits an id into its block and the bit within it; negative ids shift arithmetically, as in PostgreSQL. */
export function splitId(id: string): { readonly block: string; readonly bit: number } {
  if (id.length < 16 && id.charCodeAt(0) !== 45) {
    const value = Number(id);
    return { block: String(Math.floor(value / 1024)), bit: value % 1024 };
  }
  const value = BigInt(id);
  return { block: (value >> BLOCK_SHIFT).toString(), bit: Number(value & BLOCK_MASK) };
}

/**
 * The ids of a `bit(1024)` as PostgreSQL writes it, leftmost bit first.
 *
 * @param block the block's number, decimal.
 */
export function* idsOfBits(block: string, bits: string): Generator<string> {
  const base = BigInt(block) << BLOCK_SHIFT;
  for (let bit = bits.indexOf('1'); bit >= 0; bit = bits.indexOf('1', bit + 1)) yield (base + BigInt(bit)).toString();
}

export class IdSet {
  readonly #blocks = new Map<string, Uint32Array>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(id: string): boolean {
    const { block, bit } = splitId(id);
    const words = this.#blocks.get(block);
    return words !== undefined && ((words[bit >> 5] ?? 0) & (1 << (bit & 31))) !== 0;
  }

  /** @returns false when it was in the set already. */
  add(id: string): boolean {
    const { block, bit } = splitId(id);
    const words = this.#blocks.get(block) ?? new Uint32Array(WORDS);
    this.#blocks.set(block, words);
    const word = words[bit >> 5] ?? 0;
    const mask = 1 << (bit & 31);
    if (word & mask) return false;
    words[bit >> 5] = word | mask;
    this.#size += 1;
    return true;
  }

  *[Symbol.iterator](): Generator<string> {
    for (const [block, words] of this.#blocks) {
      const base = BigInt(block) << BLOCK_SHIFT;
      for (const [at, word] of words.entries()) {
        for (let bit = 0; word >>> bit !== 0 && bit < 32; bit += 1)
          if (word & (1 << bit)) yield (base + BigInt(at * 32 + bit)).toString();
      }
    }
  }

  /** @returns false when it was not in the set. */
  delete(id: string): boolean {
    const { block, bit } = splitId(id);
    const words = this.#blocks.get(block);
    const word = words?.[bit >> 5] ?? 0;
    const mask = 1 << (bit & 31);
    if (!words || !(word & mask)) return false;
    words[bit >> 5] = word & ~mask;
    this.#size -= 1;
    if (words.every((each) => each === 0)) this.#blocks.delete(block);
    return true;
  }
}
