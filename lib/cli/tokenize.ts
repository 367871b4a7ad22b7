import type { Command } from 'commander';
import { formatBytes } from '../support/format-bytes';
import { printableName } from '../support/printable';
import { tokenize as tokenizeFiles } from '../training';
import { UsageError } from './input';
import { Interruption } from './interrupt';
import { ProgressLine, Waiting } from './progress';
import { bar } from './render';

interface TokenizeFlags {
  readonly tokenizer?: string;
  readonly out?: string;
  readonly quiet?: boolean;
}

const manual = `
Lines of .jsonl files have {"text"}, {"prompt", "completion"}, of which the
completion alone is learned, or {"messages"}, of which the last one is. Other
files are one document each. Documents end with the model's end of text.

OUT.bin is a token file of llm.c's form, uint16 for vocabularies up to 65,536,
else uint32; OUT.idx.json holds the starts of the documents. \`rnd1 train\` also
takes the texts themselves, and keeps their tokens beside them.

Exit codes: 0 done, 1 failure, 2 wrong usage, 130 interrupted (143 by SIGTERM,
129 by SIGHUP).

Examples:
  $ rnd1 tokenize corpus.jsonl --tokenizer models/nano --out data/train`;

/** `rnd1 tokenize` */
export function addTokenize(program: Command): void {
  program
    .command('tokenize')
    .summary('turn texts into a token file for training')
    .description('Turns texts into a token file for training.')
    .argument('<file...>', 'JSONL (.jsonl, .ndjson) or plain text (.txt, .md)')
    .option('--tokenizer <folder>', 'checkpoint whose tokenizer is used (required)')
    .option('--out <path>', 'the token file, with or without .bin (required)')
    .option('-q, --quiet', 'print nothing but errors')
    .addHelpText('after', manual)
    .action(tokenize);
}

async function tokenize(files: readonly string[], flags: TokenizeFlags): Promise<void> {
  const { tokenizer, out, quiet } = flags;
  if (tokenizer === undefined || out === undefined)
    throw new UsageError(`${tokenizer === undefined ? '--tokenizer' : '--out'} is needed`);
  using interruption = new Interruption();
  const line = new ProgressLine(process.stderr);
  const waiting = new Waiting(process.stderr);
  if (!quiet) waiting.begin(`reading ${printableName(tokenizer)}`);
  const report = await tokenizeFiles(files, {
    tokenizer,
    output: out.endsWith('.bin') ? out : `${out}.bin`,
    signal: interruption.signal,
    onProgress: ({ bytes, totalBytes }) => {
      if (quiet) return;
      waiting.close();
      line.show(
        () =>
          `tokenizing ${bar(totalBytes === 0 ? 1 : bytes / totalBytes, 24)} ${formatBytes(bytes)} of ${formatBytes(totalBytes)}`,
      );
    },
  }).finally(() => {
    waiting.close();
    line.close();
  });
  const { path, tokens, documents } = report;
  if (!quiet)
    process.stdout.write(
      `${printableName(path)}: ${tokens} tokens in ${documents} ${documents === 1 ? 'document' : 'documents'}\n`,
    );
}
