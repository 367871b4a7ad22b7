import type { FastifySchemaValidationError } from 'fastify/types/schema';
import { readSchedule } from '../denoising/schedule';
import { nearest, quote } from '../support/validate';
import { scheduleOf } from './body-options';
import { ApiError, withFieldNames } from './errors';

/** The part of JSON Schema that the server's schemas use. */
interface JsonSchema {
  readonly type?: string;
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: unknown;
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
}

/** ajv's error, with the fields that `verbose` adds. */
type ValidationError = FastifySchemaValidationError & {
  readonly data?: unknown;
  readonly parentSchema?: JsonSchema;
};

/** The client's error for a wrong field: its name, its value, and what was expected. */
export function validationError(errors: readonly FastifySchemaValidationError[]): ApiError {
  const error = outermost(errors as readonly ValidationError[]);
  const path = error.instancePath.slice(1).replaceAll('/', '.');
  const refuse = (code: string, param: string, message: string) =>
    new ApiError(400, code, message, { param });
  if (error.keyword === 'required') {
    const field = join(path, String(error.params.missingProperty));
    return refuse('missing_field', field, `${field} is missing`);
  }
  if (error.keyword === 'additionalProperties') {
    const name = String(error.params.additionalProperty);
    const meant = nearest(name, Object.keys(error.parentSchema?.properties ?? {}));
    const hint = meant === null ? '' : `; did you mean ${quote(meant)}?`;
    return refuse('unknown_field', join(path, name), `there is no field ${quote(join(path, name))}${hint}`);
  }
  if (path === '')
    return new ApiError(400, 'invalid_value', `the body must be an object, not ${quote(error.data)}`);
  if (error.keyword === 'minItems') return refuse('invalid_value', path, `${path} must not be empty`);
  if (path.startsWith('schedule')) {
    const problem = scheduleProblem(error.data);
    if (problem !== null) return refuse('invalid_value', 'schedule', problem);
  }
  return refuse(
    'invalid_value',
    path,
    `${path} must be ${expected(error.parentSchema ?? {})}, not ${quote(error.data)}`,
  );
}

/**
 * Picks, from the errors of all branches of an `anyOf`, the one about the `anyOf` itself. If the value is a list and
 * only one branch accepts lists, picks the one about an entry; the same for the fields of an object, unless
 * it says by one what it is.
 */
function outermost(errors: readonly ValidationError[]): ValidationError {
  const depth = ({ instancePath }: ValidationError) => instancePath.split('/').length;
  const best = errors.reduce((best, error) => (depth(error) <= depth(best) ? error : best));
  const lists = Array.isArray(best.data)
    ? branches(best.parentSchema).filter(({ type }) => type === 'array')
    : [];
  const inside = errors.filter(({ instancePath }) => instancePath.startsWith(`${best.instancePath}/`));
  if (lists.length === 1 && inside.length > 0) return outermost(inside);
  const isObject = typeof best.data === 'object' && best.data !== null && !Array.isArray(best.data);
  const objects = branches(best.parentSchema).filter(({ properties }) => properties !== undefined);
  const [only] = objects.length === 1 ? objects : [];
  if (!isObject || only === undefined || constants(only) !== '') return best;
  const missing = errors.filter((error) => error !== best && error.keyword === 'required');
  const fields = [...inside, ...missing];
  return fields.length === 0 ? best : outermost(fields);
}

/** All branches of an `anyOf`, nested ones included. */
function branches({ anyOf = [] }: JsonSchema = {}): readonly JsonSchema[] {
  return anyOf.flatMap((each) => (each.anyOf === undefined ? [each] : branches(each)));
}

const join = (path: string, name: string) => (path === '' ? name : `${path}.${name}`);

/** The library's error message for a schedule; null if it is valid. */
function scheduleProblem(value: unknown): string | null {
  try {
    readSchedule(scheduleOf(value));
    return null;
  } catch (error) {
    return withFieldNames((error as Error).message);
  }
}

/** What a schema accepts, in words. */
function expected(schema: JsonSchema): string {
  if (schema.const !== undefined) return quote(schema.const);
  if (schema.anyOf !== undefined) {
    const branches = schema.anyOf.filter(({ type }) => type !== 'null').map(expected);
    return [branches.slice(0, -1).join(', '), ...branches.slice(-1)]
      .filter((text) => text !== '')
      .join(' or ');
  }
  switch (schema.type) {
    case 'string':
      if (schema.pattern !== undefined) return 'a string of decimal digits';
      return (schema.minLength ?? 0) > 0 ? 'a string that is not empty' : 'a string';
    case 'integer':
      return `an integer${range(schema)}`;
    case 'number':
      return `a number${range(schema)}`;
    case 'boolean':
      return 'true or false';
    case 'null':
      return 'null or missing';
    case 'array': {
      if (schema.maxItems === 0) return 'an empty list';
      const max = schema.maxItems === undefined ? '' : ` of up to ${schema.maxItems}`;
      return `a list${max}${schema.items?.type === undefined ? '' : `, each ${expected(schema.items)}`}`;
    }
    default: {
      const [each] = Object.values(schema.patternProperties ?? {});
      if (each?.type !== undefined) return `an object, each value ${expected(each)}`;
      return `an ${schema.additionalProperties === false && Object.keys(schema.properties ?? {}).length === 0 ? 'empty ' : ''}object${constants(schema)}`;
    }
  }
}

/** The fields of an object that can have only one value. */
function constants({ properties = {} }: JsonSchema): string {
  const fixed = Object.entries(properties).filter(([, field]) => field.const !== undefined);
  return fixed
    .map(([name, field], i) => `${i === 0 ? ' with' : ' and'} ${name} ${quote(field.const)}`)
    .join('');
}

function range({ minimum, exclusiveMinimum, maximum }: JsonSchema): string {
  const min = exclusiveMinimum === undefined ? minimum : `above ${exclusiveMinimum}`;
  if (min === undefined) return maximum === undefined ? '' : ` up to ${maximum}`;
  if (maximum === undefined) return exclusiveMinimum === undefined ? ` of at least ${min}` : ` ${min}`;
  return ` from ${min} to ${maximum}`;
}
