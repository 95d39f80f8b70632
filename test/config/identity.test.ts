import { describe, expect, test } from 'vitest';
import { destinations, load, loadGood, messages, post } from './config-file.ts';

async function keyOf(entry: object, env: NodeJS.ProcessEnv = {}): Promise<string | undefined> {
  return (await loadGood(destinations(entry), env)).routes[0]?.key;
}

describe('the key of a destination', () => {
  test('is its name', async () => {
    expect(await keyOf(post('https://h/a', {}, { name: 'crm' }))).toBe('crm');
  });

  test('is its type and its URL without user information and fragment', async () => {
    expect(await keyOf(post('https://u:p@Hooks.example.com:443/bounces#x'))).toBe(
      'http_post https://hooks.example.com/bounces',
    );
  });

  test('shows no query and still tells two queries apart', async () => {
    const one = await keyOf(post('https://h/a?token=1'));
    expect(one).toMatch(/^http_post https:\/\/h\/a \?#[0-9a-f]{8}$/);
    expect(await keyOf(post('https://h/a?token=2'))).not.toBe(one);
    expect(await keyOf(post('https://h/a?token=1'))).toBe(one);
  });

  test('shows the origin only of a URL that is a secret', async () => {
    const key = await keyOf(post({ env: 'HOOK' }), { HOOK: 'https://u:p@hooks.example.com/T0/s3cr3t' });
    expect(key).toMatch(/^http_post https:\/\/hooks\.example\.com\/ \?#[0-9a-f]{8}$/);
  });

  test('is the type where there is no target', async () => {
    const { routes } = await loadGood(
      destinations({ matches: { event_type: 'scomp' }, destination: { type: 'drop_from_queue' } }),
    );
    expect(routes.map(({ key }) => key)).toEqual(['drop_from_queue', 'leave_in_queue']);
  });
});

describe('two entries', () => {
  const other = { matches: { event_type: 'engine_open' } };

  test.each([
    ['with the same destination', [post('https://h/a'), post('https://h/a', {}, other)]],
    [
      'with the same name and the same destination',
      [post('https://h/a', {}, { name: 'a' }), post('https://h/a', {}, { ...other, name: 'a' })],
    ],
    [
      'with other settings and names of their own',
      [post('https://h/a', {}, { name: 'a' }), post('https://h/a', { timeout_ms: 100 }, { ...other, name: 'b' })],
    ],
  ])('%s are fine', async (_, entries) => {
    expect(messages(await load(destinations(...entries)))).toEqual([]);
  });

  test.each([
    ['with one destination and two settings', [post('https://h/a'), post('https://h/a', { timeout_ms: 100 }, other)]],
    ['with one destination and two users', [post('https://u@h/a'), post('https://v@h/a', {}, other)]],
    [
      'with one destination, enabled and not',
      [post('https://h/a'), post('https://h/a', {}, { ...other, enabled: false })],
    ],
    [
      'with one name and two targets',
      [post('https://h/a', {}, { name: 'a' }), post('https://h/b', {}, { ...other, name: 'a' })],
    ],
    ['with one name and two types', [post('https://h/a', {}, { name: 'leave_in_queue' })]],
  ])('%s are a problem', async (_, entries) => {
    const loaded = await load(destinations(...entries));
    expect(messages(loaded)).toEqual([
      expect.stringMatching(/event_destinations\[0\] \(line 3\).*make the two equal, or give each a "name"/),
    ]);
  });
});

describe('the fingerprint', () => {
  const first = () => destinations(post('https://u:p@h/a', {}, { matches: { event_type: ['scomp', 'bounce_all'] } }));
  const fingerprint = async (content: object, env: NodeJS.ProcessEnv = {}) =>
    (await loadGood(content, env)).fingerprint;

  test.each([
    [
      'tuning',
      destinations(
        post(
          'https://u:p@h/a',
          { timeout_ms: 100, concurrency: 1, retry: { max_attempts: 1 } },
          { matches: { event_type: ['scomp', 'bounce_all'] } },
        ),
      ),
    ],
    ['credentials', destinations(post('https://v:q@h/a', {}, { matches: { event_type: ['scomp', 'bounce_all'] } }))],
    [
      'enabled',
      destinations(post('https://u:p@h/a', {}, { enabled: false, matches: { event_type: ['scomp', 'bounce_all'] } })),
    ],
    [
      'the order, the case, the age or the number of names',
      destinations(post('https://u:p@h/a', {}, { matches: { event_type: ['HOOK_STAT', 'Scomp', 'scomp'] } })),
    ],
    [
      'the log file and the top level',
      { ...first(), logfile: { filename: '/l' }, poll_interval_ms: 5, http_keep_alive: 0 },
    ],
  ])('does not change with %s', async (_, content) => {
    expect(await fingerprint(content)).toBe(await fingerprint(first()));
  });

  test.each([
    ['a type', destinations(post('https://u:p@h/a', {}, { matches: { event_type: ['scomp'] } }))],
    [
      'a class',
      destinations(post('https://u:p@h/a', {}, { matches: { event_type: ['scomp', 'bounce_all'], mail_class: 'a' } })),
    ],
    ['a target', destinations(post('https://u:p@h/b', {}, { matches: { event_type: ['scomp', 'bounce_all'] } }))],
    [
      'a name',
      destinations(post('https://u:p@h/a', {}, { name: 'a', matches: { event_type: ['scomp', 'bounce_all'] } })),
    ],
    ['the format', { ...first(), use_json_for_http_post: true }],
    [
      'continue',
      destinations(post('https://u:p@h/a', {}, { continue: true, matches: { event_type: ['scomp', 'bounce_all'] } })),
    ],
    [
      'the columns',
      destinations(
        post('https://u:p@h/a', { columns: 'applicable' }, { matches: { event_type: ['scomp', 'bounce_all'] } }),
      ),
    ],
    [
      'another entry',
      destinations(
        ...first().event_destinations.slice(0, 1),
        post('https://h/c', {}, { matches: { event_type: 'x' } }),
      ),
    ],
  ])('changes with %s', async (_, content) => {
    expect(await fingerprint(content)).not.toBe(await fingerprint(first()));
  });

  test('changes with the target of a destination that keeps its name, and with the order of entries', async () => {
    const named = (url: string) => destinations(post(url, {}, { name: 'a' }));
    expect(await fingerprint(named('https://h/a'))).not.toBe(await fingerprint(named('https://h/b')));
    const [a, b] = [post('https://h/a'), post('https://h/b', {}, { matches: { mail_class: 'x' } })];
    expect(await fingerprint(destinations(a, b))).not.toBe(await fingerprint(destinations(b, a)));
  });

  test('of a named destination does not change with a token in the query', async () => {
    const at = (token: string) =>
      fingerprint(destinations(post({ env: 'HOOK' }, {}, { name: 'a' })), { HOOK: `https://h/a?token=${token}` });
    expect(await at('1')).toBe(await at('2'));
  });
});
