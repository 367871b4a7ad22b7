import type { FastifyRequest } from 'fastify';

/** Deeper than any field of a request. Deeper values are data, or validation refuses them. */
const deepest = 8;

/** Fields with data for the chat template, in which null has a meaning. */
const isData = (path: readonly string[]) =>
  path[0] === 'chat_template_kwargs' ||
  (path[0] === 'messages' && path.length === 3 && path[2] !== 'content');

/** Removes fields that are null, at any depth; entries of lists stay. */
export function withoutNulls(value: unknown, path: readonly string[] = []): unknown {
  if (typeof value !== 'object' || value === null || path.length > deepest || isData(path)) return value;
  if (Array.isArray(value)) {
    const inside = [...path, '*'];
    return value.map((entry) => withoutNulls(entry, inside));
  }
  const fields = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(fields.map(([name, field]) => [name, withoutNulls(field, [...path, name])]));
}

/** Runs before a body is validated: OpenAI's clients send null for what is not set. */
export async function absentNulls(request: FastifyRequest): Promise<void> {
  request.body = withoutNulls(request.body);
}
