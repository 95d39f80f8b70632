// The objects of a configuration, what each is called in a message and which keys it takes: so that an unknown key can
// be sent where it belongs.

import { authShape, batchShape, destinationShape, retryShape, tlsShape } from './destination-shape.ts';
import { type Path, valueAt } from './problem.ts';
import { configShape, entryShape, logfileShape, matchesShape } from './shape.ts';

export interface Place {
  /** For a sentence: `in "logfile"`. */
  readonly title: string;
  readonly keys: readonly string[];
  /** Of a destination: its type. */
  readonly type?: string;
}

const TOP = place('at the top level', configShape.shape);
const LOGFILE = place('in "logfile"', logfileShape.shape);
const ENTRY = place('in an entry of "event_destinations"', entryShape.shape);
const MATCHES = place('in "matches"', matchesShape.shape);
const RETRY = place('in "retry"', retryShape.shape);
const BATCH = place('in "batch"', batchShape.shape);
const TLS = place('in "tls"', tlsShape.shape);
const AUTH: Place = { title: 'in "auth"', keys: authShape.options.flatMap((option) => Object.keys(option.shape)) };
const DESTINATIONS: readonly Place[] = destinationShape.options.map((option) => {
  const type = option.shape.type.value;
  return { ...place(`in a destination of type "${type}"`, option.shape), type };
});

const ALL: readonly Place[] = [TOP, ENTRY, MATCHES, LOGFILE, ...DESTINATIONS, RETRY, BATCH];

/** The place that a path leads to in a value; undefined for one that has no keys of its own. */
export function findPlace(path: Path, value: unknown): Place | undefined {
  if (path.length === 0) return TOP;
  if (path.length === 2 && path[0] === 'event_destinations') return ENTRY;
  switch (path.at(-1)) {
    case 'logfile':
      return LOGFILE;
    case 'matches':
      return MATCHES;
    case 'retry':
      return RETRY;
    case 'batch':
      return BATCH;
    case 'tls':
      return TLS;
    case 'auth':
      return AUTH;
    case 'destination':
      return DESTINATIONS.find(({ type }) => type === valueAt(value, [...path, 'type']));
    default:
      return undefined;
  }
}

/** The places that take a key of this name, the most likely first. */
export function placesOf(key: string): readonly Place[] {
  return ALL.filter(({ keys }) => keys.includes(key));
}

function place(title: string, shape: object): Place {
  return { title, keys: Object.keys(shape) };
}
