/**
 * Writes docs/api.md from the comments of what lib/index.ts exports. Fails where something public has none.
 *
 *     tsx scripts/docs.ts [--check]   --check: only tells whether docs/api.md is what would be written
 */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildError, captureTool, root, say, show } from './command';

const page = join(root, 'docs', 'api.md');

/** Runs typedoc, which empties the folder it writes to: that must not be docs. */
function writePage(folder: string): string {
  const { ok, output } = captureTool('typedoc/bin/typedoc', ['--out', folder, '--logLevel', 'Warn']);
  if (!ok) {
    show(output);
    throw new BuildError('The documentation of the API is not complete: see above.');
  }
  return join(folder, 'api.md');
}

const folder = mkdtempSync(join(tmpdir(), 'rnd1-docs-'));
try {
  const written = writePage(folder);
  if (!process.argv.includes('--check')) copyFileSync(written, page);
  else if (!existsSync(page) || readFileSync(page, 'utf8') !== readFileSync(written, 'utf8'))
    throw new BuildError('docs/api.md is not what the comments say: npm run docs writes it anew.');
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
