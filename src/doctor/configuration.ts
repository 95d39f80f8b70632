// The configuration file: is it there and good, and who may read or change it.

import { access, constants, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Config, LogFileConfig } from '../config/config.ts';
import { parseDocument } from '../config/document.ts';
import { CONFIG_LOCATIONS, findConfigFile } from '../config/find.ts';
import { loadConfig } from '../config/load.ts';
import { formatPath, formatProblem, valueAt } from '../config/problem.ts';
import { codeOf } from '../lib/errors.ts';
import { type Finding, notSeen, ok, problem, warning } from './finding.ts';
import { findSecrets, type SecretPlace } from './secret-places.ts';

/** Problems of a broken file that are printed; `tailrace check` has them all. */
const MOST_PROBLEMS = 5;
const OTHERS_READ = 0o004;
const OTHERS_WRITE = 0o002;

export interface Configuration {
  readonly findings: readonly Finding[];
  /** null = there is none, or it is not good. */
  readonly config: Config | null;
  /** What is known of the log files even when something else in the file is wrong. */
  readonly logFile: LogFileConfig | null;
  readonly deliveryLog: string | null;
}

/** Looks at the configuration that `tailrace run` would use in the same place with the same options. */
export async function checkConfiguration(option: string | undefined, env: NodeJS.ProcessEnv): Promise<Configuration> {
  const nothing = { config: null, logFile: null, deliveryLog: null };
  const file = findConfigFile({ option, env })?.file;
  if (file === undefined) {
    const found = problem(
      'configuration',
      `there is none in the usual places (${CONFIG_LOCATIONS.join(', ')})`,
      'name it with --config, or let `tailrace init` write one',
    );
    return { findings: [found], ...nothing };
  }
  const loaded = await loadConfig(file, { env });
  // As it was read a moment ago.
  const read = await loaded.sources.read(resolve(file), 0);
  const text = 'text' in read ? read.text : null;
  const value = text === null ? undefined : parseDocument(text).value;
  const places = findSecrets(value);
  const findings = [
    checkProblems(file, loaded),
    ...loaded.warnings.slice(0, MOST_PROBLEMS).map((each) => warning('configuration', formatProblem(file, each))),
    ...(text === null ? [] : [await checkMode(file, places)]),
    ...(await checkSecrets(file, places, env)),
  ];
  const { config } = loaded;
  return {
    findings,
    config,
    logFile: config ? config.logFile : guessLogFile(value, file),
    deliveryLog: config?.deliveryLog?.filename ?? null,
  };
}

function checkProblems(
  file: string,
  { config, problems }: Pick<Awaited<ReturnType<typeof loadConfig>>, 'config' | 'problems'>,
): Finding {
  if (config !== null) {
    const { length } = config.routes;
    const destinations = length === 1 ? '1 destination' : `${length || 'no'} destinations`;
    const log = config.logFile ? `log file ${config.logFile.filename}` : 'no log file';
    return ok('configuration', `${resolve(file)}: good (${destinations}, ${log})`);
  }
  const shown = problems.slice(0, MOST_PROBLEMS).map((each) => formatProblem(file, each));
  const more = problems.length - shown.length;
  return problem(
    'configuration',
    `${shown.join('; ')}${more > 0 ? `; and ${more} more` : ''}`,
    'a processor that runs goes on with the last good one, but does not start again with this: mend it before a restart',
    `$ tailrace check ${file}`,
  );
}

/** Who may read a secret that stands in the file, and who may send the events elsewhere. */
async function checkMode(file: string, places: readonly SecretPlace[]): Promise<Finding> {
  const check = 'configuration mode';
  try {
    const { mode } = await stat(file);
    const shown = (mode & 0o7777).toString(8).padStart(4, '0');
    if (mode & OTHERS_WRITE) {
      return problem(check, `${shown}: anybody on this host can change where events go`, `$ chmod o-rwx ${file}`);
    }
    const written = places.filter(({ source }) => source === 'written out');
    if (mode & OTHERS_READ && written.length > 0) {
      const paths = written.slice(0, 5).map(({ path }) => formatPath(path));
      return problem(
        check,
        `${shown}: anybody on this host can read the secrets in it (${paths.join(', ')})`,
        `$ chmod o-rwx ${file}`,
        'change those secrets, or keep them elsewhere: {"env": "NAME"} or {"file": "PATH"}',
      );
    }
    return ok(
      check,
      `${shown}, ${written.length === 0 ? 'no secret is written out in it' : 'not readable for others'}`,
    );
  } catch (error) {
    return notSeen(check, error);
  }
}

/** Secrets in the environment and in files. */
async function checkSecrets(
  file: string,
  places: readonly SecretPlace[],
  env: NodeJS.ProcessEnv,
): Promise<readonly Finding[]> {
  const check = 'secrets';
  const findings: Finding[] = [];
  const unset = new Set<string>();
  let resolved = 0;
  for (const place of places) {
    if (place.source === 'environment') {
      if (env[place.name]) resolved += 1;
      else unset.add(place.name);
    } else if (place.source === 'file') {
      const path = resolve(dirname(file), place.name);
      const found = await checkSecretFile(path);
      if (found === null) resolved += 1;
      else findings.push(found);
    }
  }
  if (unset.size > 0) {
    findings.push(
      problem(
        check,
        `not in this environment: ${[...unset].join(', ')}`,
        'the service may have them all the same: look again with its environment, for example',
        '$ set -a; . /etc/tailrace/environment; set +a; tailrace doctor',
      ),
    );
  }
  if (findings.length > 0) return findings;
  return resolved === 0 ? [] : [ok(check, `${resolved} from the environment or files, all there`)];
}

async function checkSecretFile(path: string): Promise<Finding | null> {
  const check = 'secrets';
  try {
    const stats = await stat(path);
    if (!stats.isFile()) return problem(check, `${path} is not a regular file`, 'put a file with the secret there');
    await access(path, constants.R_OK);
    if ((stats.mode & (OTHERS_READ | OTHERS_WRITE)) === 0) return null;
    return problem(check, `anybody on this host can read or change ${path}`, `$ chmod o-rwx ${path}`);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return problem(check, `${path} is missing`, 'put a file with the secret there');
    return notSeen(check, error);
  }
}

/** The log file of a configuration that is not good: enough to look at its folder. */
function guessLogFile(value: unknown, file: string): LogFileConfig | null {
  const filename = valueAt(value, ['logfile', 'filename']);
  if (typeof filename !== 'string' || filename === '') return null;
  const is = (key: string): boolean => valueAt(value, ['logfile', key]) === true;
  return {
    filename: resolve(dirname(resolve(file)), filename),
    appendDate: is('filename_append_date'),
    mode: 0o640,
    createDirectory: is('create_directory'),
  };
}
