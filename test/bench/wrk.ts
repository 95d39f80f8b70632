// wrk as the limit of what HTTP can do here: baseline B, the very requests of a row against the same receiver.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findTool } from '../helpers/require-tool.ts';
import { start } from './measured.ts';
import type { Captured } from './receiver.ts';
import type { Bench } from './scene.ts';

export const WRK_ARGS = ['-t1', '-c32'];
export const WRK_CONNECTIONS = 32;
/** Headers that wrk sets itself. */
const OWN_HEADERS = new Set(['host', 'connection', 'content-length']);

export const findWrk = (): string | undefined => findTool('wrk');

/** @returns requests a second. @throws {Error} when a request fails. */
export async function runWrk(
  bench: Bench,
  wrk: string,
  requests: readonly Captured[],
  seconds: number,
): Promise<number> {
  const file = join(bench.folder, 'requests.lua');
  await writeFile(file, luaOf(requests));
  const args = [...WRK_ARGS, `-d${Math.max(1, Math.round(seconds))}s`, '-s', file, bench.receiver.url()];
  await using running = start({ command: wrk, args, folder: bench.folder });
  const { code, stdout, stderr } = await running.end;
  const rate = Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]);
  if (code !== 0 || !(rate > 0) || /Non-2xx|Socket errors/.test(stdout))
    throw new Error(`wrk failed:\n${stdout}${stderr}`);
  return rate;
}

/** Sends the requests in turn, made ready before the first is sent. */
function luaOf(requests: readonly Captured[]): string {
  const entries = requests.map(({ headers, body }) => {
    const pairs = Object.entries(headers).filter(([name]) => !OWN_HEADERS.has(name));
    return `{headers={${pairs.map(([name, value]) => `[${quoted(name)}]=${quoted(value)}`).join(',')}},body=${quoted(body)}}`;
  });
  return `local given = {${entries.join(',\n')}}
local ready, at = {}, 0
function init(args)
  for i, each in ipairs(given) do ready[i] = wrk.format("POST", nil, each.headers, each.body) end
end
function request()
  at = at % #ready + 1
  return ready[at]
end
`;
}

/** A string of Lua, every octet that could mean something written as its number. */
function quoted(text: string): string {
  const octets = Array.from(Buffer.from(text), (octet) =>
    /[\w ]/.test(String.fromCharCode(octet)) && octet < 128
      ? String.fromCharCode(octet)
      : `\\${String(octet).padStart(3, '0')}`,
  );
  return `"${octets.join('')}"`;
}
