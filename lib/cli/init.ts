import { type Command, Option } from 'commander';
import { printableName } from '../support/printable';
import { initialize } from '../training';
import { integer, UsageError } from './input';
import { Interruption } from './interrupt';

interface InitFlags {
  readonly config?: string;
  readonly tokenizer?: string;
  readonly seed?: number;
  readonly dtype?: 'f32' | 'bf16';
  readonly quiet?: boolean;
}

const manual = `
The configuration is a config.json as transformers writes it. hidden_size,
num_hidden_layers and num_attention_heads are enough: what is missing follows
them, and model_type is qwen3_moe. With a tokenizer, vocab_size is its size.

Weights are normal with deviation initializer_range (0.02), those of projections
into the residual stream divided by the root of twice the number of layers;
norms are 1. The same seed gives the same bytes.

Exit codes: 0 done, 1 failure, 2 wrong usage, 130 interrupted (143 by SIGTERM,
129 by SIGHUP).

Examples:
  $ rnd1 init tiny --config sizes.json --tokenizer models/nano --seed 1`;

/** `rnd1 init` */
export function addInit(program: Command): void {
  program
    .command('init')
    .summary('write a new model with random weights')
    .description('Writes a new model with random weights, to be trained.')
    .argument('<out>', 'a new or empty folder')
    .option('--config <file>', 'config.json, or its sizes alone (required)')
    .option('--tokenizer <folder>', 'checkpoint whose tokenizer is copied')
    .option('--seed <number>', 'of the weights (default: 0)', integer(0))
    .addOption(new Option('--dtype <type>', 'of the weights (default: f32)').choices(['f32', 'bf16']))
    .option('-q, --quiet', 'print nothing but errors')
    .addHelpText('after', manual)
    .action(init);
}

async function init(output: string, flags: InitFlags): Promise<void> {
  const { config, quiet, ...options } = flags;
  if (config === undefined) throw new UsageError('--config is needed');
  using interruption = new Interruption();
  const { path, modelType, parameters } = await initialize(output, {
    ...options,
    config,
    signal: interruption.signal,
  });
  if (!quiet)
    process.stdout.write(
      `${printableName(path)}: ${modelType}, ${parameters.toLocaleString('en')} parameters\n`,
    );
}
