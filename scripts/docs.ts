/**
 * Writes docs/api.md from the comments of what lib/index.ts and lib/server/index.ts export. Fails where something public
 * has none.
 *
 *     tsx scripts/docs.ts [--check]   --check: only tells whether docs/api.md is what would be written
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildError, captureTool, root, say, show } from './command';

const page = join(root, 'docs', 'api.md');

/** The page as it should be. Typedoc writes one for each module, and empties the folder first: it must not be docs. */
function makePage(folder: string): string {
  const { ok, output } = captureTool('typedoc/bin/typedoc', ['--out', folder, '--logLevel', 'Warn']);
  if (!ok) {
    show(output);
    throw new BuildError('The documentation of the API is not complete: see above.');
  }
  const module = (name: string, title: string) =>
    readFileSync(join(folder, `${name}.md`), 'utf8')
      .replace(/^# .*/, `# ${title}`)
      .replaceAll(/\]\((index|server)\.md#/g, '](#');
  return `${module('index', 'rnd1')}\n${module('server', 'rnd1/server')}`;
}

const folder = mkdtempSync(join(tmpdir(), 'rnd1-docs-'));
try {
  const text = makePage(folder);
  if (!process.argv.includes('--check')) writeFileSync(page, text);
  else if (!existsSync(page) || readFileSync(page, 'utf8') !== text)
    throw new BuildError('docs/api.md is not what the comments say: npm run docs writes it anew.');
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
