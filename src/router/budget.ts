// Bytes that all lanes together may hold. Over it every lane counts as full.

export interface Budget {
  readonly free: number;
  take(bytes: number): void;
  give(bytes: number): void;
}

export function createBudget(total: number): Budget {
  let used = 0;
  return {
    get free() {
      return Math.max(0, total - used);
    },
    take(bytes) {
      used += bytes;
    },
    give(bytes) {
      used -= bytes;
    },
  };
}
