const { availableParallelism } = require('node:os');

/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  // Those need a browser, and have a configuration of their own.
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/browser/'],
  // TypeScript first: lib/index.mjs, the entry for import, lies beside lib/index.ts.
  moduleFileExtensions: ['ts', 'js', 'mjs', 'json', 'node'],
  // The page's modules are written for browsers, which load them as they are; jest wants CommonJS.
  transform: {
    '\\.ts$|/lib/server/page/[^/]+\\.js$': ['ts-jest', { tsconfig: 'tsconfig.json', diagnostics: false }],
  },
  // npm run package leaves a second package of the same name there.
  modulePathIgnorePatterns: ['<rootDir>/build-package/'],
  testTimeout: 60_000,
  // By default jest leaves a core to itself: of two, half of them.
  maxWorkers: Math.max(availableParallelism() - 1, 2),
};
