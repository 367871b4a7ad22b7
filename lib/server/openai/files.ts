import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { Type } from '@sinclair/typebox';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { BatchFolder } from '../../batch/folder';
import type { FileRecord } from '../../batch/records';
import { type Upload, UploadRefused } from '../../batch/upload';
import { printableName } from '../../support/printable';
import { quote } from '../../support/validate';
import { ownerOf } from '../clients';
import type { Context } from '../context';
import { ApiError } from '../errors';
import { watchedStream } from '../event-stream';
import { type Form, readForm } from '../multipart';
import { contentAnswer, deletedAnswer, fileAnswer, filesAnswer, responses } from '../responses';
import { type FileQuery, fileForm, fileQuery } from '../schemas';
import { pageOf } from './pages';

interface Params {
  readonly Params: { readonly file_id: string };
}

const pages = { most: 10_000, usual: 10_000 };
const longestName = 255;
const chunkBytes = 2 ** 16;

/** `/v1/files`: uploads of batches' requests, and what batches have written. */
export function addFiles(app: FastifyInstance, context: Context, folder: BatchFolder): void {
  const { settings } = context;
  const tags = ['openai'];
  const params = Type.Object({ file_id: Type.String() });
  const own = (request: FastifyRequest) => ownerOf(request, settings.apiKeys);
  const find = (request: FastifyRequest<Params>): FileRecord => {
    const { file_id } = request.params;
    const file = folder.files.get(file_id);
    if (file !== null && file.owner === own(request)) return file;
    throw new ApiError(404, 'file_not_found', `there is no file ${quote(file_id)}`, { param: 'file_id' });
  };

  // Only this route takes forms.
  app.register(async (scope) => {
    scope.addContentTypeParser('multipart/form-data', (_request, _payload, done) => done(null));
    const schema = {
      operationId: 'createFile',
      summary: 'Upload the requests of a batch',
      tags,
      consumes: ['multipart/form-data'],
      body: fileForm,
      ...responses(settings, fileAnswer, [400, 403, 413, 415, 500, 503]),
    };
    // The body is read here, so there is nothing to validate before.
    const validatorCompiler = () => () => true;
    scope.post('/v1/files', { schema, validatorCompiler }, async (request) => {
      const upload = await folder.receive(own(request));
      try {
        const form = await readForm(request.raw, (bytes) => upload.write(bytes));
        return show(await finish(upload, form));
      } catch (error) {
        throw asRefusal(error);
      } finally {
        await upload.discard();
      }
    });
  });

  const list = {
    operationId: 'listFiles',
    summary: 'All files',
    tags,
    querystring: fileQuery,
    ...responses(settings, filesAnswer, [400]),
  };
  app.get<{ Querystring: FileQuery }>('/v1/files', { schema: list }, async (request) => {
    const { purpose, order = 'desc', ...page } = request.query;
    const owner = own(request);
    const files = [...folder.files.all].filter(
      (file) => file.owner === owner && (purpose === undefined || file.purpose === purpose),
    );
    return pageOf(order === 'asc' ? files : files.reverse(), page, pages, show);
  });

  const one = { operationId: 'retrieveFile', summary: 'One file', tags, params };
  const retrieve = { ...one, ...responses(settings, fileAnswer, [404]) };
  app.get<Params>('/v1/files/:file_id', { schema: retrieve }, async (request) => show(find(request)));

  const download = {
    operationId: 'downloadFile',
    summary: 'The content of a file',
    tags,
    params,
    ...responses(settings, contentAnswer, [404]),
  };
  app.get<Params>('/v1/files/:file_id/content', { schema: download }, async (request, reply) =>
    send(folder.files.dataOf(find(request).id), reply, settings.stallTimeout),
  );

  const remove = {
    operationId: 'deleteFile',
    summary: 'Delete a file',
    tags,
    params,
    ...responses(settings, deletedAnswer, [404, 409]),
  };
  app.delete<Params>('/v1/files/:file_id', { schema: remove }, async (request) => {
    const file = find(request);
    if (folder.isInUse(file.id)) {
      throw new ApiError(
        409,
        'file_in_use',
        `the file ${file.id} is the input of a batch that has not ended`,
      );
    }
    await folder.removeFile(file);
    return { id: file.id, object: 'file', deleted: true };
  });
}

function show({ id, bytes, createdAt, expiresAt, filename, purpose }: FileRecord): object {
  return {
    id,
    object: 'file',
    bytes,
    created_at: createdAt,
    expires_at: expiresAt,
    filename,
    purpose,
    status: 'processed',
  };
}

/** Checks the fields of an upload and keeps its file. */
function finish(upload: Upload, { fields, filename }: Form): Promise<FileRecord> {
  const wrong = (param: string, message: string) => new ApiError(400, 'invalid_value', message, { param });
  const purpose = fields.get('purpose');
  if (filename === null) throw new ApiError(400, 'missing_field', 'file is missing', { param: 'file' });
  if (purpose !== 'batch') throw wrong('purpose', `purpose must be 'batch', not ${quote(purpose ?? null)}`);
  const known = ['purpose', 'expires_after[anchor]', 'expires_after[seconds]'];
  const stray = [...fields.keys()].find((name) => !known.includes(name));
  if (stray !== undefined) {
    throw new ApiError(400, 'unknown_field', `there is no field ${quote(stray)}`, { param: stray });
  }
  const name = printableName(basename(filename.replaceAll('\\', '/'))).slice(0, longestName);
  return upload.finish({ filename: name === '' ? 'file' : name, purpose: 'batch', keep: keepOf(fields) });
}

/** Seconds for which an upload is kept. */
function keepOf(fields: ReadonlyMap<string, string>): number | null {
  const [anchor, seconds] = [fields.get('expires_after[anchor]'), fields.get('expires_after[seconds]')];
  if (anchor === undefined && seconds === undefined) return null;
  const keep = /^\d{1,7}$/.test(seconds ?? '') ? Number(seconds) : Number.NaN;
  if (anchor === 'created_at' && keep >= 3600 && keep <= 2_592_000) return keep;
  const message = "expires_after must be { anchor: 'created_at', seconds } with 3600 to 2592000 seconds";
  throw new ApiError(400, 'invalid_value', message, { param: 'expires_after' });
}

function asRefusal(error: unknown): unknown {
  if (!(error instanceof UploadRefused)) return error;
  const [status, code] = error.reason === 'too_large' ? [413, 'file_too_large'] : [403, 'storage_full'];
  return new ApiError(status as number, code as string, error.message, { param: 'file' });
}

/** Sends a file, unless the client stops to read it. */
async function send(path: string, reply: FastifyReply, stallTimeout: number): Promise<FastifyReply> {
  const handle = await open(path, 'r').catch(() => null);
  if (handle === null) throw new ApiError(404, 'file_not_found', 'the file has been deleted');
  const { size } = await handle.stat();
  const onStall = () => reply.raw.destroy();
  return reply
    .header('content-type', 'application/jsonl')
    .header('content-length', size)
    .send(watchedStream(chunksOf(handle, size), { keepAlive: 0, stallTimeout, onStall }));
}

async function* chunksOf(handle: FileHandle, size: number): AsyncGenerator<Uint8Array, void> {
  try {
    for (let position = 0; position < size; ) {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(chunkBytes), 0, chunkBytes, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}
