import { pyodideCommand } from './pyodide';

/**
 * What keeps programs from the rest of the machine; `pyodide`: Python for WebAssembly, whose process has no permissions;
 * `none`: nothing but limits, for use inside a container.
 */
export type Sandbox = 'bwrap' | 'unshare' | 'pyodide' | 'none';

/** In the order in which they are tried. `none` is used only if it is asked for. */
export const sandboxes: readonly Sandbox[] = ['bwrap', 'unshare', 'pyodide'];

/** Bytes that a program may write to its folder. */
export const folderBytes = 2 ** 24;

/** A command with its arguments. */
export interface SandboxedCommand {
  readonly command: string;
  readonly args: readonly string[];
  /**
   * Seconds that it may take until it writes a blank where the verdict is expected, and the program begins; it then ends
   * when its time is over, since nothing interrupts it, and cannot run as another user. Without, the program begins at once.
   */
  readonly startTime?: number;
}

/**
 * All file systems become read-only but for an empty folder in memory, then the program gets namespaces in which it cannot
 * undo that.
 */
const unshareSetup = `
while read -r _ _ _ _ place _; do
  case "$place" in
    /proc|/proc/*) ;;
    *) mount -o remount,bind,ro "$place" 2>/dev/null || true ;;
  esac
done < /proc/self/mountinfo
set -e
mount -t tmpfs -o size=${folderBytes},mode=777 tmpfs "$0"
cd "$0"
exec unshare --user --mount --map-root-user -- "$@"
`;

/**
 * A command without network, that sees no other processes, and can write to `folder` only; null if what it needs is not
 * installed.
 *
 * @param command Python with the driver; pyodide has its own
 */
export function sandboxed(
  sandbox: Sandbox,
  folder: string,
  command: readonly string[],
): SandboxedCommand | null {
  if (sandbox === 'pyodide') return pyodideCommand();
  if (sandbox === 'none') return { command: command[0] as string, args: command.slice(1) };
  if (sandbox === 'unshare') {
    const namespaces = ['--user', '--map-root-user', '--net', '--pid', '--mount', '--ipc', '--uts'];
    const ending = ['--fork', '--kill-child', '--mount-proc'];
    return {
      command: 'unshare',
      args: [...namespaces, ...ending, '--', 'sh', '-c', unshareSetup, folder, ...command],
    };
  }
  const file = ['--ro-bind', '/', '/', '--dev', '/dev', '--remount-ro', '/dev', '--proc', '/proc'];
  const own = ['--size', String(folderBytes), '--tmpfs', folder, '--chdir', folder];
  const ending = ['--unshare-all', '--die-with-parent', '--new-session', '--cap-drop', 'ALL'];
  return { command: 'bwrap', args: [...file, ...own, ...ending, '--', ...command] };
}
