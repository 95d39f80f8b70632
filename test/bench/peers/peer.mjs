// What the peers share: what they are told, and how they say what they did.

/** @returns {{ url: string, log: string, post: string, events: number }} */
export function environment() {
  const { PEER_DATABASE_URL = '', PEER_LOG = '', PEER_POST_URL = '', PEER_EVENTS = '0' } = process.env;
  return { url: PEER_DATABASE_URL, log: PEER_LOG, post: PEER_POST_URL, events: Number(PEER_EVENTS) };
}

/** Says how many events were done, and in what time: without the start and what had to be set up. */
export function announce(events, began) {
  process.stdout.write(`${JSON.stringify({ events, seconds: (performance.now() - began) / 1000 })}\n`);
}

/** The row as one line and one POST, as every one of them does it. */
export async function deliver(post, body) {
  const response = await fetch(post, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`refused with ${response.status}`);
}
