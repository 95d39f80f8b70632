// What an `http_post` may ask for, and what it arrives as.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { HttpPostConfig } from '../../src/config/config.ts';
import { AUTHORITY, KEY, SELF_SIGNED, VALID } from '../destinations/certificates.ts';
import { destinations, load, loadGood, messages, post, temporaryFolder } from './config-file.ts';

const SECRET = `whsec_${'c4n4ry00'.repeat(4)}`;
const OLDER = `whsec_${'00n4ry'.repeat(4)}gg==`;
const OTHER_KEY = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIHDdZvIk3d4h2UnLakp7Y31tt9/F2lRwcIn8s8zb2Ei5
-----END PRIVATE KEY-----`;

async function httpPostOf(settings: object, env: NodeJS.ProcessEnv = {}): Promise<HttpPostConfig> {
  const destination = (await loadGood(destinations(post('https://h/', settings)), env)).routes[0]?.destination;
  if (destination?.type !== 'http_post') throw new Error('no http_post');
  return destination;
}

/** The problems of a destination's settings, without their places. */
async function problemsOf(
  settings: object,
  url: unknown = 'https://h/',
  env: NodeJS.ProcessEnv = {},
): Promise<string[]> {
  return (await load(destinations(post(url, settings)), env)).problems.map(({ message }) => message);
}

/** A folder with files of these contents. @returns their paths. */
async function files<Names extends string>(contents: Readonly<Record<Names, string>>): Promise<Record<Names, string>> {
  const folder = await temporaryFolder();
  const entries = Object.entries<string>(contents).map(([name, text]) => ({ name, text, path: join(folder, name) }));
  await Promise.all(entries.map(({ path, text }) => writeFile(path, text)));
  // The names are those of the contents.
  return Object.fromEntries(entries.map(({ name, path }) => [name, path])) as Record<Names, string>;
}

test('everything that is given arrives, with its secrets resolved', async () => {
  const { ca, cert, key } = await files({ ca: AUTHORITY, cert: VALID, key: KEY });
  const config = await httpPostOf(
    {
      format: 'json',
      headers: { 'X-Api-Key': { env: 'API_KEY' }, 'x-tenant': 'acme' },
      auth: { basic: { username: 'ü', password: { env: 'API_KEY' } } },
      signing_secret: { env: 'SIGNING' },
      tls: { ca, cert, key },
      compress: true,
      public_only: true,
      batch: { max_events: 5, max_wait_ms: 7 },
    },
    { API_KEY: 'k', SIGNING: ` ${SECRET}\n ${OLDER} ` },
  );
  expect(config.headers.map(({ name, value }) => [name, value.reveal()])).toEqual([
    ['X-Api-Key', 'k'],
    ['x-tenant', 'acme'],
  ]);
  expect(config.auth?.type === 'basic' && [config.auth.username.reveal(), config.auth.password.reveal()]).toEqual([
    'ü',
    'k',
  ]);
  expect(config.signingSecrets.map((secret) => secret.reveal())).toEqual([SECRET, OLDER]);
  expect(config.tls).toMatchObject({ ca: AUTHORITY, cert: VALID });
  expect(config.tls?.key?.reveal()).toBe(KEY);
  expect(config).toMatchObject({ compress: true, publicOnly: true, batch: { maxEvents: 5, maxWaitMs: 7 } });
});

test('a bearer token arrives', async () => {
  const { auth } = await httpPostOf({ auth: { bearer: 'x' } });
  expect(auth?.type === 'bearer' && auth.token.reveal()).toBe('x');
});

describe('a header', () => {
  test.each([
    'Host',
    'content-length',
    'Content-Type',
    'content-encoding',
    'Accept-Encoding',
    'Transfer-Encoding',
    'connection',
    'Keep-Alive',
    'upgrade',
    'expect',
    'te',
    'trailer',
    'proxy-authorization',
    'Idempotency-Key',
    'webhook-id',
    'Webhook-Timestamp',
    'webhook-signature',
  ])('%s cannot be set, and the problem says why', async (name) => {
    expect(await problemsOf({ headers: { [name]: 'x' } })).toEqual([
      expect.stringMatching(new RegExp(`^the header "${name}" cannot be set: .+`)),
    ]);
  });

  test.each(['', ' x', 'x:', 'Authorization: Bearer c4n4ry', 'ü', 'a\r\nb', 'x'.repeat(101)])(
    'needs a name that is one: %j',
    async (name) => {
      const problems = await problemsOf({ headers: { [name]: 'x' } });
      expect(problems).toEqual(['"headers": expected the name of a header, such as "X-Api-Key", and nothing else']);
    },
  );

  test('called __proto__ is not lost in silence', async () => {
    const text = JSON.stringify(destinations(post('https://h/', { headers: { PROTO: 'x' } })));
    expect((await load(text.replace('PROTO', '__proto__'))).problems).toHaveLength(1);
  });

  test('is given once, whatever its case', async () => {
    expect(await problemsOf({ headers: { 'X-A': 'x', 'x-a': 'y' } })).toEqual([
      'the header "x-a" cannot be set: it is given twice',
    ]);
  });

  test.each(['c4n4ry\r\nx-evil: 1', ' c4n4ry', 'c4n4ry ', 'c4n4ry\0', 'c4n4ryü', 'c4n4ry'.repeat(2_000)])(
    'needs a value that can be sent: %#',
    async (value) => {
      for (const problems of [
        await problemsOf({ headers: { 'X-A': value } }),
        await problemsOf({ headers: { 'X-A': { env: 'V' } } }, 'https://h/', { V: value }),
      ]) {
        expect(problems).toEqual([expect.stringMatching(/^"X-A": expected /)]);
        expect(problems.join()).not.toContain('c4n4ry');
      }
    },
  );

  test('is one of at most 50', async () => {
    const headers = Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`x-${n}`, 'y']));
    expect(await problemsOf({ headers })).toEqual(['"headers": expected at most 50 headers']);
  });
});

describe('credentials', () => {
  test.each([
    ['beside an Authorization header', { auth: { bearer: 'x' }, headers: { authorization: 'y' } }, 'https://h/'],
    ['beside user information in the URL', { auth: { bearer: 'x' } }, 'https://u:p@h/'],
    ['in a header, beside user information in the URL', { headers: { Authorization: 'y' } }, 'https://u@h/'],
  ])('%s are a problem', async (_, settings, url) => {
    expect(await problemsOf(settings, url)).toEqual([expect.stringMatching(/credentials in one place$/)]);
  });

  test('in a header alone are good', async () => {
    expect(await problemsOf({ headers: { Authorization: 'Digest x' } })).toEqual([]);
  });

  test.each([
    [{ bearer: 'c4n4ry c4n4ry' }],
    [{ bearer: 'c4n4ry\n' }],
    [{ basic: { username: 'c4n4ry:x', password: 'x' } }],
    [{ basic: { username: 'x', password: 'c4n4ry\0' } }],
    [{ basic: { username: 'c4n4ry' } }],
    [{ bearer: 'c4n4ry', basic: { username: 'x', password: 'y' } }],
    [{}],
  ])('that cannot be sent are a problem, and not shown: %#', async (auth) => {
    const problems = await problemsOf({ auth });
    expect(problems).toHaveLength(1);
    expect(problems.join()).not.toContain('c4n4ry');
  });
});

test.each([
  ['c4n4ry00'.repeat(4), /whsec_/],
  ['whsec_', /16 bytes or more/],
  ['whsec_YzRuNHJ5', /16 bytes or more.* found 6/],
  ['whsec_c4n4ry!', /base64/],
  [Array(6).fill(SECRET).join(' '), /at most 5/],
  [`${SECRET} c4n4ry`, /whsec_/],
])('a signing secret of another form is a problem, and not shown: %#', async (signing_secret, expected) => {
  const problems = await problemsOf({ signing_secret });
  expect(problems).toEqual([expect.stringMatching(expected)]);
  expect(problems.join()).not.toMatch(/c4n4ry|YzRu/);
});

describe('batch', () => {
  const batch = { max_events: 5 };
  test.each([
    [{ batch }, false],
    [{ batch, format: 'form' }, true],
    [{ batch, format: 'form' }, false],
  ])('with form fields is a problem: %j, use_json_for_http_post %s', async (settings, json) => {
    const content = { use_json_for_http_post: json, ...destinations(post('https://h/', settings)) };
    expect(messages(await load(content))).toEqual([expect.stringMatching(/"batch": form fields carry one event each/)]);
  });

  test.each([
    [{ batch, format: 'json' }, false],
    [{ batch }, true],
  ])('with JSON is good: %j, use_json_for_http_post %s', async (settings, json) => {
    const content = { use_json_for_http_post: json, ...destinations(post('https://h/', settings)) };
    expect(messages(await load(content))).toEqual([]);
  });
});

describe('tls', () => {
  const problemsWith = async (contents: Partial<Record<'ca' | 'cert' | 'key', string>>) => {
    const paths = await files(contents as Record<string, string>);
    return problemsOf({ tls: paths });
  };

  test.each([
    ['no certificate', { ca: 'hello' }, /^"ca": the file \/.*\/ca holds no certificate in PEM form/],
    ['a damaged certificate', { ca: VALID.replace('MIIB', 'MIIC') }, /^"ca": the file .* damaged one/],
    ['a key in place of a certificate', { cert: KEY, key: KEY }, /^"cert": the file .*\/cert holds no certificate/],
    ['a certificate in place of a key', { cert: VALID, key: VALID }, /^"key": the file .*\/key holds no private key/],
    [
      'a key of another certificate',
      { cert: VALID, key: OTHER_KEY },
      /^"key": .*\/key does not belong to the first .*\/cert$/,
    ],
    [
      'an encrypted key',
      { cert: VALID, key: KEY.replaceAll('EC PRIVATE', 'ENCRYPTED PRIVATE') },
      /passphrase; decrypt it/,
    ],
    ['a certificate alone', { cert: VALID }, /^"cert": expected "key" with it/],
    ['a key alone', { key: KEY }, /^"key": expected "cert" with it/],
  ])('with %s is a problem that names the file', async (_, contents, expected) => {
    expect(await problemsWith(contents)).toEqual([expect.stringMatching(expected)]);
  });

  test('takes several authorities, and a chain', async () => {
    expect(
      await problemsWith({ ca: `# one\n${AUTHORITY}\n${SELF_SIGNED}\n`, cert: `${VALID}\n${AUTHORITY}`, key: KEY }),
    ).toEqual([]);
  });

  test('with a file that is not there is a problem', async () => {
    expect(await problemsOf({ tls: { ca: '/nowhere/ca.pem' } })).toEqual([
      '"ca": the file /nowhere/ca.pem cannot be read: there is no such file',
    ]);
  });

  test('for an http:// url is a problem', async () => {
    const { ca } = await files({ ca: AUTHORITY });
    expect(await problemsOf({ tls: { ca } }, 'http://h/')).toEqual([
      expect.stringMatching(/^"tls": the url begins with http/),
    ]);
  });

  test('is looked at again when a file changes', async () => {
    const { ca } = await files({ ca: AUTHORITY });
    const { sources } = await load(destinations(post('https://h/', { tls: { ca } })));
    expect(await sources.haveChanged()).toBe(false);
    await writeFile(ca, SELF_SIGNED);
    expect(await sources.haveChanged()).toBe(true);
  });
});

test('all that is wrong with a destination is found at once', async () => {
  const loaded = await load(
    destinations(
      post('ftp://h/', {
        headers: { 'X-A': { env: 'NOT_SET' }, host: 'x' },
        auth: { bearer: { env: 'NOT_SET' } },
        signing_secret: 'x',
        tls: { ca: '/nowhere' },
      }),
    ),
  );
  expect(loaded.problems).toHaveLength(6);
});

test('two entries with one destination must agree on its secrets too', async () => {
  const entries = (token: string) => [
    post('https://h/', { auth: { bearer: 'one' } }),
    post('https://h/', { auth: { bearer: token } }, { matches: { event_type: 'engine_open' } }),
  ];
  expect(messages(await load(destinations(...entries('one'))))).toEqual([]);
  const problems = messages(await load(destinations(...entries('two'))));
  expect(problems).toEqual([expect.stringMatching(/make the two equal/)]);
});

test('new credentials are no new configuration', async () => {
  const fingerprint = async (settings: object) =>
    (await loadGood(destinations(post('https://h/', { format: 'json', ...settings })))).fingerprint;
  const settings = { auth: { bearer: 'x' }, signing_secret: SECRET, compress: true, batch: { max_events: 9 } };
  expect(await fingerprint(settings)).toBe(await fingerprint({}));
});

test('what is loaded shows none of its secrets, however it is printed', async () => {
  const { cert, key } = await files({ cert: VALID, key: KEY });
  const settings = {
    headers: { 'X-A': 'c4n4ry' },
    auth: { basic: { username: 'c4n4ry', password: 'c4n4ry' } },
    signing_secret: SECRET,
    tls: { cert, key },
  };
  const loaded = await load(destinations(post('https://h/', settings)), { https_proxy: 'http://u:c4n4ry@p/' });
  expect(messages(loaded)).toEqual([]);
  for (const printed of [JSON.stringify(loaded), inspect(loaded, { depth: null, showHidden: true })]) {
    expect(printed).not.toMatch(/c4n4ry|MHcCAQ/);
  }
});
