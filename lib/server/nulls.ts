import type { FastifyRequest } from 'fastify';

/** Deeper than any field of a request lies; what is deeper is data, and validation refuses it where there should be none. */
const deepest = 8;

/** Fields whose values are data for the chat template, in which null means something. */
const isData = (path: readonly string[]) =>
  path[0] === 'chat_template_kwargs' ||
  (path[0] === 'messages' && path.length === 3 && path[2] !== 'content');

/** A field that is null counts as one that is not there, at any depth; entries of lists stay. */
export function withoutNulls(value: unknown, path: readonly string[] = []): unknown {
  if (typeof value !== 'object' || value === null || path.length > deepest || isData(path)) return value;
  if (Array.isArray(value)) {
    const inside = [...path, '*'];
    return value.map((entry) => withoutNulls(entry, inside));
  }
  const fields = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(fields.map(([name, field]) => [name, withoutNulls(field, [...path, name])]));
}

/** Before a body is validated: clients of OpenAI's API write what is not set as null. */
export async function absentNulls(request: FastifyRequest): Promise<void> {
  request.body = withoutNulls(request.body);
}
