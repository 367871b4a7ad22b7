import { spawn } from 'node:child_process';
import { createReadStream, readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join } from 'node:path';
import type { Manifest } from '../../scripts/packaging/manifests';

/** What a registry says of one version of a package, and where its files are. */
interface Version {
  readonly manifest: Manifest;
  /** A tarball, or a folder to make one of. null = it is told of, but can't be had. */
  readonly source: string | null;
}

/** An npm registry on this machine. */
export interface Registry {
  readonly url: string;
  /** Paths of what was asked for, in order. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

/**
 * Serves `published` and, of what is installed in `root`, every version of every package: with that, npm installs
 * as it does from the true registry, without a network.
 */
export async function startRegistry(root: string, published: readonly Version[]): Promise<Registry> {
  const requests: string[] = [];
  const installed = foldersByName(root);
  const versionsOf = (name: string): Version[] => [
    ...published.filter(({ manifest }) => manifest.name === name),
    ...(installed.get(name) ?? []).map((folder) => ({
      manifest: JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest,
      source: folder,
    })),
  ];

  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? '');
    requests.push(path);
    const [, name = '', version] = /^\/((?:@[^/]+\/)?[^/]+)(?:\/-\/(.+)\.tgz)?$/.exec(path) ?? [];
    const versions = versionsOf(name);
    const wanted = versions.find(({ manifest }) => manifest.version === version);
    if (version !== undefined && wanted?.source) sendTarball(wanted.source, response);
    else if (version === undefined && versions.length > 0) {
      const { port } = server.address() as AddressInfo;
      const entries = versions.map(({ manifest }) => {
        const tarball = `http://127.0.0.1:${port}/${name}/-/${manifest.version}.tgz`;
        return [manifest.version, { ...manifest, dist: { tarball } }];
      });
      const latest = versions[0]?.manifest.version;
      response.end(JSON.stringify({ name, 'dist-tags': { latest }, versions: Object.fromEntries(entries) }));
    } else response.writeHead(404).end('{}');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    requests,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** npm's lock file names every folder, those inside other packages too. */
function foldersByName(root: string): Map<string, string[]> {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean }>;
  };
  const folders = new Map<string, string[]>();
  for (const [path, { dev }] of Object.entries(lock.packages)) {
    const name = path.split('node_modules/').at(-1) as string;
    if (name && !dev) folders.set(name, [...(folders.get(name) ?? []), join(root, path)]);
  }
  return folders;
}

function sendTarball(source: string, response: ServerResponse): void {
  if (source.endsWith('.tgz')) {
    createReadStream(source).pipe(response);
    return;
  }
  const args = ['-czf', '-', '--exclude', 'node_modules', '-C', dirname(source), basename(source)];
  spawn('tar', args, { stdio: ['ignore', 'pipe', 'inherit'] }).stdout.pipe(response);
}
