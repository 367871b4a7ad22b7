// One build for both module systems: `import` gets the same classes that `require` gets.
import server from './index.js';

export const { createServer } = server;
