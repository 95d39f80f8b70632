// Row 11: what a user would otherwise run, on the same work: a line, a POST and a deletion for each event.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { findTool } from '../../helpers/require-tool.ts';
import { countLines, type Drain, drain, drained, inTurn } from '../drain.ts';
import { type Finding, finding, type Row } from '../finding.ts';
import { type ProcessOptions, run, script } from '../measured.ts';
import type { Queue } from '../queue.ts';
import { allTo, type Bench } from '../scene.ts';

/** Parts of the events of the other rows: a peer takes its time for each. */
const OUR_PART = 3;
const THEIR_PART = 30;
const CONNECTIONS = 32;
const PERL_SCRIPT = fileURLToPath(new URL('../peers/dbi-lwp.pl', import.meta.url));
const PERL_MODULES = ['DBI', 'DBD::Pg', 'LWP::UserAgent'];

interface Peer {
  readonly name: string;
  /** As its documentation advises; printed beside the figure. */
  readonly settings: string;
  readonly process: Pick<ProcessOptions, 'command' | 'args'>;
  /** What it lacks here. */
  readonly lacking?: string | null;
}

export const peersRow: Row = {
  name: 'peers',
  number: 11,
  title: 'against what a user would otherwise run: file + POST + delete',
  async run(bench) {
    const peers = allPeers();
    const rates = new Map<string, number[]>(peers.map(({ name }) => [name, []]));
    const able = peers.filter(({ lacking }) => !lacking);
    const events = Math.max(100, Math.round(bench.options.events / OUR_PART));
    const theirs = Math.max(100, Math.round(bench.options.events / THEIR_PART));
    const destination = { type: 'http_post', url: bench.receiver.url(), concurrency: CONNECTIONS };
    const config = { http_keep_alive: CONNECTIONS, ...allTo(destination) };
    const drains: Drain[] = [];
    await inTurn(
      bench,
      'peers',
      async () => {
        drains.push(await drain(bench, events, config));
      },
      ...able.map((peer) => async () => {
        rates.get(peer.name)?.push(await rateOf(bench, peer, theirs));
      }),
    );
    return peers.map((peer) => findingOf(peer, drains, rates.get(peer.name) ?? [], events, theirs));
  },
};

function allPeers(): Peer[] {
  return [
    {
      name: 'plain script',
      settings: 'pg, fs.appendFile, fetch, one event at a time; no fsync',
      process: script('peers/plain.mjs', []),
    },
    {
      name: 'graphile-worker',
      settings: 'concurrentJobs 24, maxPoolSize 25, localQueue.size 500, completeJobBatchDelay 0, failJobBatchDelay 0',
      process: script('peers/graphile-worker.mjs', []),
    },
    {
      name: 'pg-boss',
      settings: '4 loops of fetch({ batchSize: 100 }) and complete(), POSTs of a batch together, one write a batch',
      process: script('peers/pg-boss.mjs', []),
    },
    {
      name: 'Perl DBI + LWP',
      settings: 'prepared DELETE, keep_alive, one event at a time; no fsync',
      process: { command: findTool('perl') ?? 'perl', args: [PERL_SCRIPT] },
      lacking: lackingPerl(),
    },
  ];
}

function findingOf(
  peer: Peer,
  drains: readonly Drain[],
  rates: readonly number[],
  events: number,
  theirs: number,
): Finding {
  if (peer.lacking) return finding({ what: `against ${peer.name}`, skipped: `${peer.name}: ${peer.lacking}` });
  return drained(
    {
      what: `against ${peer.name}`,
      against: { label: peer.name, unit: 'events/s', values: rates },
      goal: { of: 'ratio', sign: '>=', limit: 5 },
      notes: [
        `tailrace: ${events.toLocaleString('en-US')} events, "concurrency" ${CONNECTIONS}, with its start; peers: ${theirs.toLocaleString('en-US')} events, without their start and set-up`,
        `${peer.name}: ${peer.settings}`,
      ],
    },
    drains,
  );
}

/** Events a second, as the peer says, once it is sure that it has done all of them. */
async function rateOf(bench: Bench, peer: Peer, events: number): Promise<number> {
  await using queue = await bench.queues.create(events);
  await using place = await bench.place({});
  await bench.receiver.clear();
  const measured = await run({ ...peer.process, folder: place.folder, env: environmentOf(bench, queue, place.log) });
  const said: unknown = JSON.parse(measured.stdout);
  const { seconds } = said as { readonly seconds: number }; // what each of the peers prints
  const { lines } = await countLines(place.log);
  const requests = (await bench.receiver.report()).paths['/events']?.requests ?? 0;
  if (lines < events || requests < events) {
    throw new Error(`${peer.name} wrote ${lines} lines and sent ${requests} requests for ${events} events`);
  }
  return events / seconds;
}

function environmentOf(bench: Bench, queue: Queue, log: string): Record<string, string> {
  return {
    PEER_DATABASE_URL: queue.url,
    PEER_DBI_DSN: `dbi:Pg:dbname=${queue.database};host=${bench.server.socketDirectory}`,
    PEER_LOG: log,
    PEER_POST_URL: bench.receiver.url(),
    PEER_EVENTS: String(queue.events),
    ...(process.env.PERL5LIB && { PERL5LIB: process.env.PERL5LIB }),
  };
}

/** What keeps the Perl loop from running here, or null. */
function lackingPerl(): string | null {
  const perl = findTool('perl');
  if (!perl) return 'perl is not installed';
  const lacking = PERL_MODULES.filter((module) => spawnSync(perl, [`-M${module}`, '-e', '1']).status !== 0);
  return lacking.length > 0 ? `Perl lacks ${lacking.join(', ')}` : null;
}
