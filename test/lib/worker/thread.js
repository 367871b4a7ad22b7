/* A thread for the tests of lanes: each request names an action. */
const { join } = require('node:path');
const { serveThread } = require(join(__dirname, '../..', '..', 'dist', 'worker', 'thread.js'));

class Coded extends Error {
  name = 'Coded';
  code = 'a_code';
  param = 'field';
}

serveThread(async ({ prepare }) => {
  if (prepare === 'fail') throw new Coded('not today');
  for (;;) if (prepare !== 'for ever') break;
  let count = 0;
  return {
    ready: { greeting: 'hello' },
    answer({ what, value }) {
      count++;
      if (what === 'echo') return { value, count };
      if (what === 'environment') return { env: Object.keys(process.env), execArgv: process.execArgv };
      if (what === 'throw') throw new Coded(value);
      if (what === 'throw a string') throw value;
      if (what === 'exit') process.exit(0);
      if (what === 'print') for (const each of [console.log, console.error]) each(value);
      if (what === 'search') return /^(a+)+$/.test(value);
      if (what === 'fill') {
        const kept = [];
        for (;;) kept.push(new Array(10_000).fill(kept.length));
      }
      return null;
    },
  };
});
