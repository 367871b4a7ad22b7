import type { TrainEvaluation, TrainStep } from '../events';

/** The numbers of an event by tag, as TensorBoard groups them; those that are missing or not finite are left out. */
export function scalarsOf(event: TrainStep | TrainEvaluation): Record<string, number> {
  const all = event.type === 'step' ? stepScalars(event) : evaluationScalars(event);
  const scalars: Record<string, number> = {};
  for (const [tag, value] of all)
    if (typeof value === 'number' && Number.isFinite(value)) scalars[tag] = value;
  return scalars;
}

type Tagged = readonly (readonly [string, number | null | undefined])[];

function stepScalars(event: TrainStep): Tagged {
  const { milliseconds, noiseScale } = event;
  return [
    ['train/loss', event.loss],
    ['train/masked_ce', event.maskedCrossEntropy],
    ['train/elbo', event.elbo],
    ['train/aux', event.aux],
    ['train/z', event.z],
    ['train/grad_norm', event.gradientNorm],
    ['train/epoch', event.epoch],
    ['train/tokens', event.tokens],
    ...byTime('train_loss_by_t', event.lossByTime),
    ['lr/base', event.learningRate],
    ...Object.entries(event.learningRates).map(([group, rate]) => [`lr/${group}`, rate] as const),
    ...event.expertLoad.flatMap(
      ({ layer, min, max }) =>
        [
          [`expert_load_min/layer_${layer}`, min],
          [`expert_load_max/layer_${layer}`, max],
        ] as const,
    ),
    ['speed/tokens_per_second', event.tokensPerSecond],
    ...Object.entries(milliseconds).map(([part, time]) => [`step_ms/${part}`, time] as const),
    ['memory/bytes', event.memoryBytes],
    ['noise_scale/canvases', noiseScale?.canvases],
    ['noise_scale/tokens', noiseScale?.tokens],
    ['noise_scale/scored', noiseScale?.scored],
    ...Object.entries(noiseScale?.groups ?? {}).map(
      ([group, canvases]) => [`noise_scale/canvases_${group}`, canvases] as const,
    ),
  ];
}

function evaluationScalars(event: TrainEvaluation): Tagged {
  return [
    ['eval/loss', event.loss],
    ['eval/masked_ce', event.maskedCrossEntropy],
    ['eval/ms', event.milliseconds],
    ...byTime('eval_loss_by_t', event.lossByTime),
  ];
}

/** Bins of mask rates, each tagged with its lower end. */
function byTime(name: string, bins: readonly (number | null)[]): Tagged {
  return bins.map((value, bin) => [`${name}/${(bin / bins.length).toFixed(1)}`, value] as const);
}
