import { Type } from '@sinclair/typebox';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { BatchFolder } from '../../batch/folder';
import { type BatchRecord, type BatchStatus, finalStates } from '../../batch/records';
import type { BatchRunner } from '../../batch/runner';
import { quote } from '../../support/validate';
import { ownerOf } from '../clients';
import type { Context } from '../context';
import { ApiError } from '../errors';
import { absentNulls } from '../nulls';
import { batchAnswer, batchesAnswer, responses } from '../responses';
import { type BatchBody, type BatchQuery, batchBody, batchQuery } from '../schemas';
import { pageOf } from './pages';

interface Params {
  readonly Params: { readonly batch_id: string };
}

const pages = { most: 100, usual: 20 };
/** Batches of one owner that have not ended. */
const maxUnfinished = 64;

/** `/v1/batches`: files of requests, answered one after another when there is room. */
export function addBatches(
  app: FastifyInstance,
  context: Context,
  folder: BatchFolder,
  runner: BatchRunner,
): void {
  const { settings } = context;
  const tags = ['openai'];
  const params = Type.Object({ batch_id: Type.String() });
  const own = (request: FastifyRequest) => ownerOf(request, settings.apiKeys);
  const find = (request: FastifyRequest<Params>): BatchRecord => {
    const { batch_id } = request.params;
    const batch = folder.batches.get(batch_id);
    if (batch !== null && batch.owner === own(request)) return batch;
    throw new ApiError(404, 'batch_not_found', `there is no batch ${quote(batch_id)}`, { param: 'batch_id' });
  };

  const create = {
    operationId: 'createBatch',
    summary: 'Answer a file of requests',
    tags,
    body: batchBody,
    ...responses(settings, batchAnswer, [400, 403, 404, 413, 415, 429, 500, 503]),
  };
  const options = { schema: create, preValidation: absentNulls };
  app.post<{ Body: BatchBody }>('/v1/batches', options, async (request) => {
    const { input_file_id, endpoint, metadata, output_expires_after } = request.body;
    const owner = own(request);
    const input = folder.files.get(input_file_id);
    const param = 'input_file_id';
    if (input === null || input.owner !== owner) {
      throw new ApiError(404, 'file_not_found', `there is no file ${quote(input_file_id)}`, { param });
    }
    if (input.purpose !== 'batch') {
      throw new ApiError(400, 'invalid_value', `the purpose of the file must be 'batch'`, { param });
    }
    if (!folder.hasRoom(owner, 0))
      throw new ApiError(403, 'storage_full', 'there is no room: remove some files');
    if (runner.unfinished(owner) >= maxUnfinished) {
      const message = `${maxUnfinished} batches have not ended: try again later`;
      throw new ApiError(429, 'too_many_batches', message, { headers: { 'retry-after': '60' } });
    }
    const keepOutput = output_expires_after?.seconds ?? null;
    return show(await runner.create({ owner, endpoint, input, metadata: metadata ?? null, keepOutput }));
  });

  const list = {
    operationId: 'listBatches',
    summary: 'All batches, the newest first',
    tags,
    querystring: batchQuery,
    ...responses(settings, batchesAnswer, [400]),
  };
  app.get<{ Querystring: BatchQuery }>('/v1/batches', { schema: list }, async (request) => {
    const owner = own(request);
    const batches = [...folder.batches.all].filter((batch) => batch.owner === owner);
    return pageOf(batches.reverse(), request.query, pages, show);
  });

  const retrieve = {
    operationId: 'retrieveBatch',
    summary: 'One batch',
    tags,
    params,
    ...responses(settings, batchAnswer, [404]),
  };
  app.get<Params>('/v1/batches/:batch_id', { schema: retrieve }, async (request) => show(find(request)));

  const cancel = {
    operationId: 'cancelBatch',
    summary: 'Stop a batch and keep what is answered',
    tags,
    params,
    ...responses(settings, batchAnswer, [404, 409]),
  };
  app.post<Params>('/v1/batches/:batch_id/cancel', { schema: cancel }, async (request) => {
    const batch = find(request);
    const { id, status } = batch;
    if (finalStates.has(status) || status === 'finalizing') {
      throw new ApiError(409, 'batch_ended', `the batch ${id} is ${status}`);
    }
    if (status !== 'cancelling') await runner.cancel(id);
    return show(find(request));
  });
}

/** A batch in OpenAI's format. */
function show(batch: BatchRecord): object {
  const { errors, counts, times } = batch;
  const at = (status: BatchStatus) => times[status] ?? null;
  return {
    id: batch.id,
    object: 'batch',
    endpoint: batch.endpoint,
    errors: errors.length === 0 ? null : { object: 'list', data: errors },
    input_file_id: batch.inputFile,
    completion_window: '24h',
    status: batch.status,
    output_file_id: batch.outputFile,
    error_file_id: batch.errorFile,
    created_at: batch.createdAt,
    in_progress_at: at('in_progress'),
    expires_at: batch.expiresAt,
    finalizing_at: at('finalizing'),
    completed_at: at('completed'),
    failed_at: at('failed'),
    expired_at: at('expired'),
    cancelling_at: at('cancelling'),
    cancelled_at: at('cancelled'),
    request_counts: counts,
    metadata: batch.metadata,
  };
}
