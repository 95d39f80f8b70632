// The PEM files of a destination's `tls`, read as its secrets are: a new content is noticed and loaded by itself. What
// TLS would stumble over at the first connection is said here, with the file's name.

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { codeOf } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import type { HttpTls } from './config.ts';
import type { SecretOptions } from './secrets.ts';

/** A bundle of all public authorities has 220 KiB. */
const MAX_PEM_BYTES = 1024 * 1024;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

type TlsKey = 'ca' | 'cert' | 'key';

/** What is wrong with one of the three files. */
interface TlsProblem {
  readonly key: TlsKey;
  readonly problem: string;
}

/** Reads the files that `tls` names and sees that they are what they should be and belong together. */
export async function readTls(
  input: { readonly [key in TlsKey]?: string | undefined },
  options: Pick<SecretOptions, 'sources' | 'folder'>,
): Promise<{ readonly tls: HttpTls } | { readonly problems: readonly TlsProblem[] }> {
  const problems: TlsProblem[] = [];
  const read = async (key: TlsKey): Promise<{ readonly file: string; readonly text: string } | null> => {
    const path = input[key];
    if (path === undefined) return null;
    const file = resolve(options.folder, path);
    const content = await options.sources.read(file, MAX_PEM_BYTES);
    if ('text' in content) return { file, text: content.text };
    problems.push({ key, problem: `the file ${file} cannot be read: ${content.failure}` });
    return null;
  };
  const [ca, cert, key] = [await read('ca'), await read('cert'), await read('key')];
  if (input.cert !== undefined && input.key === undefined) {
    problems.push({ key: 'cert', problem: 'expected "key" with it: the file of the certificate\'s key' });
  }
  if (input.key !== undefined && input.cert === undefined) {
    problems.push({ key: 'key', problem: 'expected "cert" with it: the file of the certificate' });
  }
  if (ca && certificatesIn(ca.text) === null) problems.push({ key: 'ca', problem: noCertificate(ca.file) });
  const chain = cert && certificatesIn(cert.text);
  if (cert && !chain) problems.push({ key: 'cert', problem: noCertificate(cert.file) });
  const privateKey = key && privateKeyIn(key.text);
  if (key && typeof privateKey === 'string')
    problems.push({ key: 'key', problem: `the file ${key.file} ${privateKey}` });
  const [own] = chain ?? [];
  if (cert && key && own && typeof privateKey === 'object' && privateKey && !own.checkPrivateKey(privateKey)) {
    const problem = `the key in the file ${key.file} does not belong to the first certificate of ${cert.file}`;
    problems.push({ key: 'key', problem });
  }
  if (problems.length > 0) return { problems };
  const tls = { ca: ca?.text ?? null, cert: cert?.text ?? null, key: key && new Secret(key.text) };
  try {
    createSecureContext({
      ...(tls.ca !== null && { ca: tls.ca }),
      ...(tls.cert !== null && { cert: tls.cert }),
      ...(tls.key !== null && { key: tls.key.reveal() }),
    });
  } catch (error) {
    // Such as a key that is too short for this OpenSSL's security level.
    const which = cert ? 'cert' : 'ca';
    const problem = `OpenSSL does not take the file ${(cert ?? ca)?.file} (${codeOf(error) ?? 'no reason given'})`;
    return { problems: [{ key: which, problem }] };
  }
  return { tls };
}

/** The certificates of a PEM text, or null when there is none or one is damaged. */
function certificatesIn(text: string): readonly X509Certificate[] | null {
  const blocks = text.match(CERTIFICATE);
  try {
    return blocks?.map((block) => new X509Certificate(block)) ?? null;
  } catch {
    return null;
  }
}

function noCertificate(file: string): string {
  return `the file ${file} holds no certificate in PEM form, or a damaged one (-----BEGIN CERTIFICATE-----)`;
}

/** The key, or what the file is instead; OpenSSL's own words could quote it. */
function privateKeyIn(text: string): KeyObject | string {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    return 'holds a key that is encrypted with a passphrase; decrypt it with: openssl pkey -in FILE -out FILE';
  }
  try {
    return createPrivateKey(text);
  } catch {
    return 'holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)';
  }
}
