import { Type } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import { embeddedFolder } from '../../checkpoint/embedded';
import { presetOf } from '../../denoising/run';
import { scheduleTable, startingSchedule } from '../../denoising/schedule-table';
import { reservesEnd } from '../body-options';
import type { Context } from '../context';
import { modelAnswer, modelsAnswer, responses } from '../responses';

/** `GET /v1/models` and `GET /v1/models/{model}` */
export function addModels(app: FastifyInstance, context: Context): void {
  const { model, settings } = context;
  const { info, config } = model;
  const description = {
    id: settings.modelName,
    object: 'model',
    created: Math.floor(Date.now() / 1000),
    owned_by: 'rnd1',
    max_canvas_tokens: settings.maxCanvasTokens,
    default_max_tokens: config.generation.maxNewTokens ?? null,
    default_steps: config.generation.steps,
    device: info.device,
    dtype: info.dtype,
    embedded: info.folder === embeddedFolder,
    reserves_end: reservesEnd(model),
    starting_schedule: presetOf(config).schedule === undefined ? startingSchedule : null,
    schedules: scheduleTable.map(({ type, commits, parameter }) => ({
      type,
      commits,
      parameter: parameter && {
        name: parameter.name,
        unit: parameter.unit,
        whole: parameter.whole,
        min: parameter.min,
        min_excluded: parameter.minExcluded,
        max: parameter.max,
        suggested: parameter.suggested,
      },
    })),
  };
  const list = {
    operationId: 'listModels',
    summary: 'The model that is served',
    tags: ['openai'],
    ...responses(settings, modelsAnswer, ['4xx']),
  };
  app.get('/v1/models', { schema: list }, async () => ({ object: 'list', data: [description] }));
  app.get<{ Params: { model: string } }>(
    '/v1/models/:model',
    {
      schema: {
        operationId: 'retrieveModel',
        summary: 'One model',
        tags: ['openai'],
        params: Type.Object({ model: Type.String() }),
        ...responses(settings, modelAnswer, [404]),
      },
    },
    async (request) => {
      context.checkModel(request.params.model);
      return description;
    },
  );
}
