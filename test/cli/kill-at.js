// Preloaded into a process, it ends that as `kill -9` does, before the operation on files whose number KILL_AT gives.
const files = require('node:fs/promises');

let left = Number(process.env.KILL_AT);
for (const name of ['mkdir', 'open', 'rename', 'rm']) {
  const original = files[name];
  files[name] = (...args) => {
    if (String(args[0]).startsWith(process.env.KILL_IN) && left-- === 0) process.kill(process.pid, 'SIGKILL');
    return original(...args);
  };
}
