import type { Command } from 'commander';
import { completeCommand } from '../lib/cli/completion';
import { createProgram } from '../lib/cli/program';

/** The output of a command's --help in a pipe. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut(part) {
      text += part;
    },
    getOutHelpWidth: () => 80,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return text.trimEnd();
}

/** docs/cli.md: the manuals of all commands, one after another. */
export function manualPage(): string {
  const program = createProgram();
  const commands = program.commands.filter((command) => command.name() !== completeCommand);
  const sections = [
    { title: 'rnd1', help: helpOf(program), summary: 'all commands' },
    ...commands.map((command) => ({
      title: `rnd1 ${command.name()}`,
      help: helpOf(command),
      summary: command.summary(),
    })),
  ];
  const contents = sections.map(
    ({ title, summary }) => `- [${title}](#${title.replaceAll(' ', '-')}): ${summary}`,
  );
  const bodies = sections.map(({ title, help }) => `## ${title}\n\n\`\`\`text\n${help}\n\`\`\`\n`);
  return `# Command line

The output of \`--help\`. The command is \`./rnd1\` in a checkout of this repository, and \`npx --no -- rnd1\` where the
package is installed (\`--no\` runs installed packages only). \`npm run docs\` writes this page.

${contents.join('\n')}

${bodies.join('\n')}`;
}
