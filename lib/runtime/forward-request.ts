import type { Architecture, ForwardRequest, ForwardResult } from '../../types/native';
import type { ForwardOptions, ForwardOutput, TokenIds } from '../api/types';
import { expertsOf, isCausal } from '../families/traits';
import { booleanOption, integerList, integerOption, quote, tokenList } from '../support/validate';

/** Validates and copies the arguments of `forward`. */
export function forwardRequest(
  tokenIds: TokenIds,
  options: ForwardOptions,
  architecture: Architecture,
): ForwardRequest {
  const tokens = tokenList('tokens', tokenIds, architecture.vocabulary);
  if (tokens.length === 0) throw new RangeError('tokens must hold at least one token');
  if (tokens.length > architecture.maxPositions) {
    throw new RangeError(
      `tokens has ${tokens.length} entries, but the model attends to ${architecture.maxPositions}`,
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
    routing: readRouting(options.routing, architecture),
    forcedExperts: readForcedExperts(options.forcedExperts, tokens.length, architecture),
    block: readBlock(options.blockLength, architecture),
  };
}

/** Splits the native result into separate arrays per layer. */
export function forwardOutput(
  request: ForwardRequest,
  result: ForwardResult,
  architecture: Architecture,
): ForwardOutput {
  const rows = (request.rows ?? request.tokens).length;
  const { layers, hidden, vocabulary } = architecture;
  const [{ experts, expertsPerToken } = { experts: 0, expertsPerToken: 0 }] = expertsOf(architecture);
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
        layers: states.slice(1, layers.length + 1),
        finalNorm: states[layers.length + 1] as Float32Array,
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

function readRouting(value: boolean | undefined, architecture: Architecture): boolean {
  const routing = booleanOption('routing', value, false);
  if (routing && expertsOf(architecture).length === 0) {
    throw new TypeError('routing is asked for, but the model has no experts');
  }
  return routing;
}

function readForcedExperts(
  forced: Int32Array | undefined,
  length: number,
  architecture: Architecture,
): Int32Array | null {
  if (forced === undefined) return null;
  const layers = expertsOf(architecture);
  const [first] = layers;
  if (first === undefined) throw new TypeError('forcedExperts is given, but the model has no experts');
  const { experts, expertsPerToken } = first;
  const ids = integerList('forcedExperts', forced, experts, 'expert ids');
  const needed = layers.length * length * expertsPerToken;
  if (ids.length !== needed) {
    const which = layers.length === architecture.layers.length ? 'layers' : 'layers with experts';
    throw new RangeError(
      `forcedExperts has ${quote(ids.length)} ids, but [${layers.length} ${which}, ${length} tokens, ${expertsPerToken}] are ${needed}`,
    );
  }
  return ids;
}

function readBlock(length: number | undefined, architecture: Architecture): number | null {
  if (length === undefined) return null;
  if (isCausal(architecture)) {
    throw new TypeError(`blockLength is ${quote(length)}, but the model's attention is causal`);
  }
  return integerOption('blockLength', length, 0, 2 ** 31 - 1);
}
