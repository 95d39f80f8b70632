// Memory that is used again: recording moves gigabytes through buffers, and each hundred megabytes that are allocated and
// left to the garbage collector bring a dozen collections of the whole heap, on both processors.
//
//   lent ─▶ filled ─▶ in use by so many ─▶ given back when the last of them lets go
//
// What is never let go of, since an event was switched off on a way that failed, is simply left to the collector.

/** How much a pool keeps for use, at most: what two batches have and a little more. */
const MAX_FREE_BYTES = 16 * 1024 * 1024;

export interface BufferPool {
  /** A buffer of the pool's size, with anything in it. */
  lend(): Buffer;
  /** Takes a buffer back, or a part of one; what is not the pool's own is not taken. Nobody may look at it any more. */
  giveBack(bytes: Buffer): void;
}

/** Creates a pool of buffers of one size. */
export function createBufferPool(size: number): BufferPool {
  const free: Buffer[] = [];
  const lent = new WeakMap<ArrayBufferLike, Buffer>();
  return {
    lend() {
      const buffer = free.pop() ?? Buffer.allocUnsafeSlow(size);
      lent.set(buffer.buffer, buffer);
      return buffer;
    },
    giveBack(bytes) {
      const buffer = lent.get(bytes.buffer);
      lent.delete(bytes.buffer);
      if (buffer !== undefined && (free.length + 1) * size <= MAX_FREE_BYTES) free.push(buffer);
    },
  };
}

/** Bytes in which several lines or rows lie. Whoever fills them is a user, too. */
export class SharedBytes {
  readonly bytes: Buffer;
  readonly #giveBack: (bytes: Buffer) => void;
  #users = 1;

  constructor(bytes: Buffer, giveBack: (bytes: Buffer) => void) {
    this.bytes = bytes;
    this.#giveBack = giveBack;
  }

  addUser(): void {
    this.#users += 1;
  }

  /** One user less, who must not look at the bytes any more. */
  letGo(): void {
    this.#users -= 1;
    if (this.#users === 0) this.#giveBack(this.bytes);
  }
}
