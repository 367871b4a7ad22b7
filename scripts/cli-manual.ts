import type { Command } from 'commander';
import { completeCommand } from '../lib/cli/completion';
import { createProgram } from '../lib/cli/program';

/** What a command prints for --help in a pipe. */
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
    { title: 'rnd1', help: helpOf(program), summary: 'what there is' },
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

What \`--help\` says. In a checkout of this repository the command is \`./rnd1\`; where the package is installed,
\`npx --no -- rnd1\`, which runs nothing but what is installed. \`npm run docs\` writes this page.

${contents.join('\n')}

${bodies.join('\n')}`;
}
