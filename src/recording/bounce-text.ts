// What a bounce said, made fit for the queue: the rule for `bounce_text` in seed 003 ("Bounce Text Format"), and the
// cleaning that every text needs before PostgreSQL takes it.

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder('utf-8', { ignoreBOM: true });

/** A text that PostgreSQL can store: U+0000 and lone surrogates become U+FFFD. */
export function storableText(text: string): string {
  const whole = text.isWellFormed() ? text : text.toWellFormed();
  return whole.includes('\u0000') ? whole.replaceAll('\u0000', '\ufffd') : whole;
}

/**
 * The text of a bounce as it is stored: bytes that are not UTF-8 become U+FFFD, then at most `maxBytes` bytes of UTF-8
 * are kept, and no character is split.
 */
export function bounceText(details: string | Uint8Array, maxBytes: number): string {
  const text = storableText(typeof details === 'string' ? details : DECODER.decode(details));
  // Three bytes for each UTF-16 unit is the most that UTF-8 takes; encodeInto writes whole characters only.
  if (text.length * 3 <= maxBytes) return text;
  const { read } = ENCODER.encodeInto(text, new Uint8Array(maxBytes));
  return text.slice(0, read);
}
