// What is wrong with a configuration, first by place in the value (Finding), then by line and column (Problem), which
// is what a person sees.

/** A place in the configuration's value: keys and array indexes from the top. */
export type Path = readonly (string | number)[];

/** Something a check found, before anybody knows on which line it stands. */
export interface Finding {
  /** The value it is about; the nearest enclosing value when there is none. */
  readonly path: Path;
  /** It is about this key of the object at `path`, not about a value. */
  readonly key?: string;
  /** One line; never a value that may be a secret. */
  readonly message: string;
}

export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units, as editors and compilers count. */
  readonly column: number;
}

export interface Problem extends Position {
  readonly message: string;
}

/** `FILE:LINE:COLUMN: message`, the form that editors and terminals turn into a link. */
export function formatProblem(file: string, problem: Problem): string {
  return `${file}:${problem.line}:${problem.column}: ${problem.message}`;
}

/** Order of lines and columns, for sorting. */
export function byPosition(a: Position, b: Position): number {
  return a.line - b.line || a.column - b.column;
}

/** How a place is named inside a message: `event_destinations[2]`, `logfile.mode`. */
export function formatPath(path: Path): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    return text === '' ? step : `${text}.${step}`;
  }, '');
}

/** The value at a path, or undefined. */
export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, step) => {
    if (Array.isArray(inner)) return typeof step === 'number' ? inner[step] : undefined;
    return isObject(inner) && Object.hasOwn(inner, step) ? inner[step] : undefined;
  }, value);
}

/** Whether a JSON value is an object; arrays and null are not. */
export function isObject(value: unknown): value is Record<string | number, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
