import type { ForwardRequest, ForwardResult, NativeConfig } from '../../types/native';
import type { ForwardOptions, ForwardOutput, TokenIds } from '../api/types';
import { booleanOption, integerList, quote, tokenList } from '../support/validate';

/** Validates and copies the arguments of `forward`. */
export function forwardRequest(
  tokenIds: TokenIds,
  options: ForwardOptions,
  config: NativeConfig,
): ForwardRequest {
  const tokens = tokenList('tokens', tokenIds, config.vocabulary);
  if (tokens.length === 0) throw new RangeError('tokens must hold at least one token');
  if (tokens.length > config.maxPositions) {
    throw new RangeError(
      `tokens has ${tokens.length} entries, but the model attends to ${config.maxPositions}`,
    );
  }
  const { positions } = options;
  const rows =
    positions === undefined
      ? null
      : integerList('positions', positions, tokens.length, `the positions of ${tokens.length} tokens`);
  if (rows?.length === 0) throw new RangeError('positions must hold at least one position');
  return {
    tokens,
    rows,
    logits: true,
    hidden: booleanOption('hidden', options.hidden, false),
    routing: booleanOption('routing', options.routing, false),
    forcedExperts: readForcedExperts(options.forcedExperts, tokens.length, config),
  };
}

/** Splits the native result into separate arrays per layer. */
export function forwardOutput(
  request: ForwardRequest,
  result: ForwardResult,
  config: NativeConfig,
): ForwardOutput {
  const rows = (request.rows ?? request.tokens).length;
  const { layers, hidden, experts, expertsPerToken, vocabulary } = config;
  const states = result.hidden && split(result.hidden, rows * hidden);
  const logits = result.routerLogits && split(result.routerLogits, rows * experts);
  const ids = result.expertIds && split(result.expertIds, rows * expertsPerToken);
  const weights = result.expertWeights && split(result.expertWeights, rows * expertsPerToken);
  const output: ForwardOutput = { logits: result.logits as Float32Array, shape: [rows, vocabulary] };
  return {
    ...output,
    ...(states && {
      hidden: {
        embed: states[0] as Float32Array,
        layers: states.slice(1, layers + 1),
        finalNorm: states[layers + 1] as Float32Array,
      },
    }),
    ...(logits &&
      ids &&
      weights && {
        routing: logits.map((layerLogits, layer) => ({
          logits: layerLogits,
          expertIds: ids[layer] as Int32Array,
          expertWeights: weights[layer] as Float32Array,
        })),
      }),
  };
}

function split<T extends Float32Array | Int32Array>(values: T, size: number): T[] {
  const count = values.length / size;
  return Array.from({ length: count }, (_, i) => values.slice(i * size, (i + 1) * size) as T);
}

function readForcedExperts(
  forced: Int32Array | undefined,
  length: number,
  { layers, experts, expertsPerToken }: NativeConfig,
): Int32Array | null {
  if (forced === undefined) return null;
  const ids = integerList('forcedExperts', forced, experts, 'expert ids');
  const needed = layers * length * expertsPerToken;
  if (ids.length !== needed) {
    throw new RangeError(
      `forcedExperts has ${quote(ids.length)} ids, but [${layers} layers, ${length} tokens, ${expertsPerToken}] are ${needed}`,
    );
  }
  return ids;
}
