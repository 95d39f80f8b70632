// Lines that are looked for, by the millions: of each only its stamp and a checksum are kept, 20 bytes in all, in an
// open hash table. Stamps grow by at least a microsecond from line to line, so two that share one and differ in nothing
// that CRC-32 shows are the same line.

import { crc32 } from 'node:zlib';

const PREFIX = Buffer.from('{"time_written_to_logfile":', 'latin1');
const ZERO = 0x30;
const NINE = 0x39;
const POINT = 0x2e;
/** Digits of a stamp at most, with those of the microseconds. */
const STAMP_DIGITS = 17;
/** Fibonacci hashing: stamps of a batch follow each other, and shall not share a corner of the table. */
const SPREAD = 0x9e3779b1;

export class LineSet {
  readonly #stamps: Float64Array;
  readonly #checksums: Uint32Array;
  readonly #found: Uint8Array;
  /** Numbers of lines, from 1 on; 0 = free. At most half of it is in use. */
  readonly #slots: Uint32Array;
  readonly #shift: number;
  #size = 0;
  #missing = 0;

  /** @param most how many lines it has room for. */
  constructor(most: number) {
    const bits = Math.max(1, 32 - Math.clz32(most)) + 1;
    this.#shift = 32 - bits;
    this.#slots = new Uint32Array(2 ** bits);
    this.#stamps = new Float64Array(most);
    this.#checksums = new Uint32Array(most);
    this.#found = new Uint8Array(most);
  }

  /** How many of the lines have not been found. */
  get missing(): number {
    return this.#missing;
  }

  /** @returns the line's number, from 0 on in the order of the calls. */
  add(line: Buffer): number {
    const at = this.#size;
    const stamp = stampAt(line, 0);
    this.#stamps[at] = stamp;
    this.#checksums[at] = crc32(line);
    let slot = this.#slotOf(stamp);
    while (this.#slots[slot] !== 0) slot = this.#after(slot);
    this.#slots[slot] = at + 1;
    this.#size += 1;
    this.#missing += 1;
    return at;
  }

  /** Takes note of a line that stands in a file. */
  find(bytes: Buffer, start: number, end: number): void {
    const stamp = stampAt(bytes, start);
    let checksum = -1;
    let slot = this.#slotOf(stamp);
    for (let number = this.#slots[slot] ?? 0; number > 0; number = this.#slots[slot] ?? 0) {
      const at = number - 1;
      slot = this.#after(slot);
      if (this.#stamps[at] !== stamp || this.#found[at] !== 0) continue;
      if (checksum < 0) checksum = crc32(bytes.subarray(start, end));
      if (this.#checksums[at] !== checksum) continue;
      this.#found[at] = 1;
      this.#missing -= 1;
    }
  }

  /** Whether a line, by its number, was found. */
  has(at: number): boolean {
    return this.#found[at] === 1;
  }

  #slotOf(stamp: number): number {
    return Math.imul(stamp, SPREAD) >>> this.#shift;
  }

  #after(slot: number): number {
    return (slot + 1) & (this.#slots.length - 1);
  }
}

/** The stamp of a line in microseconds; 0 for what does not begin like a line of ours. */
function stampAt(bytes: Buffer, start: number): number {
  const from = start + PREFIX.length;
  if (bytes.compare(PREFIX, 0, PREFIX.length, start, Math.min(from, bytes.length)) !== 0) return 0;
  let stamp = 0;
  for (let at = from; at < from + STAMP_DIGITS + 1; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte >= ZERO && byte <= NINE) stamp = stamp * 10 + (byte - ZERO);
    else if (byte !== POINT) break;
  }
  return stamp;
}
