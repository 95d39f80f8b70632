import { describe, expect, test } from 'vitest';
import { createScreen } from '../../src/demo/screen.ts';

const COUNTS = { recorded: 2000, logged: 2000, accepted: 900, refused: 4, queued: 1100 };
const ACCOUNTS = { recorded: 3, delivered: 1, dropped: 1, left: 1, waiting: 0, failed: 0, logged: 3, problems: [] };

function createOutput(isTTY: boolean) {
  const output = {
    isTTY,
    text: '',
    write(text: string) {
      output.text += text;
    },
  };
  return output;
}

describe('piped', () => {
  test('the counts are one plain line a second, without escape sequences', () => {
    const output = createOutput(false);
    const screen = createScreen(output, {});
    screen.step('started');
    screen.counts(COUNTS);
    screen.counts({ ...COUNTS, accepted: 901 });
    screen.summary(ACCOUNTS, [['try', 'jq .']]);
    expect(output.text.match(/recorded 2000, in the file 2000, delivered 900/g)).toHaveLength(1);
    expect(output.text).not.toContain('901');
    expect(output.text).not.toContain('\x1b');
    expect(output.text).toContain('It adds up.');
    expect(output.text).toContain('jq .');
  });

  test('each thing that does not add up is said', () => {
    const output = createOutput(false);
    createScreen(output, {}).summary({ ...ACCOUNTS, problems: ['one is missing', 'one is there twice'] }, []);
    expect(output.text).toContain('It does not add up: one is missing.');
    expect(output.text).toContain('It does not add up: one is there twice.');
    expect(output.text).not.toContain('It adds up');
  });
});

describe('on a terminal', () => {
  test('the counts are redrawn in place, and what comes next takes their place', () => {
    const output = createOutput(true);
    const screen = createScreen(output, {});
    screen.counts(COUNTS);
    const lines = output.text.split('\n').length - 1;
    screen.counts(COUNTS);
    expect(output.text.split(`\x1b[${lines}A\x1b[J`)).toHaveLength(2);
    screen.step('moved');
    expect(output.text.split(`\x1b[${lines}A\x1b[J`)).toHaveLength(3);
  });

  test('NO_COLOR takes the colours away', () => {
    const output = createOutput(true);
    createScreen(output, { NO_COLOR: '1' }).summary(ACCOUNTS, []);
    expect(output.text).not.toContain('\x1b[');
  });
});
