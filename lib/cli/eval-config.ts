import type { EvaluateOptions } from '../evaluation';
import type { DataFlags } from './eval-data';
import type { PromptFlags } from './eval-prompts';
import type { ModelDescription } from './model-description';

type ConfigFlags = Pick<DataFlags & PromptFlags, 'revision' | 'data' | 'prompts' | 'download'>;

/** What answers depend on, as plain JSON. */
export function configOf(
  { source, family, device, dtype, weightDtype, checkpoint }: ModelDescription,
  { revision, data, prompts, download }: ConfigFlags,
  { likelihood, generation, drawSeed = 0, programs, ...options }: EvaluateOptions,
): Record<string, unknown> {
  return {
    model: 'rnd1',
    model_args: source,
    revision: revision ?? null,
    ...{ family, dtype, weight_dtype: weightDtype, device, checkpoint },
    tasks: options.tasks,
    preset: options.preset ?? null,
    data: data ?? (download ? 'hub' : null),
    prompts: prompts ?? (download ? 'lm-evaluation-harness' : null),
    limit: options.limit ?? null,
    num_fewshot: options.shots ?? null,
    world_size: options.worldSize ?? 1,
    fewshot_seed: options.seed ?? 1234,
    seed: String(drawSeed),
    likelihood,
    gen_kwargs: generation,
    python: programs?.version ?? null,
    sandbox: programs?.sandbox ?? null,
  };
}
