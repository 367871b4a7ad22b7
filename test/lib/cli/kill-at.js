// Preloaded into a process, it kills it with SIGKILL before file operation number KILL_AT in the folder KILL_IN.
const files = require('node:fs/promises');

let left = Number(process.env.KILL_AT);
for (const name of ['mkdir', 'open', 'rename', 'rm']) {
  const original = files[name];
  files[name] = (...args) => {
    if (String(args[0]).startsWith(process.env.KILL_IN) && left-- === 0) process.kill(process.pid, 'SIGKILL');
    return original(...args);
  };
}
