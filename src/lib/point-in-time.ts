// A point in time as a person gives it on the command line: seconds since the epoch, as `time_written_to_logfile` has
// them, or a date of ISO 8601.

const EPOCH_SECONDS = /^(\d{1,11})(?:\.(\d{1,6})\d*)?$/;
const ISO_8601 =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6})\d*)?)?( ?(?:Z|[+-]\d{2}:?\d{2}))?)?$/i;

/**
 * Reads a point in time. A date without an offset is one in the process's time zone (`TZ`), a date alone its midnight.
 *
 * @returns microseconds since the epoch; null when it is neither.
 */
export function parsePointInTime(text: string): number | null {
  const epoch = EPOCH_SECONDS.exec(text);
  if (epoch) return Number(epoch[1]) * 1_000_000 + microseconds(epoch[2]);
  const iso = ISO_8601.exec(text);
  if (!iso) return null;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction, zone = ''] = iso;
  // Date takes a 31st of February for the 3rd of March.
  if (new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDate() !== Number(day)) return null;
  const offset = zone
    .trim()
    .replace(/^([+-]\d{2})(\d{2})$/, '$1:$2')
    .toUpperCase();
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}${offset}`);
  return Number.isNaN(ms) ? null : ms * 1_000 + microseconds(fraction);
}

const microseconds = (fraction = ''): number => Number(fraction.padEnd(6, '0'));
