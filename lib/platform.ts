/** What decides whether an addon can be loaded. */
export interface Host {
  /** As `process.platform`. */
  readonly platform: string;
  /** As `process.arch`. */
  readonly arch: string;
  /** Version of the C library where it is glibc; null elsewhere. */
  readonly glibc: string | null;
}

/** Oldest glibc that the prebuilt addons are meant for: that of RHEL 8, and what Node.js 20 needs itself. */
export const oldestGlibc = '2.28';

/** What there are packages with a prebuilt addon for: `rnd1-linux-x64` and so on. */
export const prebuiltFor: readonly string[] = ['linux-x64', 'linux-arm64', 'darwin-arm64'];

export function platformPackage({ platform, arch }: Pick<Host, 'platform' | 'arch'>): string {
  return `rnd1-${platform}-${arch}`;
}

export function thisHost(): Host {
  const { platform, arch } = process;
  return { platform, arch, glibc: platform === 'linux' ? findGlibc() : null };
}

/** Node.js tells it in its diagnostic report, and says nothing there when it was built for another C library. */
function findGlibc(): string | null {
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  // Looking up the names of open connections may take seconds.
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
