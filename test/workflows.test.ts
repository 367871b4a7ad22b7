import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { platformPackage, prebuiltFor } from '../lib/runtime/platform';

// `npm run lint` checks the workflows' syntax; these tests check that what they refer to is in the repository.

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}
interface Job {
  readonly name?: string;
  readonly if?: string;
  readonly needs?: readonly string[];
  readonly permissions?: Readonly<Record<string, string>>;
  readonly container?: string;
  readonly strategy?: { readonly matrix: { readonly include?: readonly Record<string, string>[] } };
  readonly steps: readonly Step[];
}
interface Workflow {
  readonly permissions: Readonly<Record<string, string>>;
  readonly on: Readonly<Record<string, { readonly tags?: readonly string[] } | null>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

const root = resolve(__dirname, '..');
const folder = join(root, '.github/workflows');
const workflows = readdirSync(folder).map((file): [string, Workflow] => [
  file,
  parse(readFileSync(join(folder, file), 'utf8')),
]);
const release = Object.fromEntries(workflows)['release.yml'] as Workflow;
const { scripts, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const scriptsOf = ({ jobs }: Workflow) =>
  Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []));

describe.each(workflows)('%s', (file, workflow) => {
  test('calls only what exists', () => {
    const lines = scriptsOf(workflow).flatMap((script) => script.split('\n'));
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) {
      const [, script] = /\bnpm run ([\w:-]+)/.exec(line) ?? [];
      if (script !== undefined) expect(scripts).toHaveProperty([script]);
      const [, tool, ...rest] = /\bnpx (\S+)(.*)/.exec(line) ?? [];
      if (tool !== undefined) {
        expect(devDependencies).toHaveProperty([tool]);
        const paths = rest
          .join(' ')
          .split(' ')
          .filter((word) => word !== '' && !word.startsWith('-'));
        expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
      }
      if (line.startsWith('.ci/')) accessSync(join(root, line), constants.X_OK);
    }
  });

  test('pins actions and images by digest, and says which version each is', () => {
    const text = readFileSync(join(folder, file), 'utf8');
    const actions = [...text.matchAll(/uses: (.*)/g)].map(([, action]) => action);
    expect(actions.length).toBeGreaterThan(0);
    for (const action of actions) expect(action).toMatch(/^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    const images = Object.values(workflow.jobs).flatMap(({ container, strategy }) => {
      const perJob = (strategy?.matrix.include ?? []).flatMap(({ image }) => image ?? []);
      return container === undefined || container.includes('matrix.image') ? perJob : [container];
    });
    for (const image of images) expect(image).toMatch(/^node:\d+-bookworm@sha256:[0-9a-f]{64}$/);
  });

  test('leaves no token behind for later steps, and asks for few rights', () => {
    const text = readFileSync(join(folder, file), 'utf8');
    expect(text.match(/persist-credentials: false/g)).toHaveLength(
      text.match(/actions\/checkout@/g)?.length ?? 0,
    );
    expect(workflow.permissions).toEqual({ contents: 'read' });
  });

  test('checks the hash of what it downloads', () => {
    for (const script of scriptsOf(workflow).filter((script) => /\b(curl|wget) /.test(script)))
      expect(script).toMatch(/sha256sum --check --strict/);
  });

  test('has shell scripts that bash understands', () => {
    for (const script of scriptsOf(workflow)) {
      // Expressions are replaced before bash sees them.
      const plain = script.replace(/\$\{\{.*?\}\}/g, 'expression');
      expect(spawnSync('bash', ['-n', '-c', plain], { encoding: 'utf8' }).stderr).toBe('');
    }
  });
});

test('dependencies and actions are kept up to date', () => {
  const { updates } = parse(readFileSync(join(root, '.github/dependabot.yml'), 'utf8')) as {
    updates: readonly { readonly 'package-ecosystem': string }[];
  };
  expect(updates.map((update) => update['package-ecosystem'])).toEqual(['npm', 'github-actions']);
});

describe('the release', () => {
  const { linux, macos, publish } = release.jobs as Record<'linux' | 'macos' | 'publish', Job>;

  test('builds a package for every platform, and publishes each before the main one', () => {
    const built = [...(linux.strategy?.matrix.include ?? []).map(({ platform }) => platform), macos.name];
    expect(built).toEqual(prebuiltFor);
    const loop = /for platform in (.*); do/.exec(scriptsOf(release).join('\n'))?.[1]?.split(' ');
    expect(loop).toEqual([...prebuiltFor, "''"]);
    expect(publish.needs).toEqual(['linux', 'macos']);
  });

  test('publishes from tags alone, with provenance', () => {
    expect(release.on.push?.tags).toEqual(['v*']);
    expect(publish.if).toBe("github.event_name == 'push'");
    expect(publish.permissions).toMatchObject({ 'id-token': 'write' });
    const script = publish.steps.find(({ run }) => run?.includes('npm publish'))?.run as string;
    expect(script).toContain('--provenance');
  });

  // Runs the workflow's own loop with an npm stub that only prints its arguments.
  test('publishes only unpublished packages, in order', () => {
    const script = publish.steps.find(({ run }) => run?.includes('npm publish'))?.run as string;
    const there = platformPackage({ platform: 'linux', arch: 'arm64' });
    const npm = `npm() { if [ "$1" = view ]; then [ "$2" != '${there}@1.2.3' ] || echo 1.2.3; else echo "$2"; fi; }`;
    const { stdout, stderr, status } = spawnSync('bash', ['-e', '-c', `${npm}\n${script}`], {
      env: { ...process.env, GITHUB_REF_NAME: 'v1.2.3' },
      encoding: 'utf8',
    });
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(stdout.trim().split('\n')).toEqual([
      './packages/linux-x64/rnd1-linux-x64-1.2.3.tgz',
      './packages/darwin-arm64/rnd1-darwin-arm64-1.2.3.tgz',
      './packages/linux-x64/rnd1-1.2.3.tgz',
    ]);
  });
});
