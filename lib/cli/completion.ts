import { Argument, type Command, type Option } from 'commander';
import { scheduleExamples } from './schedule-notation';

/** Suggested values of options that also accept other values. */
const values: Readonly<Record<string, readonly string[]>> = {
  '--schedule': scheduleExamples.map(([text]) => text),
  '--device': ['auto', 'cpu', 'cuda', 'cuda:0'],
  '--chat-template': ['task'],
};

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

/** Hidden command that the scripts run to get completions. */
export const completeCommand = 'complete';

/*
 * Each script runs the program that is being typed to get the words for the cursor position, and completes file names
 * if there are none. Bash also splits words at = and :, the program does not.
 */
const scripts: Readonly<Record<Shell, string>> = {
  bash: `_rnd1() {
  local line=\${COMP_LINE:0:COMP_POINT} word=\${COMP_WORDS[COMP_CWORD]} candidate
  local current=\${line##*[[:space:]]}
  case $word in '=' | ':') word= ;; esac
  local before=\${current%"$word"}
  COMPREPLY=()
  while IFS= read -r candidate; do
    COMPREPLY+=("\${candidate#"$before"}")
  done < <("$1" ${completeCommand} -- "$line" 2>/dev/null)
}
complete -o default -o bashdefault -F _rnd1 rnd1`,
  zsh: `#compdef rnd1
_rnd1() {
  local -a candidates
  candidates=("\${(@f)$("\${words[1]}" ${completeCommand} -- "\${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${candidates[1]}" ]]; then compadd -- "\${candidates[@]}"; else _files; fi
}
compdef _rnd1 rnd1`,
  fish: `function __rnd1_complete
    set -l tokens (commandline -opc)
    set -l words ($tokens[1] ${completeCommand} -- (commandline -cp) 2>/dev/null)
    if set -q words[1]
        printf '%s\\n' $words
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c rnd1 -f -a '(__rnd1_complete)'`,
};

const manual = `
The script runs rnd1 to get the completions, so it stays correct when rnd1
changes. It completes commands, options and option values; elsewhere file names.

To install it:
  bash  rnd1 completion bash > ~/.local/share/bash-completion/completions/rnd1
  zsh   rnd1 completion zsh > "\${fpath[1]}/_rnd1"
  fish  rnd1 completion fish > ~/.config/fish/completions/rnd1.fish
It completes the command rnd1; in bash also ./rnd1, once the script is loaded.

Exit codes: 0 done, 2 wrong usage.

Examples:
  $ rnd1 completion bash
  $ eval "$(rnd1 completion bash)"; complete -p rnd1`;

/** `rnd1 completion`, and the hidden command that its scripts call. */
export function addCompletion(program: Command): void {
  program
    .command('completion')
    .summary('print a shell completion script')
    .description('Prints a script with which a shell completes commands, options and option values.')
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .addHelpText('after', manual)
    .action((shell: Shell) => void process.stdout.write(`${scripts[shell]}\n`));
  program
    .command(completeCommand, { hidden: true })
    .argument('<line>', 'the command line up to the cursor')
    .action(
      (line: string) =>
        void process.stdout.write(
          completions(program, line)
            .map((word) => `${word}\n`)
            .join(''),
        ),
    );
}

/** Candidates for the last word of a command line; empty where any text or a file name may follow. */
export function completions(program: Command, line: string): string[] {
  const words = splitWords(line);
  const current = words.pop() ?? '';
  const [, name, ...before] = words;
  const starts = (candidates: readonly string[]) => candidates.filter((word) => word.startsWith(current));
  const commands = program.commands.filter((command) => command.name() !== completeCommand);
  const names = [...commands.map((command) => command.name()), 'help'];
  if (name === undefined) return starts(current.startsWith('-') ? ['--help', '--version'] : names);
  if (name === 'help') return starts(before.length === 0 ? names : []);
  const command = commands.find((candidate) => candidate.name() === name);
  if (command === undefined || before.includes('--')) return [];

  const previous = before.at(-1);
  const asked = command.options.find(({ short, long }) => [short, long].includes(previous ?? ' '));
  if (asked !== undefined && (asked.required || asked.optional)) return starts(valuesOf(asked));
  const [flag, value] = splitOnce(current, '=');
  if (flag.startsWith('--') && value !== null) {
    const option = command.options.find(({ long }) => long === flag);
    return option === undefined ? [] : starts(valuesOf(option).map((word) => `${flag}=${word}`));
  }
  if (current.startsWith('-')) {
    const free = command.options.filter(
      ({ short, long }) => ![short, long].some((each) => before.includes(each ?? '')),
    );
    return starts([...free.map(({ long }) => long ?? ''), '--help'].filter((flag) => flag !== ''));
  }
  return starts(command.registeredArguments[0]?.argChoices ?? []);
}

function valuesOf({ long, argChoices, description }: Option): readonly string[] {
  const suggested = values[long ?? ''] ?? [];
  // Training chooses no device.
  return argChoices ?? suggested.filter((value) => value !== 'auto' || description.includes('auto'));
}

function splitOnce(text: string, separator: string): [string, string | null] {
  const index = text.indexOf(separator);
  return index < 0 ? [text, null] : [text.slice(0, index), text.slice(index + 1)];
}

/** The words of a line as a shell sees them, quotes and backslashes understood; the last one is '' after a space. */
function splitWords(line: string): string[] {
  const words = [''];
  let quote = '';
  for (let i = 0; i < line.length; i++) {
    const character = line[i] as string;
    if (character === '\\' && quote !== "'") words[words.length - 1] += line[++i] ?? '';
    else if (character === quote) quote = '';
    else if (quote === '' && (character === '"' || character === "'")) quote = character;
    else if (quote === '' && /\s/.test(character)) {
      if (words.at(-1) !== '') words.push('');
    } else words[words.length - 1] += character;
  }
  return words;
}
