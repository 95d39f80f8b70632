// A set of ids for hundreds of millions of them: one bit an id where they are dense, in blocks of 1,024 as in
// tailrace.ledger, out of a few large pages. IdSet does the same for the thousands of a run, but with an object and a
// decimal string for each block. Here an id is two numbers, which hold every bigint: its block `id >> 10`, and its bit.

const WORDS = 32;
const PAGE_BLOCKS = 2_048;
/** What a map of numbers takes for each entry, about. */
const ENTRY_BYTES = 48;
/** Eight billion dense ids, or 1.4 GB in the worst case. */
const MOST_BLOCKS = 8 * 1024 * 1024;

/** The id that a block and a bit stand for. */
export const idOf = (block: number, bit: number): bigint => BigInt(block) * 1024n + BigInt(bit);

/** Block and bit of an id. */
export const placeOf = (id: bigint): { readonly block: number; readonly bit: number } => ({
  block: Number(id >> 10n),
  bit: Number(id & 1023n),
});

/** Ids without a hole, ends included. */
export interface IdRange {
  readonly from: bigint;
  readonly to: bigint;
}

export class IdBitmap {
  readonly #slots = new Map<number, number>();
  readonly #pages: Uint32Array[] = [];
  readonly #mostBlocks: number;
  #size = 0;
  #lastBlock = Number.NaN;
  #lastSlot = 0;

  constructor(mostBlocks = MOST_BLOCKS) {
    this.#mostBlocks = mostBlocks;
  }

  get size(): number {
    return this.#size;
  }

  /** How much memory it takes, about. */
  get bytes(): number {
    return this.#pages.length * PAGE_BLOCKS * WORDS * 4 + this.#slots.size * ENTRY_BYTES;
  }

  /** It takes no ids of further blocks any more; `add` says of those that they are new. */
  get isFull(): boolean {
    return this.#slots.size >= this.#mostBlocks;
  }

  /** @returns false when it was in the set already. */
  add(block: number, bit: number): boolean {
    if (block !== this.#lastBlock && !this.#find(block) && !this.#make(block)) return true;
    const page = this.#pages[Math.floor(this.#lastSlot / PAGE_BLOCKS)] as Uint32Array;
    const at = (this.#lastSlot % PAGE_BLOCKS) * WORDS + (bit >> 5);
    const word = page[at] as number;
    const mask = 1 << (bit & 31);
    if ((word & mask) !== 0) return false;
    page[at] = word | mask;
    this.#size += 1;
    return true;
  }

  has(block: number, bit: number): boolean {
    if (block !== this.#lastBlock && !this.#find(block)) return false;
    const page = this.#pages[Math.floor(this.#lastSlot / PAGE_BLOCKS)] as Uint32Array;
    return ((page[(this.#lastSlot % PAGE_BLOCKS) * WORDS + (bit >> 5)] as number) & (1 << (bit & 31))) !== 0;
  }

  /** The 32 words of a block; null when none of its ids is in the set. */
  words(block: number): Uint32Array | null {
    if (block !== this.#lastBlock && !this.#find(block)) return null;
    const start = (this.#lastSlot % PAGE_BLOCKS) * WORDS;
    return (this.#pages[Math.floor(this.#lastSlot / PAGE_BLOCKS)] as Uint32Array).subarray(start, start + WORDS);
  }

  /** The blocks with an id in the set, ascending. */
  blocks(): readonly number[] {
    return [...this.#slots.keys()].sort((a, b) => a - b);
  }

  /** All ids, ascending. */
  *ids(): Generator<bigint> {
    for (const block of this.blocks()) {
      for (let bit = 0; bit < 1_024; bit += 1) if (this.has(block, bit)) yield idOf(block, bit);
    }
  }

  /** What lies between the ids of the set, ascending. */
  *gaps(): Generator<IdRange> {
    let next: bigint | null = null;
    for (const block of this.blocks()) {
      const words = this.words(block) as Uint32Array;
      for (let word = 0; word < WORDS; word += 1) {
        const bits = words[word] as number;
        if (bits === 0) continue;
        const first = idOf(block, word * 32);
        if (bits === 0xffff_ffff && next === first) {
          next = first + 32n;
          continue;
        }
        for (let bit = 0; bit < 32; bit += 1) {
          if ((bits & (1 << bit)) === 0) continue;
          const id: bigint = first + BigInt(bit);
          if (next !== null && id > next) yield { from: next, to: id - 1n };
          next = id + 1n;
        }
      }
    }
  }

  #find(block: number): boolean {
    const slot = this.#slots.get(block);
    if (slot === undefined) return false;
    this.#lastBlock = block;
    this.#lastSlot = slot;
    return true;
  }

  #make(block: number): boolean {
    if (this.isFull) return false;
    const slot = this.#slots.size;
    if (slot % PAGE_BLOCKS === 0) this.#pages.push(new Uint32Array(PAGE_BLOCKS * WORDS));
    this.#slots.set(block, slot);
    this.#lastBlock = block;
    this.#lastSlot = slot;
    return true;
  }
}
