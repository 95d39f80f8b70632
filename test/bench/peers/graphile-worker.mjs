// graphile-worker with the settings of its page on performance (https://worker.graphile.org/docs/performance): jobs fetched
// in batches and completed in batches. Each event is a job; a job that is done is deleted. Put into its queue before the
// clock runs.

import { appendFile } from 'node:fs/promises';
import { Logger, run, runMigrations } from 'graphile-worker';
import pg from 'pg';
import { announce, deliver, environment } from './peer.mjs';

const { url, log, post, events } = environment();
const preset = {
  worker: {
    connectionString: url,
    concurrentJobs: 24,
    maxPoolSize: 25,
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
    logger: new Logger(() => () => {}),
  },
};
const client = new pg.Client({ connectionString: url });
await client.connect();
await runMigrations({ preset });
await client.query(`SELECT graphile_worker.add_job('event', row_to_json(events)) FROM events`);

const began = performance.now();
const runner = await run({
  preset,
  taskList: {
    event: async (row) => {
      const body = JSON.stringify(row);
      await appendFile(log, `${body}\n`);
      await deliver(post, body);
    },
  },
});
for (;;) {
  const { rows } = await client.query('SELECT FROM graphile_worker.jobs LIMIT 1');
  if (rows.length === 0) break;
  await new Promise((resolve) => setTimeout(resolve, 10));
}
announce(events, began);
await runner.stop();
await client.end();
