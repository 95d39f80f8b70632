// The small parts that the shapes are made of. Each schema's error text says what is expected, for a sentence that
// begins with "expected"; what was found is added by shape-problems.ts, which knows what may be shown.

import { z } from 'zod';

/** A whole number within bounds, both included. */
export function wholeNumber(min: number, max: number) {
  const error = `a whole number from ${min.toLocaleString('en-US')} to ${max.toLocaleString('en-US')}`;
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error });
}

/** `true` or `false`. */
export function flag() {
  return z.boolean({ error: 'true or false' });
}

/** A text that is not empty. */
export function text(error = 'a text that is not empty') {
  return z.string({ error }).min(1, { error });
}

/** A text of a certain form. */
export function textLike(pattern: RegExp, error: string) {
  return z.string({ error }).regex(pattern, { error });
}

/** One of some words. */
export function oneOf<const Words extends readonly [string, ...string[]]>(...words: Words) {
  return z.enum(words, { error: words.map((word) => `"${word}"`).join(' or ') });
}

/** An object that has no other keys than these. */
export function object<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  return z.strictObject(shape, { error: 'an object in braces' });
}

/** One text or several. */
export function oneOrMore(one: z.ZodString) {
  const error = 'a text or a list of texts, not empty';
  return z.union([one, z.array(one, { error }).min(1, { error })], { error });
}

/** Where the text of a secret comes from: the file itself, a variable of the environment, or another file. */
export type SecretSource = string | { readonly env: string } | { readonly file: string };

const ENV_SOURCE = object({
  env: textLike(/^[A-Za-z_][A-Za-z0-9_]*$/, 'the name of an environment variable').meta({
    description: 'Name of the environment variable that holds it.',
  }),
});

const FILE_SOURCE = object({
  file: text('the path of a file').meta({
    description: 'Path of the file that holds it, at most 64 KiB; one newline at the end is not part of it.',
    examples: ['/run/secrets/token'],
  }),
});

/** A text that may be a secret: written out, or a hint at where it is. */
export function secretText(error: string, literal: z.ZodString = text()) {
  return z.union([literal, ENV_SOURCE, FILE_SOURCE], { error: `${error}, {"env": "NAME"} or {"file": "PATH"}` });
}
