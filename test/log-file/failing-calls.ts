// Real files whose system calls fail or are interrupted on demand: the one double of these tests.

import type { FileHandle } from 'node:fs/promises';
import { LOG_FILE_SYSTEM, type LogFileSystem } from '../../src/log-file/handle.ts';

export interface FailingCalls extends LogFileSystem {
  /** Called before each write and fdatasync of an open file; what it throws is the call's error. */
  before: (call: 'write' | 'datasync', path: string) => void | Promise<void>;
  /** Most bytes that one write takes. */
  mostBytes: number;
  readonly calls: string[];
}

export function errno(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

export function createFailingCalls(): FailingCalls {
  const calls: FailingCalls = {
    ...LOG_FILE_SYSTEM,
    before: () => {},
    mostBytes: Number.POSITIVE_INFINITY,
    calls: [],
    open: async (path, flags, mode) => wrap(await LOG_FILE_SYSTEM.open(path, flags, mode), String(path)),
  };
  const wrap = (file: FileHandle, path: string): FileHandle =>
    new Proxy(file, {
      get(target, key) {
        if (key === 'write') {
          return async (bytes: Buffer, from: number, length: number, position?: number) => {
            calls.calls.push('write');
            await calls.before('write', path);
            return await target.write(bytes, from, Math.min(length, calls.mostBytes), position);
          };
        }
        if (key === 'datasync') {
          return async () => {
            calls.calls.push('datasync');
            await calls.before('datasync', path);
            await target.datasync();
          };
        }
        const value = Reflect.get(target, key);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  return calls;
}
