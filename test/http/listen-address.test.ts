import { expect, test } from 'vitest';
import { parseListenAddress, printAddress } from '../../src/http/listen-address.ts';

test.each([
  ['127.0.0.1:8025', 'http://127.0.0.1:8025', true],
  ['127.9.9.9:80', 'http://127.9.9.9:80', true],
  ['[::1]:8025', 'http://[::1]:8025', true],
  ['[::ffff:127.0.0.1]:8025', 'http://[::ffff:127.0.0.1]:8025', true],
  ['0.0.0.0:8025', 'http://0.0.0.0:8025', false],
  ['[::]:8025', 'http://[::]:8025', false],
  ['10.0.0.5:8025', 'http://10.0.0.5:8025', false],
  ['[fe80::1]:8025', 'http://[fe80::1]:8025', false],
  ['unix:/run/t.sock', 'unix:/run/t.sock', true],
  ['/run/t.sock', 'unix:/run/t.sock', true],
  ['./t.sock', 'unix:./t.sock', true],
])('%s is %s, only for this machine: %s', async (text, printed, isLocal) => {
  const address = await parseListenAddress(text);
  expect([printAddress(address), address.isLocal]).toEqual([printed, isLocal]);
});

test('a name becomes its address', async () => {
  const address = await parseListenAddress('localhost:8025');
  expect(address.isLocal).toBe(true);
  expect(printAddress(address)).toMatch(/^http:\/\/(?:127\.0\.0\.1|\[::1\]):8025$/);
});

test.each(['', '8025', ':8025', '127.0.0.1', '127.0.0.1:', '127.0.0.1:65536', '::1:8025', 'http://127.0.0.1:8025'])(
  '"%s" is refused as wrong usage',
  async (text) => {
    await expect(parseListenAddress(text)).rejects.toMatchObject({ code: 'LISTEN_ADDRESS', exitCode: 2 });
  },
);
