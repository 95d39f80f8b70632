// What logrotate is told about the log file: `copytruncate` loses lines, and with `create` two make the same file.

import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { codeOf } from '../lib/errors.ts';
import { type Finding, notSeen, ok, warning } from './finding.ts';

/** Where logrotate looks on a usual system. */
export const LOGROTATE_FILES: readonly string[] = ['/etc/logrotate.conf', '/etc/logrotate.d'];

const MOST_BYTES = 256 * 1024;
/** As in logrotate's own `tabooext`: files of packages and editors that it leaves alone. */
const LEFT_ALONE = /(\.(rpmsave|rpmorig|dpkg-\w+|disabled|swp|bak|ucf-\w+)|~|,v)$/;

export interface Rotation {
  readonly patterns: readonly string[];
  readonly directives: ReadonlySet<string>;
}

/** Reads a file of logrotate's. @returns its blocks, and the directives outside them. */
export function parseLogrotate(text: string): {
  readonly globals: ReadonlySet<string>;
  readonly rotations: readonly Rotation[];
} {
  const globals = new Set<string>();
  const rotations: Rotation[] = [];
  let patterns: string[] = [];
  let block: Set<string> | null = null;
  let isScript = false;
  for (const raw of text.split('\n')) {
    let line = raw.replace(/^\s*#.*|\s#.*/, '').trim();
    if (isScript) {
      isScript = line !== 'endscript';
      continue;
    }
    if (block === null && /^["'/~*]/.test(line)) {
      const [names = '', rest] = line.split('{', 2);
      patterns.push(...wordsOf(names));
      if (rest === undefined) continue;
      line = `{${rest}`;
    }
    if (line.startsWith('{')) {
      block = new Set();
      line = line.slice(1).trim();
    }
    const ends = line.endsWith('}');
    const [directive = ''] = line.replace(/}$/, '').trim().split(/[\s=]/);
    if (/^(pre|post|first|last|pre?remove)\w*$/.test(directive) && !ends) isScript = true;
    else if (directive !== '') (block ?? globals).add(directive);
    if (!ends || block === null) continue;
    rotations.push({ patterns, directives: block });
    patterns = [];
    block = null;
  }
  return { globals, rotations };
}

/** Names with white space between them, some in quotes. */
const wordsOf = (text: string): string[] =>
  [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, bare]) => double ?? single ?? bare ?? '');

/** Whether a name with `*`, `?` and `[…]` means the path; they stop at a slash. */
export function matches(pattern: string, path: string): boolean {
  const expression = pattern.replace(/\[!?[^\]/]+\]|[\s\S]/g, (part) => {
    if (part === '*') return '[^/]*';
    if (part === '?') return '[^/]';
    if (part.length > 1) return part.replace('[!', '[^').replaceAll('\\', '\\\\');
    return part.replace(/[.+^${}()|[\]\\]/, '\\$&');
  });
  try {
    return new RegExp(`^${expression}$`).test(path);
  } catch {
    return false;
  }
}

/** @param places files, and folders of files. */
export async function checkLogrotate(path: string, places: readonly string[]): Promise<readonly Finding[]> {
  const check = 'logrotate';
  const findings: Finding[] = [];
  const globals = new Set<string>();
  const named: string[] = [];
  for (const file of await filesOf(places)) {
    try {
      if ((await stat(file)).size > MOST_BYTES) continue;
      const parsed = parseLogrotate(await readFile(file, 'utf8'));
      for (const each of parsed.globals) globals.add(each);
      for (const { patterns, directives } of parsed.rotations) {
        if (!patterns.some((pattern) => matches(pattern, path))) continue;
        named.push(file);
        findings.push(...judge(file, directives, globals));
      }
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') findings.push(notSeen(check, error));
    }
  }
  if (named.length > 1)
    findings.push(warning(check, `${named.join(' and ')} both name this log file`, 'let one of them have it'));
  if (findings.length > 0) return findings;
  return [ok(check, named.length > 0 ? `${named[0]}, by rename` : 'nothing there names this log file')];
}

function judge(file: string, directives: ReadonlySet<string>, globals: ReadonlySet<string>): readonly Finding[] {
  const check = 'logrotate';
  const is = (name: string, opposite: string): boolean =>
    directives.has(name) || (globals.has(name) && !directives.has(opposite));
  if (is('copytruncate', 'nocopytruncate')) {
    return [
      warning(
        check,
        `${file} rotates it with copytruncate: lines written between the copy and the truncation are lost`,
        `take copytruncate out of ${file}: tailrace sees by itself that its file was moved; a good one is logrotate.d/tailrace`,
      ),
    ];
  }
  if (is('create', 'nocreate')) {
    return [
      warning(
        check,
        `${file} makes the new file (create): so does tailrace, and they race for it`,
        `put nocreate into its block in ${file}`,
      ),
    ];
  }
  return [];
}

async function filesOf(places: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const place of places) {
    const names = await readdir(place).catch((error) => (codeOf(error) === 'ENOTDIR' ? null : []));
    if (names === null) files.push(place);
    else files.push(...names.sort().map((name) => join(place, name)));
  }
  return files.filter((file) => !LEFT_ALONE.test(basename(file)));
}
