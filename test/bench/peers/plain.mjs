// The script that everybody writes first: pg, fs.appendFile and fetch, one event after another. It reads a thousand rows at
// a time and keeps its HTTP connection; it makes no fsync and survives no crash, both in its favour.

import { appendFile } from 'node:fs/promises';
import pg from 'pg';
import { announce, environment } from './peer.mjs';

const { url, log, post, events } = environment();
const client = new pg.Client({ connectionString: url });
await client.connect();

const began = performance.now();
let done = 0;
while (done < events) {
  const { rows } = await client.query('SELECT * FROM events ORDER BY id LIMIT 1000');
  for (const row of rows) {
    await appendFile(log, `${JSON.stringify(row)}\n`);
    const response = await fetch(post, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(row),
    });
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`refused with ${response.status}`);
    await client.query({ name: 'delete', text: 'DELETE FROM events WHERE id = $1', values: [row.id] });
    done += 1;
  }
}
announce(done, began);
await client.end();
