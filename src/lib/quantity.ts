// Numbers as a person reads them.

/** 1234567 → `1,234,567`. */
export const count = (value: number | bigint): string =>
  (typeof value === 'bigint' ? value : Math.round(value)).toLocaleString('en-US');

/** 1, `line` → `1 line`; 1234 → `1,234 lines`. */
export const many = (value: number | bigint, what: string): string =>
  `${count(value)} ${what}${Number(value) === 1 ? '' : 's'}`;

/** Seconds, 93784 → `1d 2h`; null → `-`. */
export function duration(seconds: number | null): string {
  if (seconds === null) return '-';
  const units: readonly (readonly [string, number])[] = [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
    ['s', 1],
  ];
  const at = units.findIndex(([, size]) => seconds >= size);
  const [unit, size] = units[at] ?? ['s', 1];
  const rest = units[at + 1];
  const whole = `${Math.max(0, Math.floor(seconds / size))}${unit}`;
  const remainder = rest ? Math.floor((seconds % size) / rest[1]) : 0;
  return rest && remainder > 0 ? `${whole} ${remainder}${rest[0]}` : whole;
}

/** 1610612736 → `1.5 GiB`. */
export function bytes(value: number): string {
  const units = [value === 1 ? 'byte' : 'bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let size = value;
  let at = 0;
  for (; size >= 1024 && at < units.length - 1; at += 1) size /= 1024;
  const digits = at === 0 || size >= 100 ? 0 : 1;
  return `${size.toLocaleString('en-US', { maximumFractionDigits: digits })} ${units[at]}`;
}
