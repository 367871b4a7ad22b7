/** The properties of a machine that decide whether an addon can be loaded. */
export interface Host {
  /** As `process.platform`. */
  readonly platform: string;
  /** As `process.arch`. */
  readonly arch: string;
  /** Version of glibc; null with any other C library. */
  readonly glibc: string | null;
}

/** Oldest glibc that the prebuilt addons support: that of RHEL 8, which Node.js 20 requires as well. */
export const oldestGlibc = '2.28';

/** Platforms that have a package with a prebuilt addon: `rnd1-linux-x64` and so on. */
export const prebuiltFor: readonly string[] = ['linux-x64', 'linux-arm64', 'darwin-arm64'];

export function platformPackage({ platform, arch }: Pick<Host, 'platform' | 'arch'>): string {
  return `rnd1-${platform}-${arch}`;
}

export function thisHost(): Host {
  const { platform, arch } = process;
  return { platform, arch, glibc: platform === 'linux' ? findGlibc() : null };
}

/** Read from the diagnostic report of Node.js, which omits it if Node.js was built for another C library. */
function findGlibc(): string | null {
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  // Resolving the host names of open connections may take seconds.
  const before = report.excludeNetwork;
  report.excludeNetwork = true;
  try {
    const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } };
    return header?.glibcVersionRuntime ?? null;
  } finally {
    report.excludeNetwork = before;
  }
}

/** `linux-x64 (glibc 2.36)`. */
export function describeHost({ platform, arch, glibc }: Host): string {
  const libc = platform === 'linux' ? ` (${glibc === null ? 'musl' : `glibc ${glibc}`})` : '';
  return `${platform}-${arch}${libc}`;
}
