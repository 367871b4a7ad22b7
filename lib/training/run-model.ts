import { readSettings } from '../checkpoint/folder';
import { stringOption } from '../support/validate';
import type { ObjectiveModel } from './objective';
import type { ModelFacts } from './train-options';

/** What a run must know of its model. */
export type RunModel = ObjectiveModel &
  ModelFacts & {
    readonly vocabulary: number;
  };

/**
 * Reads the configuration of a checkpoint.
 *
 * @throws RND1Error `invalid_checkpoint`, `unsupported_model`, `io`
 */
export async function readRunModel(folder: string): Promise<RunModel> {
  const { config } = await readSettings(stringOption('model', folder));
  const { architecture, tokens, raw } = config;
  const { layers, vocabulary, maxPositions, predictionShift } = architecture;
  const coefficient = raw.router_aux_loss_coef;
  const experts = layers.some(({ mlp }) => mlp.kind !== 'dense');
  return {
    folder,
    causal: layers.every(({ attention }) => attention.block === 1),
    maxPositions,
    vocabulary,
    predictionShift: predictionShift === 1 ? 1 : 0,
    maskTokenId: tokens.maskTokenId,
    eosTokenIds: tokens.eosTokenIds,
    auxCoef: !experts ? null : typeof coefficient === 'number' ? coefficient : 0.001,
  };
}
