// The one way from the configuration file to the configuration in force: text, JSON, shapes, rules between keys,
// secrets, routes. Everything that is wrong is found in one go.

import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import { version } from '../lib/version.ts';
import type { Config, RouteConfig } from './config.ts';
import { type JsonDocument, parseDocument } from './document.ts';
import { fingerprintOf } from './fingerprint.ts';
import { findDeadRules, findDoubtfulWords, readMatches } from './matching.ts';
import { byPosition, type Finding, type Path, type Problem, valueAt } from './problem.ts';
import { findConflicts, makeRoute, type PlacedRoute, type RouteOptions } from './route.ts';
import { findBrokenRules, findIdleContinues, findSameFiles } from './rules.ts';
import { type ConfigInput, configShape, entryShape, matchesShape } from './shape.ts';
import { findShapeProblems } from './shape-problems.ts';
import { Sources } from './sources.ts';

const MAX_FILE_BYTES = 1024 * 1024;

export interface LoadedConfig {
  /** The path as it was given. */
  readonly file: string;
  /** null when there are problems. */
  readonly config: Config | null;
  /** In the order of the file. */
  readonly problems: readonly Problem[];
  /** What is allowed and probably not meant, in the order of the file. */
  readonly warnings: readonly Problem[];
  /** The files it was made from, to see later whether they have changed. */
  readonly sources: Sources;
}

/**
 * Loads a configuration file with its secrets. Never throws: what is wrong is in `problems`.
 *
 * @param file relative paths inside it begin at its folder.
 * @param options.env where `{"env": "NAME"}` is looked up.
 */
export async function loadConfig(file: string, options: { readonly env: NodeJS.ProcessEnv }): Promise<LoadedConfig> {
  const path = resolve(file);
  const folder = dirname(path);
  const sources = new Sources();
  const broken = (problems: readonly Problem[]) => ({ file, config: null, problems, warnings: [], sources });

  const read = await sources.read(path, MAX_FILE_BYTES);
  if ('failure' in read) {
    return broken([{ line: 1, column: 1, message: `the configuration cannot be read: ${read.failure}` }]);
  }
  const document = parseDocument(read.text);
  const { value } = document;
  if (value === undefined) return broken(document.problems);

  const routing = await readRouting(document, {
    env: options.env,
    sources,
    folder,
    defaultFormat: valueAt(value, ['use_json_for_http_post']) === true ? 'json' : 'form',
  });
  const findings = [
    ...findShapeProblems(value),
    ...findBrokenRules(value),
    ...findSameFiles(value, folder),
    ...routing.findings,
  ];
  const problems = [...document.problems, ...findings.map(document.locate)];
  const input = problems.length === 0 ? configShape.parse(value) : null;
  return {
    file,
    config: input && assemble(input, routing.routes, folder),
    problems: problems.sort(byPosition),
    warnings: routing.warnings.map(document.locate).sort(byPosition),
    sources,
  };
}

interface Routing {
  readonly routes: readonly RouteConfig[];
  readonly findings: readonly Finding[];
  readonly warnings: readonly Finding[];
}

/** Reads the entries that have the right shape, whatever the others look like. */
async function readRouting(document: JsonDocument, options: RouteOptions): Promise<Routing> {
  const entries = valueAt(document.value, ['event_destinations']);
  const routes: PlacedRoute[] = [];
  const findings: Finding[] = [];
  const warnings: Finding[] = [];
  const rules = [];
  for (const [at, input] of Array.isArray(entries) ? entries.entries() : []) {
    const path: Path = ['event_destinations', at];
    const matches = matchesShape.safeParse(valueAt(input, ['matches'])).data;
    if (matches) {
      warnings.push(...findDoubtfulWords(matches, [...path, 'matches']));
      rules.push({ at, matches: readMatches(matches), continues: valueAt(input, ['continue']) === true });
    }
    const entry = entryShape.safeParse(input).data;
    const made = entry && (await makeRoute(entry, at, options));
    if (made?.route) routes.push({ at, route: made.route });
    findings.push(...(made?.findings ?? []));
  }
  const lineOf = (at: number): number => document.positionOf(['event_destinations', at]).line;
  findings.push(...findConflicts(routes, lineOf));
  warnings.push(...findDeadRules(rules, lineOf), ...findIdleContinues(entries));
  return { routes: routes.map(({ route }) => route), findings, warnings };
}

function assemble(input: ConfigInput, routes: readonly RouteConfig[], folder: string): Config {
  return {
    routes,
    logFile: input.logfile
      ? {
          filename: resolve(folder, input.logfile.filename),
          appendDate: input.logfile.filename_append_date,
          mode: Number.parseInt(input.logfile.mode, 8),
          createDirectory: input.logfile.create_directory,
        }
      : null,
    httpKeepAlive: input.http_keep_alive,
    httpUserAgent: input.http_user_agent ?? `tailrace/${version()}`,
    onDelivered: input.on_delivered,
    expandJsonColumns: input.expand_json_columns,
    maxEventBytes: input.max_event_bytes,
    pollIntervalMs: input.poll_interval_ms,
    serverId: input.server_id ?? hostname(),
    storeBounceDetailsLength: input.store_bounce_details_length,
    deliveryLog: input.delivery_log ? { filename: resolve(folder, input.delivery_log.filename) } : null,
    fingerprint: fingerprintOf(routes),
  };
}
