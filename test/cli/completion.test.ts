import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Writable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { runCli as runHere } from '../../src/cli.ts';
import { EVENT_TYPES } from '../../src/event/catalog.ts';
import { runCli, TAILRACE } from '../helpers/cli.ts';
import { requireTool } from '../helpers/require-tool.ts';

// Each starts programs, which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const run = promisify(execFile);
const hook = (name: string | null, path: string, url: unknown = `https://hooks.example.com/${path}`) => ({
  ...(name === null ? {} : { name }),
  matches: { event_type: path },
  destination: { type: 'http_post', url },
});
const CONFIG = {
  event_destinations: [
    hook('suppression list', 'scomp'),
    hook('statistics $HOME', 'engine_open'),
    hook(null, 'engine_click'),
    { name: 'nowhere', matches: { all: true }, destination: { type: 'drop_from_queue' } },
  ],
};
const UNNAMED = 'http_post https://hooks.example.com/engine_click';
const NAMES = ['suppression list', 'statistics $HOME', UNNAMED];

let folder = '';

/** A folder with a configuration, a file, and a program called `tailrace`. There is no database. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  await writeFile(join(folder, 'event_processor.json'), JSON.stringify(CONFIG));
  await writeFile(join(folder, 'tailrace'), `#!/bin/sh\nexec '${process.execPath}' '${TAILRACE}' "$@"\n`, {
    mode: 0o755,
  });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const ask = async (...words: string[]): Promise<string[]> => {
  let text = '';
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      text += chunk;
      done();
    },
  });
  // In this process: a start of the program for each takes a minute on a busy machine. Those of the shells do start it.
  const env = { TAILRACE_CONFIG: join(folder, 'event_processor.json') };
  const context = { env, stdin: process.stdin, stdout, stderr: process.stderr };
  expect(await runHere(['--get-yargs-completions', 'tailrace', ...words], context)).toBe(0);
  return text.split('\n').slice(0, -1);
};
const environment = () => ({ PATH: `${folder}${delimiter}${process.env.PATH}`, HOME: folder });

describe('what is offered', () => {
  test('is every command that --help lists', async () => {
    const { stdout } = await runCli(['--help']);
    const listed = [...stdout.matchAll(/^ {2}tailrace ([\w-]+)/gm)].map(([, name]) => name);
    expect(await ask('')).toEqual(listed);
    expect(await ask('pa')).toEqual(['pause']);
    expect(await ask('--')).toEqual(['--help', '--version', '--check-syntax']);
  });

  test('is every option of a command that was not given yet', async () => {
    expect(await ask('run', '--o')).toEqual(['--once']);
    expect(await ask('run', '--once', '--config', 'x', '--')).not.toContain('--once');
    for (const option of ['--help', '--shard', '--log-level']) expect(await ask('run', '--')).toContain(option);
  });

  test('is what an option or an argument may be', async () => {
    expect(await ask('run', '--log-level', '')).toEqual(['info', 'warn', 'error']);
    expect(await ask('recording', 'en')).toEqual(['enable']);
    expect(await ask('recording', 'enable', '')).toEqual(EVENT_TYPES.map(({ name }) => name));
    expect(await ask('recording', 'enable', '--studio', 'scomp', 'sc')).toEqual(['scomp_lite']);
  });

  test('is the names of destinations, without a database', async () => {
    for (const command of ['pause', 'resume', 'retry']) expect(await ask(command, '')).toEqual(NAMES);
    expect(await ask('pause', 'suppression list', 's')).toEqual(['statistics $HOME']);
    expect(await ask('retry', 'suppression list', '')).toEqual([]);
  });

  test('is their names, too, where a secret of the service is missing', async () => {
    const file = join(folder, 'secret.json');
    const entries = [hook('with a secret', 'scomp', { env: 'NOT_SET' }), CONFIG.event_destinations.at(-1)];
    await writeFile(file, JSON.stringify({ event_destinations: entries }));
    const env = { TAILRACE_CONFIG: file };
    const answer = await runCli(['--get-yargs-completions', 'tailrace', 'pause', ''], { env });
    expect(answer.stdout).toBe('with a secret\n');
    await writeFile(file, '{"event_destinations": [');
    const broken = await runCli(['--get-yargs-completions', 'tailrace', 'pause', ''], { env });
    expect(broken).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });

  test('is nothing where a file or a value of one’s own belongs', async () => {
    expect(await ask('run', '--config', '')).toEqual([]);
    expect(await ask('run', '--config', '=', '')).toEqual([]);
    expect(await ask('check', '')).toEqual([]);
    expect(await ask('nonsense', '')).toEqual([]);
  });
});

describe.skipIf(!requireTool('bash'))('in bash', () => {
  /** What a press of the tab key makes of the words. */
  const press = async (...words: string[]): Promise<string[]> => {
    const script = `source <(tailrace completion bash)
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tailrace; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await run('bash', ['-c', script, 'bash', ...words], { cwd: folder, env: environment() });
    return stdout.split('\n').slice(0, -1);
  };

  test('words are completed, names with blanks as one must type them', async () => {
    expect(await press('tailrace', 'stat')).toEqual(['status']);
    expect(await press('tailrace', 'pause', 's')).toEqual(['suppression\\ list', 'statistics\\ \\$HOME']);
    expect(await press('tailrace', 'pause', 'suppression\\ l')).toEqual(['suppression\\ list']);
    expect(await press('tailrace', 'resume', 'suppression\\ list', 'st')).toEqual(['statistics\\ \\$HOME']);
    expect(await press('tailrace', 'check', 'ev')).toEqual(['']);
  });

  test('nothing of what is typed is run', async () => {
    await press('tailrace', 'pause', '$(touch "$HOME/owned")', '`touch "$HOME/owned"`');
    await expect(run('ls', [join(folder, 'owned')])).rejects.toThrow();
  });

  test('the script is registered, and files are completed where it offers nothing', async () => {
    const { stdout } = await run('bash', ['-c', 'source <(tailrace completion bash); complete -p tailrace'], {
      env: environment(),
    });
    expect(stdout.trim()).toBe('complete -o default -F _tailrace tailrace');
  });
});

describe.skipIf(!requireTool('zsh'))('in zsh', () => {
  /**
   * Completes in a terminal of its own; only there does zsh complete at all. What is typed before its editor listens is
   * echoed as it stands, the tab too: so the editor itself says when it does.
   */
  const press = async (line: string): Promise<string> => {
    const script = `zmodload zsh/zpty; zpty shell zsh -f -i
      zpty -w shell 'PS1= ; autoload -Uz compinit; compinit -u -D; source <(tailrace completion zsh); zle-line-init() { print edi"ting" }; zle -N zle-line-init'
      zpty -r shell seen '*editing*' ; zpty -w -n shell "$1"$'\\t'; zpty -w shell ' ; : end'; zpty -r shell seen '*end*'; print -r -- "$seen"`;
    const { stdout } = await run('zsh', ['-f', '-c', script, 'zsh', line], { cwd: folder, env: environment() });
    return stdout;
  };

  test('words are completed, names with blanks as one must type them', async () => {
    expect(await press('echo x; tailrace stat')).toContain('status');
    expect(await press('tailrace pause sup')).toContain('suppression\\ list');
  });
});

test('names the shell of the user, and asks which where it has no script', async () => {
  expect((await runCli(['completion'], { env: { SHELL: '/usr/bin/zsh' } })).stdout).toContain('#compdef tailrace');
  expect((await runCli(['completion'], { env: { SHELL: '/bin/bash' } })).stdout).toContain('complete -o default');
  expect(await runCli(['completion'], { env: { SHELL: '/bin/fish' } })).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('bash or zsh'),
  });
});
