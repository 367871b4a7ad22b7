import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError, captureTool, root, show } from './command';

const source = join(root, 'lib');
const target = join(root, 'dist');

// Inside dist, so that removing dist makes the next build a full one.
const buildInfo = join(target, '.tsbuildinfo');

/** Removes output of deleted sources, which tsc leaves behind and a package would contain. */
function removeOrphans(): void {
  if (!existsSync(target)) return;
  for (const file of readdirSync(target, { recursive: true, encoding: 'utf8' })) {
    const module = /^(.*?)(\.d\.ts|\.js|\.js\.map)$/.exec(file)?.[1];
    if (module !== undefined && !existsSync(join(source, `${module}.ts`))) rmSync(join(target, file));
  }
}

/** Copies the files of the page, which browsers load uncompiled. */
function copyPage(): void {
  const [from, to] = [source, target].map((folder) => join(folder, 'server', 'page')) as [string, string];
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  for (const file of readdirSync(from)) {
    if (/\.(html|css|js|svg)$/.test(file)) copyFileSync(join(from, file), join(to, file));
  }
}

/**
 * Compiles lib/ into dist/ and adds the entry points for `import`.
 *
 * @throws BuildError after the compiler's messages have been printed
 */
export function buildTypeScript(): void {
  removeOrphans();
  const options = ['-p', 'tsconfig.build.json', '--incremental', '--tsBuildInfoFile', buildInfo];
  const { ok, output } = captureTool('typescript/bin/tsc', options);
  if (!ok) {
    show(output);
    throw new BuildError('The TypeScript sources did not compile: see above.');
  }
  for (const folder of ['.', 'server', 'evaluation', 'training']) {
    copyFileSync(join(source, folder, 'index.mjs'), join(target, folder, 'index.mjs'));
    writeFileSync(join(target, folder, 'index.d.mts'), "export * from './index.js';\n");
  }
  copyPage();
  chmodSync(join(target, 'cli', 'main.js'), 0o755);
}

export function cleanTypeScript(): void {
  rmSync(target, { recursive: true, force: true });
}
