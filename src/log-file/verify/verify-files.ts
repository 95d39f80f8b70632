// Verifies log files, oldest first, in one pass: every line, their times, and which ids were seen. A second pass follows
// when an id stands on several lines.

import { isUtf8 } from 'node:buffer';
import { codeOf, messageOf } from '../../lib/errors.ts';
import { IdBitmap, idOf, placeOf } from '../../lib/id-bitmap.ts';
import { many } from '../../lib/quantity.ts';
import type { WrittenFile } from '../written-files.ts';
import { compareDoubles, type Doubles } from './doubles.ts';
import { type FaultKind, type Finding, Findings } from './faults.ts';
import { type Gaps, gapsOf } from './gaps.ts';
import { inspectLine } from './inspect-line.ts';
import { readLines } from './read-lines.ts';
import { LineScanner, viewOf } from './scan-line.ts';
import { stampFault } from './stamps.ts';

const NEWLINE = 0x0a;

export interface VerifiedFile {
  readonly file: WrittenFile;
  readonly lines: number;
  /** Unpacked. */
  readonly bytes: number;
  /** First and last stamp, in microseconds since the epoch; null: it has none. */
  readonly firstUs: number | null;
  readonly lastUs: number | null;
}

export interface Verified {
  readonly files: readonly VerifiedFile[];
  readonly lines: number;
  /** In the order of the files; the first `most` of them. */
  readonly findings: readonly Finding[];
  /** All of them, by kind. */
  readonly counts: ReadonlyMap<FaultKind, number>;
  readonly doubles: Doubles;
  readonly gaps: Gaps;
  /** Ids with a line. */
  readonly seen: IdBitmap;
}

export interface VerifyOptions {
  /** So many findings are kept. */
  readonly most: number;
  /** Called after every block of lines. */
  readonly onProgress?: (progress: { readonly files: number; readonly lines: number; readonly bytes: number }) => void;
}

/** Verifies files that `inOrder` has put into their order. */
export async function verifyFiles(files: readonly WrittenFile[], options: VerifyOptions): Promise<Verified> {
  const pass = new Pass(options);
  for (const file of files) await pass.verify(file);
  const later = new Findings(options.most);
  const doubles = await compareDoubles(pass.files, pass.doubled, later);
  const order = new Map(files.map(({ path }, at) => [path, at]));
  const placeIn = ({ file, line }: Finding): number => (order.get(file ?? '') ?? 0) * 2 ** 40 + (line ?? 0);
  const findings = [...pass.findings.kept, ...later.kept].sort((a, b) => placeIn(a) - placeIn(b));
  return {
    files: pass.files,
    lines: pass.lines,
    findings: findings.slice(0, options.most).map((finding) => withWholeLine(finding, pass.seen)),
    counts: new Map([...pass.findings.counts, ...later.counts]),
    doubles,
    gaps: gapsOf(pass.seen),
    seen: pass.seen,
  };
}

class Pass {
  readonly findings: Findings;
  readonly files: VerifiedFile[] = [];
  readonly seen = new IdBitmap();
  readonly doubled = new IdBitmap();
  lines = 0;
  readonly #options: VerifyOptions;
  readonly #scanner = new LineScanner();
  #bytes = 0;
  /** Of the file that is read. */
  #path = '';
  #line = 0;
  #firstUs: number | null = null;
  /** The last stamp, and the line that bears it. */
  #lastUs = Number.NEGATIVE_INFINITY;
  #lastLine = 0;
  #lastPath = '';

  constructor(options: VerifyOptions) {
    this.#options = options;
    this.findings = new Findings(options.most);
  }

  async verify(file: WrittenFile): Promise<void> {
    const bytesBefore = this.#bytes;
    this.#path = file.path;
    this.#line = 0;
    this.#firstUs = null;
    try {
      await readLines(file, {
        lines: (block) => this.#lines(block),
        tooLong: (bytes) => {
          this.#line += 1;
          this.#tell('too_long', null, `a line of ${bytes.toLocaleString('en-US')} bytes`, null);
        },
        rest: (bytes) => this.#rest(bytes),
      });
    } catch (error) {
      // One that cannot be read at all, or was rotated away, says nothing of the log.
      const isDamage = codeOf(error) === 'INPUT_DAMAGED' || (codeOf(error) === 'INPUT_NOT_READABLE' && this.#line > 0);
      if (!isDamage) throw error;
      this.#tell('file_damaged', null, `behind this line: ${messageOf(error)}`, null);
    }
    const isDated = this.#firstUs !== null;
    this.files.push({
      file,
      lines: this.#line,
      bytes: this.#bytes - bytesBefore,
      firstUs: this.#firstUs,
      lastUs: isDated ? this.#lastUs : null,
    });
    this.lines += this.#line;
  }

  #lines(block: Buffer): void {
    const scanner = this.#scanner;
    const isText = isUtf8(block);
    const view = viewOf(block);
    for (let at = 0; at < block.length; ) {
      this.#line += 1;
      const next = isText ? scanner.scan(block, view, at) : -1;
      if (next > 0) {
        this.#take(scanner.timeUs, scanner.block, scanner.bit);
        at = next;
        continue;
      }
      const end = block.indexOf(NEWLINE, at);
      this.#inspect(block.subarray(at, end));
      at = end + 1;
    }
    this.#bytes += block.length;
    this.#options.onProgress?.({ files: this.files.length, lines: this.lines + this.#line, bytes: this.#bytes });
  }

  #inspect(line: Buffer): void {
    const { fault, facts, eventId, keys } = inspectLine(line);
    if (keys) this.#scanner.learn(keys.type, keys.fields, keys.extras);
    if (fault) this.#tell(fault.kind, fault.column, fault.message, eventId);
    if (facts) this.#take(facts.timeUs, facts.block, facts.bit);
  }

  /** The end of a file that has no line feed behind it. */
  #rest(bytes: Buffer): void {
    this.#line += 1;
    this.#bytes += bytes.length;
    const { fault, facts, eventId } = inspectLine(bytes);
    const after = `after ${many(bytes.length, 'byte')} of it`;
    if (fault?.kind === 'nul_bytes')
      this.#tell('nul_bytes', fault.column, `${fault.message}, at the end of the file`, eventId);
    else if (facts) this.#tell('cut_line', bytes.length + 1, `the line of event ${eventId} lacks its line feed`, null);
    else this.#tell('cut_line', bytes.length + 1, `the file ends within a line, ${after}`, eventId);
    if (facts) this.#take(facts.timeUs, facts.block, facts.bit);
  }

  #take(timeUs: number, block: number, bit: number): void {
    if (timeUs <= this.#lastUs) {
      const isSame = this.#lastPath === this.#path;
      const before = isSame ? `line ${this.#lastLine}` : `the end of ${this.#lastPath} (line ${this.#lastLine})`;
      const { kind, column, message } = stampFault(timeUs, this.#lastUs, before);
      this.#tell(kind, column, message, idOf(block, bit).toString());
    }
    this.#firstUs ??= timeUs;
    this.#lastUs = timeUs;
    this.#lastLine = this.#line;
    this.#lastPath = this.#path;
    if (!this.seen.add(block, bit)) this.doubled.add(block, bit);
  }

  #tell(kind: Finding['kind'], column: number | null, message: string, eventId: string | null): void {
    this.findings.add(kind, () => ({ file: this.#path, line: this.#line, column, message, eventId }));
  }
}

const LINE_IS_LOST: ReadonlySet<Finding['kind']> = new Set(['cut_line', 'not_json', 'nul_bytes']);

/** Of a line that cannot be read: whether its event has a whole one. */
function withWholeLine(finding: Finding, seen: IdBitmap): Finding {
  const { kind, eventId, message } = finding;
  if (!LINE_IS_LOST.has(kind) || eventId === null) return finding;
  const { block, bit } = placeOf(BigInt(eventId));
  const what = seen.has(block, bit) ? 'has a whole line in these files' : 'has no whole line in these files';
  return { ...finding, message: `${message}; its event ${eventId} ${what}` };
}
