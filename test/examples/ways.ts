// How an example is run that does not simply end with exit code 0 and nothing on standard error in the world that
// world.ts makes. One entry for each such line, as it stands in `--help`, in the README or in a page of docs/.

import type { BashOptions } from './world.ts';

export interface Way extends BashOptions {
  /** It is not run, and this is why. */
  readonly not?: string;
  /** What is run in its place, with the reason beside it. */
  readonly as?: string;
  /** Run before it, to make what it speaks of. */
  readonly after?: string;
  /** Exit codes that are right; 0 unless given. */
  readonly codes?: readonly number[];
  /** What it may say on standard error; nothing unless given. */
  readonly stderr?: RegExp;
}

const PACKAGING = { not: 'it is about the package: CI and the demo’s tests run it' };
const MEASURES = { not: 'it takes minutes or hours, and measures: test/bench has its tests' };
const SYSTEMD = { not: 'no service manager runs here' };
const CONTAINERS = { not: 'no container engine runs here' };
const PROCESSOR: Way = { until: /started as the writer/, stderr: /started as the writer/ };
/** INFO and WARN, no ERROR. */
const DIAGNOSTICS = /^(?!.*"level":[56]0)/s;
const INTAKE: Way = { until: /intake listening/, stderr: /intake listening/ };
/** It says how far it came; and `events.jsonl` is what a producer wrote, not the log. */
const RECORDER: Way = { folder: 'var/log/app', stderr: /^(?!.*:\d+: )/s };
/** Another program may have the usual port. */
const ANY_PORT = 'tailrace intake --listen 127.0.0.1:0';

const MONITORED = 'tailrace run --http 127.0.0.1:0';
/** In a folder with a configuration whose destinations accept, and rotated files. */
const REPLAY: Way = { folder: 'var/log/replay' };
/** Destinations refuse, and nobody runs the processor: it finds that. */
const DOCTOR: Way = { codes: [0, 1] };
/** It shows its progress. */
const CURL: Way = { beside: ANY_PORT, stderr: /% Total/ };

export const WAYS: Readonly<Record<string, Way>> = {
  'npm ci && npm run demo': PACKAGING,
  'npm ci && npm test': PACKAGING,
  'npm ci': PACKAGING,
  'npm prune --omit=dev --omit=optional': PACKAGING,
  'ln -s "$PWD/bin/tailrace.js" /usr/local/bin/tailrace': PACKAGING,
  ...Object.fromEntries(
    [
      '',
      ' -- drain http peers',
      ' -- drain http',
      ' -- --list',
      ' -- drain --events 1000000 --pairs 9 --json /tmp/drain.json',
      ' -- soak --minutes 60',
      ' -- shards --events 200000',
    ].map((rows) => [`npm run bench${rows}`, MEASURES]),
  ),
  'tailrace demo': { not: 'test/demo.test.ts runs it' },
  'tailrace demo --keep --directory /tmp/try': { not: 'test/demo.test.ts runs it' },
  "systemctl stop 'tailrace@*'": SYSTEMD,
  'systemctl start tailrace@0 tailrace@1 tailrace@2 tailrace@3': SYSTEMD,
  'systemctl daemon-reload && systemctl enable --now tailrace': SYSTEMD,
  'systemctl status tailrace': SYSTEMD,
  'useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin tailrace': { not: 'it changes the machine' },
  'podman build -f docs/deploy/Containerfile -t tailrace .': CONTAINERS,
  'podman run --rm tailrace check --help': CONTAINERS,

  'tailrace run': PROCESSOR,
  'tailrace run --shard 0/2 --config a.json': PROCESSOR,
  'tailrace run --config /etc/tailrace/event_processor.json --database postgresql:///greenarrow': PROCESSOR,
  'tailrace run --dry-run --log-file /tmp/shadow.jsonl': { until: /shadow run starting/, stderr: DIAGNOSTICS },
  ...Object.fromEntries(
    [0, 1, 2, 3].map((at) => [`tailrace run --shard ${at}/4 --config /etc/tailrace/shard-${at}.json`, PROCESSOR]),
  ),
  // Two of its destinations refuse.
  'tailrace run --once': { stderr: DIAGNOSTICS },
  // Which segments there are depends on what was written before.
  'tailrace journal /var/log/tailrace/.events.jsonl.tailrace/journal-000017': {
    as: 'tailrace journal "$(ls /var/log/tailrace/.events.jsonl.tailrace/journal-* | tail -n 1)"',
  },
  'tailrace status --watch': { until: /queued/ },
  'tailrace status --json | jq -e \'.writer.state == "running"\'': { codes: [0, 1] },
  "tailrace status --json | jq -e '[.destinations[] | select(.parked > 0 or (.oldest_seconds // 0) > 3600)] == []'": {
    codes: [0, 1],
  },
  'tailrace intake': { ...INTAKE, as: ANY_PORT },
  'tailrace intake --listen 127.0.0.1:8025': { ...INTAKE, as: ANY_PORT },
  'tailrace intake --listen 0.0.0.0:8025 --token-file /etc/tailrace/tokens': {
    ...INTAKE,
    as: 'tailrace intake --listen 0.0.0.0:0 --token-file /etc/tailrace/tokens',
  },
  'tailrace intake --listen unix:/run/tailrace/intake.sock': INTAKE,
  ...Object.fromEntries(
    [
      'tailrace record events.jsonl',
      'tailrace record --resume events.jsonl.gz',
      'tailrace record --all events.jsonl',
      'tailrace record --resume /var/log/app/events.jsonl',
    ].map((line) => [line, RECORDER]),
  ),
  'tailrace record --resume monday.jsonl.gz tuesday.json': { stderr: /no position/ },
  'tailrace record monday.jsonl - friday.jsonl < wednesday.jsonl': { stderr: /^$|was recorded up to/ },
  ...Object.fromEntries(
    [
      `curl -d '{"event_type": "scomp"}' -H 'Content-Type: application/json' http://127.0.0.1:8025/events`,
      `curl -d '{"event_type": "scomp", "email": "ann@example.org"}' -H 'Content-Type: application/json' http://127.0.0.1:8025/events`,
    ].map((line) => [line, CURL]),
  ),
  'tailrace run --http 127.0.0.1:9464': { ...PROCESSOR, as: MONITORED },
  'tailrace run --http 0.0.0.0:9464 --http-token-file /etc/tailrace/http-tokens': {
    ...PROCESSOR,
    as: 'tailrace run --http 0.0.0.0:0 --http-token-file /etc/tailrace/http-tokens',
  },
  'curl -s http://127.0.0.1:9464/metrics | grep tailrace_writer': { beside: MONITORED },
  'curl -s http://127.0.0.1:9464/readyz': { beside: MONITORED },
  ...Object.fromEntries(
    [
      'tailrace doctor',
      'tailrace doctor --config /etc/tailrace/event_processor.json',
      'tailrace doctor --config /etc/tailrace/event_processor.json --database postgresql://tailrace@/mail',
      'tailrace doctor --json | jq \'.checks[] | select(.state != "ok")\'',
    ].map((line) => [line, DOCTOR]),
  ),
  ...Object.fromEntries(
    [
      'tailrace replay --dry-run events.jsonl*',
      'tailrace replay --rate 500 events.jsonl*',
      'tailrace replay --from 2026-11-21T22:00 --to 2026-11-22T03:00 events.jsonl*',
      'tailrace replay --dry-run --from 2026-11-21T22:00 events.jsonl*',
      'tailrace replay --from 2026-11-21T22:00 events.jsonl*',
      'tailrace replay --type scomp --where listid=weekly events.jsonl',
      'tailrace replay --destination crm --rate 100 events.jsonl',
    ].map((line) => [line, REPLAY]),
  ),
  'tailrace replay replay.rejected.jsonl': {
    ...REPLAY,
    after: 'cp /var/log/replay/events.jsonl /var/log/replay/replay.rejected.jsonl',
  },
  'tailrace replay --resume': {
    ...REPLAY,
    after: `cd /var/log/replay && { tailrace replay --rate 1 events.jsonl* >/dev/null &
      until [ -e replay.checkpoint.json ]; do sleep 0.1; done
      kill $!; wait $!; [ $? = 75 ]; }`,
  },
  'jq -r .input events.jsonl.rejected.jsonl': { folder: 'var/log/app' },
  'jq -r .input events.jsonl.rejected.jsonl > mended.jsonl': { folder: 'var/log/app' },
  // Others name it too.
  'tailrace check new.json && mv new.json event_processor.json': {
    as: 'cp new.json kept.json && tailrace check new.json && mv new.json event_processor.json && mv kept.json new.json',
  },
  'man -l docs/tailrace.1': { stderr: /^$|cannot chdir|troff/ },
};
