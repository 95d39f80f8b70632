// Finds names by the bytes they are written with, so that the keys of an event need not become strings first.

/** The hash of no bytes. */
export const EMPTY_HASH = 0;

/** The hash of some bytes and one more. */
export function addToHash(hash: number, byte: number): number {
  return (Math.imul(hash, 31) + byte) | 0;
}

export interface NameTable<Value> {
  /**
   * The value of the name that stands between two indices; undefined: it has none.
   *
   * @param hash of those bytes, by `addToHash`.
   */
  find(bytes: Uint8Array, start: number, end: number, hash: number): Value | undefined;
}

interface Entry<Value> {
  readonly bytes: Uint8Array;
  readonly value: Value;
}

/** Creates a table of names, each with its value. */
export function createNameTable<Value>(values: ReadonlyMap<string, Value>): NameTable<Value> {
  // Four times as many places as names, a power of two: most names are alone at theirs.
  const size = 2 ** Math.ceil(Math.log2(values.size * 4 + 1));
  const places: Entry<Value>[][] = Array.from({ length: size }, () => []);
  for (const [name, value] of values) {
    const bytes = Buffer.from(name);
    places[bytes.reduce(addToHash, EMPTY_HASH) & (size - 1)]?.push({ bytes, value });
  }
  return {
    find(bytes, start, end, hash) {
      for (const entry of places[hash & (size - 1)] ?? []) {
        if (entry.bytes.length === end - start && standsAt(entry.bytes, bytes, start)) return entry.value;
      }
      return undefined;
    },
  };
}

/** Whether a name stands among the bytes from an index on. */
export function standsAt(name: Uint8Array, bytes: Uint8Array, start: number): boolean {
  for (let at = 0; at < name.length; at += 1) {
    if (name[at] !== bytes[start + at]) return false;
  }
  return true;
}
