// Figures as a person reads them; `–` where there is none.

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 });
export const count = (value) => whole.format(value);
export const rate = (value) => (value == null ? '–' : `${value < 10 ? short.format(value) : whole.format(value)}/s`);

export function span(seconds) {
  if (seconds == null) return '–';
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${short.format(seconds * 1_000)} ms`;
  if (seconds < 60) return `${short.format(seconds)} s`;
  const units = [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
  ];
  const [unit, size] = units.find(([, length]) => seconds >= length);
  return `${short.format(seconds / size)} ${unit}`;
}
