import { expect, test } from 'vitest';
import { startReceiver } from '../../src/demo/receiver.ts';

async function post(url: string, body: string | URLSearchParams): Promise<number> {
  const headers = typeof body === 'string' ? { 'content-type': 'application/json' } : undefined;
  const response = await fetch(url, { method: 'POST', body, ...(headers && { headers }) });
  await response.text();
  return response.status;
}

test('knows the ids of what it accepted, by path, from JSON and from forms', async () => {
  await using receiver = await startReceiver({ refusedShare: 0, seed: 1 });
  await post(`${receiver.origin}/a`, '{"id": 7, "email": null}');
  await post(`${receiver.origin}/a`, '{"id": 7, "email": null}');
  await post(`${receiver.origin}/b`, new URLSearchParams({ id: '8', email: '' }));
  expect(receiver.accepted).toEqual(
    new Map([
      ['/a', new Set(['7'])],
      ['/b', new Set(['8'])],
    ]),
  );
});

test('refuses its share with 503, the same requests for the same seed, and does not count them as accepted', async () => {
  const statuses: number[][] = [];
  for (let run = 0; run < 2; run += 1) {
    await using receiver = await startReceiver({ refusedShare: 0.2, seed: 5 });
    const answers: number[] = [];
    for (let id = 0; id < 100; id += 1) answers.push(await post(receiver.origin, `{"id": ${id}}`));
    const refused = answers.filter((status) => status === 503).length;
    expect(refused).toBe(receiver.refused);
    expect(refused).toBeGreaterThan(5);
    expect(refused).toBeLessThan(50);
    expect(receiver.accepted.get('/')?.size).toBe(100 - refused);
    statuses.push(answers);
  }
  expect(statuses[0]).toEqual(statuses[1]);
});
