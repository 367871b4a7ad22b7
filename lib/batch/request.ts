import { createHash } from 'node:crypto';
import { nearest, quote } from '../support/validate';
import { BatchFileError, type LineProblem } from './errors';
import { type Line, parseLine } from './json-lines';

/** Endpoints that a line may name. */
export const batchUrls = ['/v1/chat/completions', '/v1/completions', '/v1/infill', '/v1/fill'] as const;
export type BatchUrl = (typeof batchUrls)[number];

/** A line of a batch's input, in OpenAI's format. */
export interface BatchRequest {
  /** Number of the line in its file, from 1. */
  readonly line: number;
  readonly customId: string;
  /** One of `batchUrls` for lines of a file. */
  readonly url: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** SHA-256 of `customId`. */
  readonly key: Buffer;
  /** 24 hexadecimal digits of the SHA-256 of the line: the same line has the same id in every run. */
  readonly id: string;
}

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest();

/**
 * Reads a line of a batch's input. Fields of the body are checked when the line is answered.
 *
 * @param url the one that all lines must have; null: any
 * @throws BatchFileError naming the line
 */
export function readRequest(path: string, line: Line, url: string | null = null): BatchRequest {
  const refuse = (code: LineProblem, problem: string, param: string | null = null) =>
    new BatchFileError(code, problem, path, line.number, param);
  const value = parseLine(line.bytes);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw refuse('invalid_json_line', 'the line is not a JSON object in UTF-8');
  }
  const given = value as Readonly<Record<string, unknown>>;
  for (const name of ['custom_id', 'method', 'url', 'body']) {
    if (Object.hasOwn(given, name)) continue;
    const meant = nearest(name, Object.keys(given));
    const hint = meant === null ? '' : `; ${quote(meant)} is not a field`;
    throw refuse('missing_required_parameter', `${name} is missing${hint}`, name);
  }
  const { custom_id: customId, method, url: own, body } = given;
  if (typeof customId !== 'string' || customId === '') {
    const problem = `custom_id must be a string that is not empty, not ${quote(customId)}`;
    throw refuse('invalid_custom_id', problem, 'custom_id');
  }
  if (method !== 'POST') {
    throw refuse('invalid_method', `method must be 'POST', not ${quote(method)}`, 'method');
  }
  if (!batchUrls.includes(own as BatchUrl)) {
    const known = batchUrls.map((each) => `'${each}'`).join(', ');
    throw refuse('invalid_url', `url must be one of ${known}, not ${quote(own)}`, 'url');
  }
  if (url !== null && own !== url) {
    throw refuse('mismatched_url', `url must be the batch's endpoint, '${url}', not ${quote(own)}`, 'url');
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw refuse('invalid_body', `body must be an object, not ${quote(body)}`, 'body');
  }
  return {
    line: line.number,
    customId,
    url: own as BatchUrl,
    body: body as Readonly<Record<string, unknown>>,
    // As JSON: halves of surrogate pairs would all have the same UTF-8.
    key: sha256(JSON.stringify(customId)),
    id: sha256(line.bytes).toString('hex', 0, 12),
  };
}

/** The seed of a line whose body has none: 48 bits of the hash of its custom_id. */
export const seedOf = ({ key }: Pick<BatchRequest, 'key'>): number => key.readUIntBE(0, 6);

/** Number of canvases that a line asks for: answers times prompts. */
export function canvasesOf({ body }: Pick<BatchRequest, 'body'>): number {
  const { n, prompt } = body;
  const answers = typeof n === 'number' && n >= 1 ? Math.floor(n) : 1;
  const prompts = Array.isArray(prompt) && typeof prompt[0] !== 'number' ? Math.max(1, prompt.length) : 1;
  return answers * prompts;
}
