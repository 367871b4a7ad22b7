import type { Command } from 'commander';
import { formatBytes } from '../support/format-bytes';
import { printableName } from '../support/printable';
import { type ConvertReport, convert as convertModel } from '../training';
import { integer } from './input';
import { Interruption } from './interrupt';
import { warnOf } from './loading';

interface ConvertFlags {
  readonly reverse?: boolean;
  readonly maskTokenId?: number;
  readonly copy?: boolean;
  readonly seed?: number;
  readonly quiet?: boolean;
}

const manual = `
Qwen3-MoE becomes RND1, Qwen3 becomes A2D-Qwen3: all positions see each other,
one token stands for what is masked, and the weights stay as they are. The new
folder's files are links to the same bytes where the file system allows it.

The mask token is the one that --mask-token-id or the files name, else the first
row of the embedding beyond the tokenizer's ids, else a new row.

The new model writes nonsense until it is trained: \`rnd1 train --recipe scp\`. At
first its loss is far above that of autoregression, as it has never seen what
comes after a position, and norms of the gradient spike: warm-up and clipping
are needed.

--reverse gives the causal model's form to tools that know only that.

Exit codes: 0 done, 1 failure, 2 wrong usage, 130 interrupted (143 by SIGTERM,
129 by SIGHUP).

Examples:
  $ rnd1 convert tiny tiny-diffusion
  $ rnd1 convert --reverse tiny-diffusion tiny-causal`;

/** `rnd1 convert` */
export function addConvert(program: Command): void {
  program
    .command('convert')
    .summary('make a diffusion model of an autoregressive one')
    .description('Makes a diffusion model of an autoregressive checkpoint.')
    .argument('<in>', 'folder of the checkpoint')
    .argument('<out>', 'a new or empty folder')
    .option('--reverse', 'from a diffusion model to the causal one')
    .option('--mask-token-id <id>', 'the token of masked positions (default: see below)', integer(0))
    .option('--copy', 'copy the weights instead of linking them')
    .option('--seed <number>', 'of the noise in a new row (default: 0)', integer(0))
    .option('-q, --quiet', 'print nothing but errors')
    .addHelpText('after', manual)
    .action(convert);
}

const reasons: Readonly<Record<NonNullable<ConvertReport['mask']>['from'], string>> = {
  given: 'as given',
  config: 'as the files say',
  tokenizer: "the tokenizer's",
  'unused row': 'the first row of the embedding that no token uses',
  'added row': 'a new row of the embedding: it must be trained',
};

const note = `The model must be trained now. Its loss begins far above that of autoregression, and
norms of the gradient spike: rnd1 train --recipe scp warms up and clips.
`;

async function convert(input: string, output: string, flags: ConvertFlags): Promise<void> {
  const { quiet, ...options } = flags;
  using interruption = new Interruption();
  const report = await convertModel(input, output, { ...options, signal: interruption.signal });
  if (quiet) return;
  const { path, from, to, mask, linkedBytes, copiedBytes } = report;
  const bytes = [
    ...(linkedBytes > 0 ? [`${formatBytes(linkedBytes)} linked`] : []),
    ...(copiedBytes > 0 ? [`${formatBytes(copiedBytes)} copied`] : []),
  ].join(', ');
  process.stdout.write(`${printableName(path)}: ${from} to ${to}, ${bytes}\n`);
  warnOf(report.warnings);
  if (mask === null) return;
  const text = mask.text === null ? '' : ` ${printableName(mask.text)}`;
  process.stdout.write(`mask token: ${mask.id}${text}, ${reasons[mask.from]}\n${note}`);
}
