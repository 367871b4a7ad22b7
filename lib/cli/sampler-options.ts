import { type Command, Option } from 'commander';
import type { SamplingOptions } from '../api/types';
import { integer, number } from './input';

/** Flags of the samplers of other families than RND1. */
export interface SamplerFlags {
  readonly counts?: 'proportional' | 'even' | 'rounded' | 'linear';
  readonly algTemp?: number;
  readonly cfgScale?: number;
  readonly suppressEos?: true;
  readonly zeroEosConfidence?: true;
  readonly editing?: number;
  readonly cache?: 'off' | 'prefix' | 'dual';
  readonly refresh?: number;
}

/** `--counts --alg-temp --cfg-scale --suppress-eos --zero-eos-confidence --editing --cache --refresh` */
export function addSamplerOptions(command: Command): Command {
  return command
    .optionsGroup("Sampler (defaults: the model's own):")
    .addOption(
      new Option(
        '--counts <rule>',
        'how many positions a step unmasks, unless the schedule is a bound',
      ).choices(['proportional', 'even', 'rounded', 'linear']),
    )
    .option(
      '--alg-temp <number>',
      'draw the order of positions at this temperature; 0: best first',
      number(0),
    )
    .option('--cfg-scale <number>', 'classifier-free guidance: twice the work; 0: off', number(0))
    .option('--suppress-eos', 'never predict the EOS token')
    .option('--zero-eos-confidence', 'unmask positions that predict the end of the text last')
    .option(
      '--editing <share>',
      'replace tokens of the current block by predictions above this probability',
      number(0, 1),
    )
    .addOption(
      new Option(
        '--cache <kind>',
        'keep keys and values before (prefix), or before and after a block (dual): fast and approximate, for models with full attention; off: not even exact ones',
      ).choices(['prefix', 'dual', 'off']),
    )
    .option('--refresh <steps>', 'with --cache: steps after which a block computes everything', integer(1));
}

/** Converts the flags to library options. */
export function samplerOf({
  counts,
  algTemp,
  cfgScale,
  suppressEos,
  zeroEosConfidence,
  editing,
  cache,
  refresh,
}: SamplerFlags): SamplingOptions {
  return {
    counts: counts === 'linear' ? { type: 'linear' } : counts,
    algTemp,
    cfgScale,
    suppressEos,
    zeroEosConfidence,
    editing: editing === undefined ? undefined : { threshold: editing },
    cache: cache === 'off' ? false : cache,
    refresh,
  };
}
