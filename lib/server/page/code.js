/**
 * The page's request as code for other clients; each gives the same text.
 *
 * @import { DenoiseRequest, Schedule, ServedModel } from './contract.d.ts'
 */

/** A word of a POSIX shell. @param {string} text */
export const quoted = (text) => (/^[\w.,:=/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/**
 * @param {DenoiseRequest} request
 * @param {{ url: string, key: boolean }} server its address, and whether it requires a key
 */
export function curlOf(request, { url, key }) {
  return [
    `curl -N ${quoted(`${url}v1/denoise`)}`,
    '-H "Content-Type: application/json"',
    ...(key ? ['-H "Authorization: Bearer $RND1_API_KEY"'] : []),
    `-d ${quoted(JSON.stringify(request))}`,
  ].join(' \\\n  ');
}

/**
 * @param {DenoiseRequest} request
 * @param {ServedModel | null} model
 */
export function javascriptOf(request, model) {
  const { prompt, text, max_tokens, tokens_per_hole, seed, ...rest } = request;
  const options = {
    maxNewTokens: newTokens(max_tokens, model),
    tokensPerHole: tokens_per_hole,
    ...rest,
    seed: typeof seed === 'string' ? `${seed}n` : seed,
  };
  const lines = Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `    ${name}: ${name === 'seed' ? value : literal(value)},`);
  const call =
    prompt === undefined
      ? `model.fill(${literal(text)}, {\n${lines.join('\n')}\n  })`
      : `model.generate(${literal(prompt)}, {\n${lines.join('\n')}\n  })`;
  return [
    "const { DiffusionLM } = require('rnd1');",
    '',
    'async function main() {',
    `  const model = await DiffusionLM.load(${model?.embedded === false ? literal(placeOf(model)) : ''});`,
    `  const { text } = await ${call};`,
    '  console.log(text.trim());',
    '  await model.dispose();',
    '}',
    '',
    'main();',
  ].join('\n');
}

/**
 * @param {DenoiseRequest} request
 * @param {ServedModel | null} model
 */
export function commandOf(request, model) {
  const { prompt, text, max_tokens, tokens_per_hole, steps, schedule, temperature, seed } = request;
  const flags = {
    model: model?.embedded === false ? placeOf(model) : undefined,
    'max-new-tokens': newTokens(max_tokens, model),
    'tokens-per-hole': tokens_per_hole,
    steps,
    schedule: schedule === undefined ? undefined : notationOf(schedule),
    temperature,
    seed,
  };
  const words = Object.entries(flags)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `--${name} ${quoted(String(value))}`);
  const content = /** @type {string} */ (prompt ?? text);
  const command = prompt === undefined ? 'fill' : 'generate';
  // `-` alone means standard input, and text that begins with a hyphen is a flag.
  if (content === '-') return `printf '%s\\n' - | ${['./rnd1', command, ...words].join(' ')}`;
  const separator = content.startsWith('-') ? '-- ' : '';
  return [`./rnd1 ${command}`, ...words, separator + quoted(content)].join(' \\\n  ');
}

/** A schedule in the notation of the command line. @param {Schedule} schedule @returns {string} */
export function notationOf(schedule) {
  if (typeof schedule === 'string') return schedule;
  const { type, schedule: inner, ...parameters } = schedule;
  const [value] = Object.values(parameters);
  return `${type}${value === undefined ? '' : `=${value}`}${inner === undefined ? '' : `:${notationOf(inner)}`}`;
}

/** The library also counts the reserved end slot. */
const newTokens = (/** @type {number | undefined} */ tokens, /** @type {ServedModel | null} */ model) =>
  tokens === undefined ? undefined : tokens + (model?.reserves_end === false ? 0 : 1);

/** The page knows the name of a model, not its folder. @param {ServedModel} model */
const placeOf = (model) => `path/to/${model.id}`;

/** A value as a JavaScript literal. @param {unknown} value @returns {string} */
function literal(value) {
  if (typeof value === 'string') {
    const body = JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'");
    return `'${body.replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')}'`;
  }
  if (typeof value !== 'object' || value === null) return String(value);
  const fields = Object.entries(value).map(([name, field]) => `${name}: ${literal(field)}`);
  return `{ ${fields.join(', ')} }`;
}
