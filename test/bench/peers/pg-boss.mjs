// pg-boss, each event a job, put into its queue before the clock runs. Its workers look for jobs twice a second at most; for
// more, its documentation has fetch() and complete() with a batch size, which is what is used here: several loops side by
// side, a batch each, the lines of a batch written at once and its POSTs sent together.

import { appendFile } from 'node:fs/promises';
import pg from 'pg';
import PgBoss from 'pg-boss';
import { announce, deliver, environment } from './peer.mjs';

const QUEUE = 'events';
const LOOPS = 4;
const BATCH = 100;
const INSERTED_AT_ONCE = 1_000;

const { url, log, post, events } = environment();
const boss = new PgBoss({ connectionString: url, max: LOOPS + 2, supervise: false, schedule: false });
boss.on('error', (error) => {
  throw error;
});
await boss.start();
await boss.createQueue(QUEUE);
const client = new pg.Client({ connectionString: url });
await client.connect();
const { rows } = await client.query('SELECT * FROM events');
await client.end();
for (let at = 0; at < rows.length; at += INSERTED_AT_ONCE) {
  await boss.insert(rows.slice(at, at + INSERTED_AT_ONCE).map((data) => ({ name: QUEUE, data })));
}

const began = performance.now();
let done = 0;
const work = async () => {
  while (done < events) {
    const jobs = await boss.fetch(QUEUE, { batchSize: BATCH });
    if (jobs.length === 0) return;
    const bodies = jobs.map(({ data }) => JSON.stringify(data));
    await appendFile(log, `${bodies.join('\n')}\n`);
    await Promise.all(bodies.map((body) => deliver(post, body)));
    await boss.complete(
      QUEUE,
      jobs.map(({ id }) => id),
    );
    done += jobs.length;
  }
};
await Promise.all(Array.from({ length: LOOPS }, work));
announce(done, began);
await boss.stop({ graceful: false });
