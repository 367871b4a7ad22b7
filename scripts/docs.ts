/**
 * Writes docs/api.md from the comments of what lib/index.ts and the packages' other entries export, and docs/cli.md from
 * the manuals of the command line. Fails if a public symbol has no comment.
 *
 *     tsx scripts/docs.ts [--check]   --check: writes nothing, fails if a page is out of date
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { manualPage } from './cli-manual';
import { BuildError, captureTool, root, say, show } from './command';

/** The class that is listed first. */
const mainClass = 'DiffusionLM';

/** Generates the API page. Typedoc writes a page per module and empties `folder` first, so it must not be docs. */
function makePage(folder: string): string {
  const { ok, output } = captureTool('typedoc/bin/typedoc', ['--out', folder, '--logLevel', 'Warn']);
  if (!ok) {
    show(output);
    throw new BuildError('The API documentation is incomplete: see above.');
  }
  const module = (name: string, title: string) =>
    arrange(readFileSync(join(folder, `${name}.md`), 'utf8').replace(/^# .*/, `# ${title}`)).replaceAll(
      /\]\((index|server|evaluation|training)\.md#/g,
      '](#',
    );
  const parts = [module('index', 'API of rnd1')];
  for (const name of ['server', 'evaluation', 'training']) parts.push(module(name, `API of rnd1/${name}`));
  return parts.join('\n');
}

/** The page of a module with the main class first and a table of contents under the title. */
function arrange(text: string): string {
  const [title = '', ...groups] = text.split(/^(?=## )/m);
  const arranged = groups.map((group) => {
    const [head = '', ...entries] = group.trimEnd().split(/^(?=### )/m);
    const plain = entries.map((entry) => entry.replace(/\n+\*\*\*\s*$/, '').trimEnd());
    const isMain = (entry: string) => entry.startsWith(`### ${mainClass}\n`);
    const sorted = [...plain.filter(isMain), ...plain.filter((entry) => !isMain(entry))];
    return { name: head.slice(3).trim(), sorted };
  });
  const contents = arranged.map(({ name, sorted }) => {
    const names = sorted.map((entry) => /^### (.*)/.exec(entry)?.[1] ?? '');
    const links = names.map((entry) => `[${entry}](#${anchorOf(entry)})`);
    return `- **${name}**: ${links.join(', ')}`;
  });
  const bodies = arranged.map(({ name, sorted }) => `## ${name}\n\n${sorted.join('\n\n***\n\n')}\n`);
  return `${title.trimEnd()}\n\n${contents.join('\n')}\n\n${bodies.join('\n')}`;
}

/** The anchor that GitHub gives a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');

const folder = mkdtempSync(join(tmpdir(), 'rnd1-docs-'));
try {
  const pages = { 'api.md': makePage(folder), 'cli.md': manualPage() };
  for (const [name, text] of Object.entries(pages)) {
    const path = join(root, 'docs', name);
    if (!process.argv.includes('--check')) writeFileSync(path, text);
    else if (!existsSync(path) || readFileSync(path, 'utf8') !== text)
      throw new BuildError(`docs/${name} is out of date: npm run docs updates it.`);
  }
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  say(error.message);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
