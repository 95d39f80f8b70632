import { expect, test } from 'vitest';
import { CONFIG_LOCATIONS, findConfigFile } from '../../src/config/find.ts';

const everywhere = () => true;
const nowhere = () => false;

test('the option comes before the environment, and neither has to exist', () => {
  const env = { TAILRACE_CONFIG: '/b.json' };
  expect(findConfigFile({ option: '/a.json', env, exists: nowhere })).toEqual({ file: '/a.json', explicit: true });
  expect(findConfigFile({ env, exists: nowhere })).toEqual({ file: '/b.json', explicit: true });
});

test('the usual places are looked at in order', () => {
  expect(CONFIG_LOCATIONS).toEqual([
    './event_processor.json',
    '/etc/tailrace/event_processor.json',
    '/var/hvmail/control/event_processor.json',
  ]);
  for (const [at, file] of CONFIG_LOCATIONS.entries()) {
    const exists = (candidate: string) => CONFIG_LOCATIONS.indexOf(candidate) >= at;
    expect(findConfigFile({ env: {}, exists })).toEqual({ file, explicit: false });
  }
});

test('an empty variable names no file', () => {
  expect(findConfigFile({ env: { TAILRACE_CONFIG: '' }, exists: everywhere })?.explicit).toBe(false);
});

test('there may be none', () => {
  expect(findConfigFile({ env: {}, exists: nowhere })).toBeNull();
});
