/** The part of jest that the tests use, on node:test; bundles use these names instead of jest's globals. */
import { writeSync } from 'node:fs';
import nodeTest from 'node:test';
import { format } from 'node:util';

export { expect } from 'expect';

type Body = () => unknown;
type BodyOf = (...values: never[]) => unknown;

type Each<Result> = (table: readonly unknown[]) => (title: string, body: BodyOf, timeout?: number) => Result;

let started = 0;

// Written synchronously, so that the log of a process that hung or crashed ends with the name of its test.
function announce(title: string): void {
  started++;
  writeSync(2, `started: ${title}\n`);
}

process.on('exit', () => {
  if (started > 0) return;
  writeSync(2, 'No test was found.\n');
  process.exitCode ||= 1;
});

function valueAt(row: unknown, path: string): string {
  const value = path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], row);
  return Object(value) === value ? JSON.stringify(value) : String(value);
}

/** Expands a title of `each`: `$name` and `$tokens.length` for objects, `%s` and `%i` for lists. */
function titleOf(title: string, row: unknown, values: readonly unknown[]): string {
  const printed = values.slice(0, title.match(/%[sdifjoO]/g)?.length ?? 0);
  return format(
    title.replace(/\$([a-zA-Z_][\w.]*\w|\w)/g, (_, path: string) => valueAt(row, path)),
    ...printed,
  );
}

function eachOf(define: (title: string, body: Body, timeout?: number) => void): Each<void> {
  return (table) => (title, body, timeout) => {
    for (const row of table) {
      const values = Array.isArray(row) ? row : [row];
      define(titleOf(title, row, values), () => (body as (...all: unknown[]) => unknown)(...values), timeout);
    }
  };
}

function defineTest(title: string, body: Body, timeout = Number.POSITIVE_INFINITY): void {
  nodeTest.test(title, { timeout }, async () => {
    announce(title);
    await body();
  });
}

function skipTest(title: string, _body?: unknown): void {
  started++;
  nodeTest.test(title, { skip: true });
}

function defineSuite(title: string, body: Body): void {
  nodeTest.describe(title, () => {
    body();
  });
}

function skipSuite(title: string, _body?: unknown): void {
  skipTest(title);
}

const skipEach: Each<void> = eachOf(skipTest);

export const test = Object.assign(defineTest, {
  each: eachOf(defineTest),
  skip: Object.assign(skipTest, { each: skipEach }),
});
export const it = test;
export const describe = Object.assign(defineSuite, {
  each: eachOf(defineSuite),
  skip: Object.assign(skipSuite, { each: skipEach }),
});

type Hook = (body: Body, timeout?: number) => void;

// Without parameters, since node:test passes a callback to hooks that declare one.
const hook =
  (define: typeof nodeTest.before): Hook =>
  (body, timeout = Number.POSITIVE_INFINITY) =>
    define(
      async () => {
        await body();
      },
      { timeout },
    );

export const beforeAll = hook(nodeTest.before);
export const afterAll = hook(nodeTest.after);
export const beforeEach = hook(nodeTest.beforeEach);
export const afterEach = hook(nodeTest.afterEach);
