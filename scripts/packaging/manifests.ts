import { platformPackage, prebuiltFor } from '../../lib/platform';
import type { AddonContents } from './contents';

/** A package.json. */
export type Manifest = Readonly<Record<string, unknown>>;

/** What the main package takes over from the checkout's package.json. */
const kept = [
  'name',
  'version',
  'description',
  'keywords',
  'license',
  'repository',
  'engines',
  'main',
  'types',
  'exports',
  'typesVersions',
  'bin',
] as const;

/**
 * The main package as it is published: no scripts, no tools, and one package per platform as an optional dependency.
 * These stand here and not in the checkout, which builds its own addon and must install before they are published.
 */
export function mainManifest(checkout: Manifest): Manifest {
  const version = checkout.version as string;
  return {
    ...pick(checkout, kept),
    ...repository(),
    // npm would run node-gyp wherever it finds a binding.gyp.
    gypfile: false,
    dependencies: checkout.dependencies,
    optionalDependencies: Object.fromEntries(
      prebuiltFor.map((name) => {
        const [platform = '', arch = ''] = name.split('-');
        return [platformPackage({ platform, arch }), version];
      }),
    ),
  };
}

export function platformManifest(checkout: Manifest, platform: string, arch: string): Manifest {
  return {
    name: platformPackage({ platform, arch }),
    version: checkout.version,
    description: `The native addon of rnd1 for ${platform}-${arch}`,
    ...pick(checkout, ['license', 'engines']),
    ...repository(),
    os: [platform],
    cpu: [arch],
    ...(platform === 'linux' ? { libc: ['glibc'] } : {}),
    main: './rnd1.node',
    files: ['rnd1.node', 'build.json'],
  };
}

/** The README of a platform package, which people meet in node_modules and on npm's pages. */
export function platformReadme(name: string, contents: AddonContents): string {
  const { instructionSets, cuda, glibc, macos } = contents;
  const system = glibc ? `glibc ${glibc} or newer` : macos ? `macOS ${macos} or newer` : 'any version';
  const gpus = cuda
    ? `yes, ${cuda.architectures.join(', ')} and, for newer GPUs, ${cuda.ptx.join(', ')}; the runtime is linked in`
    : 'no';
  return `# ${name}

The native addon of [rnd1](https://www.npmjs.com/package/rnd1), which installs this package where it fits. There is no
reason to install it by itself.

| | |
|---|---|
| needs | ${system} |
| CPU instruction sets | ${instructionSets.join(', ')} |
| CUDA | ${gpus} |

build.json has the same for programs.
`;
}

/** npm checks provenance against it; where the packages are built knows it. */
function repository(): Manifest {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name } = process.env;
  return server && name ? { repository: { type: 'git', url: `git+${server}/${name}.git` } } : {};
}

function pick(manifest: Manifest, names: readonly string[]): Manifest {
  return Object.fromEntries(
    names.filter((name) => manifest[name] !== undefined).map((name) => [name, manifest[name]]),
  );
}
