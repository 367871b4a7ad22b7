/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  // TypeScript first: lib/index.mjs, the entry for import, lies beside lib/index.ts.
  moduleFileExtensions: ['ts', 'js', 'mjs', 'json', 'node'],
  transform: { '\\.ts$': ['ts-jest', { tsconfig: 'tsconfig.json', diagnostics: false }] },
  // npm run package leaves a second package of the same name there.
  modulePathIgnorePatterns: ['<rootDir>/build-package/'],
  testTimeout: 60_000,
};
