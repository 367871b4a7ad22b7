import { platformPackage, prebuiltFor } from '../../lib/runtime/platform';
import type { AddonContents } from './contents';

/** A package.json. */
export type Manifest = Readonly<Record<string, unknown>>;

/** Fields that the main package copies from the checkout's package.json. */
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
  'peerDependencies',
  'peerDependenciesMeta',
] as const;

/**
 * The main package as published: no scripts, no development dependencies, one optional dependency per platform. The
 * checkout does not have these, since it builds its own addon and must be installable before they are published.
 */
export function mainManifest(checkout: Manifest): Manifest {
  const version = checkout.version as string;
  return {
    ...pick(checkout, kept),
    ...repository(),
    // Otherwise npm runs node-gyp if it finds a binding.gyp.
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

/** The README of a platform package, shown in node_modules and on npm. */
export function platformReadme(name: string, contents: AddonContents): string {
  const { instructionSets, cuda, glibc, macos } = contents;
  const system = glibc ? `glibc ${glibc} or newer` : macos ? `macOS ${macos} or newer` : 'any version';
  const gpus = cuda
    ? `yes, ${cuda.architectures.join(', ')} and, for newer GPUs, ${cuda.ptx.join(', ')}; the runtime is linked in`
    : 'no';
  return `# ${name}

The native addon of [rnd1](https://www.npmjs.com/package/rnd1), which installs this package on matching platforms. There
is no need to install it directly.

| | |
|---|---|
| needs | ${system} |
| CPU instruction sets | ${instructionSets.join(', ')} |
| CUDA | ${gpus} |

build.json has the same information in machine-readable form.
`;
}

/** The repository, which npm checks against the provenance; known from the CI environment. */
function repository(): Manifest {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name } = process.env;
  return server && name ? { repository: { type: 'git', url: `git+${server}/${name}.git` } } : {};
}

function pick(manifest: Manifest, names: readonly string[]): Manifest {
  return Object.fromEntries(
    names.filter((name) => manifest[name] !== undefined).map((name) => [name, manifest[name]]),
  );
}
