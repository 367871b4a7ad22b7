import type { TokenOptions } from '../../api/types';
import { wordOption } from '../../support/validate';
import { Arguments, type Reference, type ReferenceArguments } from './arguments';
import { dllmArguments, mdlmSample } from './dllm';
import { dreamArguments, dreamGenerate } from './dream';
import { fastDllmArguments, fastDllmGenerate, lladaArguments, lladaGenerate } from './llada';
import { llada2Arguments, llada2Generate, llada21Arguments, llada21Generate } from './llada2';

/** A sampler of a model's own code, or of a well-known library (docs/sampling.md). */
export type ReferenceApi =
  | 'llada.generate'
  | 'fastdllm.generate'
  | 'fastdllm.generate_with_prefix_cache'
  | 'fastdllm.generate_with_dual_cache'
  | 'dream.diffusion_generate'
  | 'dllm.MDLMSampler.sample'
  | 'llada2.generate'
  | 'llada21.generate'
  | 'greedy next token';

const references: Readonly<Record<ReferenceApi, readonly [readonly string[], Reference]>> = {
  'llada.generate': [lladaArguments, lladaGenerate],
  'fastdllm.generate': [fastDllmArguments, fastDllmGenerate],
  'fastdllm.generate_with_prefix_cache': [fastDllmArguments, cached('prefix')],
  'fastdllm.generate_with_dual_cache': [fastDllmArguments, cached('dual')],
  'dream.diffusion_generate': [dreamArguments, dreamGenerate],
  'dllm.MDLMSampler.sample': [dllmArguments, mdlmSample],
  'llada2.generate': [llada2Arguments, llada2Generate],
  'llada21.generate': [llada21Arguments, llada21Generate],
  'greedy next token': [
    ['max_new_tokens'],
    (args) => ({
      temperature: 0,
      ...(args.has('max_new_tokens') && { maxNewTokens: args.count('max_new_tokens', 1) }),
    }),
  ],
};

/** Fast-dLLM's caches of keys and values. */
function cached(cache: 'prefix' | 'dual'): Reference {
  return (args) => ({ ...fastDllmGenerate(args), cache });
}

/**
 * The options with which `denoiseTokens({ prefix: prompt, ...options })` does what a call of Python code does, with a
 * frame for each of its forward passes. Tokens are the same where the reference draws nothing at random.
 *
 * @param api the function, as docs/sampling.md names it
 * @param args its keyword arguments by their Python names; those that are left out have the reference's defaults
 * @throws TypeError or RangeError for unknown functions and arguments, and for calls that the reference refuses
 */
export function referenceOptions(api: ReferenceApi, args: ReferenceArguments = {}): TokenOptions {
  const [names, reference] = references[wordOption('api', api, Object.keys(references) as ReferenceApi[])];
  return reference(new Arguments(args, names));
}
