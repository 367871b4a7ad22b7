import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { minVersion, satisfies } from 'semver';

// The packages that `npm install` installs. npm warns with EBADENGINE if one requires a newer Node.js than rnd1.

interface Package {
  readonly version?: string;
  readonly engines?: { readonly node?: string };
  readonly dev?: true;
  readonly hasInstallScript?: true;
}

const root = resolve(__dirname, '..');
const read = (file: string) => JSON.parse(readFileSync(join(root, file), 'utf8'));
const { engines, dependencies, peerDependencies, peerDependenciesMeta } = read('package.json');
const packages = Object.entries(read('package-lock.json').packages as Record<string, Package>);

test('every package runs on the oldest Node.js that package.json names, and on the newer lines', () => {
  const oldest = minVersion(engines.node)?.version as string;
  for (const node of [oldest, '20.19.0', '22.12.0', '24.0.0']) {
    const refused = packages.filter(([, { engines }]) => engines?.node && !satisfies(node, engines.node));
    expect({ node, refused: refused.map(([path, { version }]) => `${path} ${version}`) }).toEqual({
      node,
      refused: [],
    });
  }
});

test('nothing that users install runs a script', () => {
  const scripted = packages.filter(([path, { dev, hasInstallScript }]) => path && !dev && hasInstallScript);
  expect(scripted.map(([path]) => path)).toEqual([]);
});

// fastify accepts any 6.x; 6.8 depends on a `cookie` that requires Node.js 22.
test('light-my-request is held below 6.8 while Node.js 20 counts', () => {
  expect(dependencies['light-my-request']).toBe('~6.6.0');
  expect(satisfies('20.19.0', engines.node)).toBe(true);
});

test('what only plots, queues and a sandbox need is left to those who use them', () => {
  const optional = ['bullmq', 'echarts', 'ioredis', 'pyodide'];
  expect(Object.keys(peerDependencies)).toEqual(optional);
  expect(peerDependenciesMeta).toEqual(
    Object.fromEntries(optional.map((name) => [name, { optional: true }])),
  );
  for (const name of optional) {
    const installed = packages.find(([path]) => path === `node_modules/${name}`)?.[1].version as string;
    expect({ name, fits: satisfies(installed, peerDependencies[name]) }).toEqual({ name, fits: true });
  }
});
