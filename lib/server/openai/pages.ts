import { ApiError } from '../errors';

/** Which part of a list a request asks for. */
export interface PageQuery {
  /** Id of the record before the first one. */
  readonly after?: string;
  /** Number of records, in decimal digits. */
  readonly limit?: string;
}

/** A part of a list, in OpenAI's format. `records` are in the order of the list. */
export function pageOf<T extends { readonly id: string }>(
  records: readonly T[],
  { after, limit }: PageQuery,
  { most, usual }: { readonly most: number; readonly usual: number },
  show: (record: T) => object,
): object {
  const count = limit === undefined ? usual : Number(limit);
  if (count < 1 || count > most) {
    const message = `limit must be from 1 to ${most}, not ${count}`;
    throw new ApiError(400, 'invalid_value', message, { param: 'limit' });
  }
  const before = after === undefined ? -1 : records.findIndex(({ id }) => id === after);
  if (after !== undefined && before === -1) {
    throw new ApiError(400, 'invalid_value', `after must be an id of the list, not '${after}'`, {
      param: 'after',
    });
  }
  const data = records.slice(before + 1, before + 1 + count);
  return {
    object: 'list',
    data: data.map(show),
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: before + 1 + count < records.length,
  };
}
