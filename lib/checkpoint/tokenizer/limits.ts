import { quote } from '../format';

type Json = Record<string, unknown>;

/** Factor by which decoding may lengthen a text, all steps together. */
const decoderGrowth = 64;
/** The same for encoding. */
const encoderGrowth = 1024;
/** UTF-16 units of one token; the longest in published tokenizers are runs of a few hundred spaces. */
const tokenLimit = 4096;
/** Added tokens, and special tokens that tokenizer_config.json names. Gemma has 6,414. */
const addedLimit = 10_000;
/** The same if decoding is byte-level: every token is compared with each. gpt-oss has about 1,100. */
const byteLevelAddedLimit = 2048;
/** UTF-16 units of all added tokens. */
const addedLength = 2 ** 20;
/** UTF-16 units of all pieces of a Unigram model: each may need a node of its trie. */
const pieceLimit = 2 ** 22;
/** UTF-16 units that one token may be decoded to: texts are decoded in every step. */
const decodedTokenLimit = 2 ** 15;
/** Characters of a word: WordPiece tries all its parts. */
const wordLimit = 256;
/** Steps of one part, such as the decoder. */
const stepLimit = 64;
/** UTF-16 units of one pattern. */
const patternLimit = 2 ** 14;
/** UTF-16 units of affixes that a model adds to the parts of a word, such as `##` and `</w>`. */
const affixLimit = 64;

/** Factor by which a normal form may lengthen a text in UTF-16 units; applied again, it changes nothing. */
const normalForms: ReadonlyMap<unknown, number> = new Map([
  ['NFC', 3],
  ['NFD', 4],
  ['NFKC', 18],
  ['NFKD', 18],
  ['Precompiled', 18],
  ['BertNormalizer', 4],
  ['Lowercase', 2],
]);

/**
 * Patterns that are known to take at most quadratic time, as tokenizer.json spells them: those of Qwen (and RND1),
 * Llama 3, and GGUF files of LLaDA. They split texts of a few thousand characters instantly.
 */
const knownPatterns: ReadonlySet<string> = new Set([
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
]);

/**
 * Throws if a tokenizer.json could block the main thread: decoding, which runs there in every step, must be linear in
 * the number of tokens, and neither decoding nor normalizing may lengthen a text too much.
 */
export function checkTokenizerLimits(definition: Json, config: Json = {}): void {
  const { normalizer, decoder, model } = definition;
  const decoders = stepsOf(decoder, 'decoders');
  for (const pattern of patternsOf(decoders)) {
    if (isLinear(pattern)) continue;
    throw new Error(
      `its decoder searches for ${quote(pattern)}: patterns of decoders must have no groups, repetitions or alternatives`,
    );
  }
  for (const [part, steps, limit] of [
    ['decoder', decoders, decoderGrowth],
    ['normalizer', stepsOf(normalizer, 'normalizers'), encoderGrowth],
    ['pre_tokenizer', stepsOf(definition.pre_tokenizer, 'pretokenizers'), encoderGrowth],
  ] as const) {
    if (steps.length > stepLimit)
      throw new Error(`its ${part} has ${steps.length} steps; the limit is ${stepLimit}`);
    if (growthOf(steps) * formGrowthOf(steps) > limit)
      throw new Error(`its ${part} may make a text more than ${limit} times as long`);
    const long = patternsOf(steps).find((pattern) => pattern.length > patternLimit);
    if (long !== undefined) throw new Error(`its ${part} has a pattern of ${long.length} characters`);
    checkLengths(steps);
  }
  checkAffixes((model ?? {}) as Json);
  const byteLevel = (decoder as Json | null | undefined)?.type === 'ByteLevel';
  checkCount(definition.added_tokens, byteLevel ? byteLevelAddedLimit : addedLimit, 'added tokens');
  checkCount(config.additional_special_tokens, addedLimit, 'additional_special_tokens');
  checkTokens(definition.added_tokens as Json[], (model as Json | undefined)?.vocab);
  const decoded = longestToken(definition) * growthOf(decoders);
  if (decoded > decodedTokenLimit) {
    throw new Error(`a token may be decoded to ${decoded} characters; the limit is ${decodedTokenLimit}`);
  }
}

/** Splitting into empty pieces would never end. */
function checkLengths(steps: readonly Json[]): void {
  for (const { type, length } of steps) {
    if (type !== 'FixedLength' || (Number.isInteger(length) && (length as number) > 0)) continue;
    throw new Error(`the length of FixedLength must be a positive integer, not ${quote(String(length))}`);
  }
}

/** Affixes are added to each part of a word. */
function checkAffixes(model: Json): void {
  for (const key of ['continuing_subword_prefix', 'continuing_subword_suffix', 'end_of_word_suffix']) {
    const { length } = String(model[key] ?? '');
    if (length > affixLimit)
      throw new Error(`its ${key} has ${length} characters; the limit is ${affixLimit}`);
  }
}

function checkCount(list: unknown, limit: number, what: string): void {
  const count = Array.isArray(list) ? list.length : 0;
  if (count > limit) throw new Error(`${count} ${what}; the limit is ${limit}`);
}

/** Tokens are copied into texts unchanged. */
function checkTokens(added: readonly Json[], vocab: unknown): void {
  const check = (token: unknown): number => {
    const { length } = String(token);
    if (length > tokenLimit) throw new Error(`a token has ${length} characters; the limit is ${tokenLimit}`);
    return length;
  };
  const all = added.reduce((sum, { content }) => sum + check(content), 0);
  if (all > addedLength) throw new Error(`added tokens of ${all} characters; the limit is ${addedLength}`);
  if (typeof vocab !== 'object' || vocab === null) return;
  if (!Array.isArray(vocab)) {
    for (const token of Object.keys(vocab)) check(token);
    return;
  }
  let total = 0;
  for (const piece of vocab) total += check(Array.isArray(piece) ? piece[0] : piece);
  if (total > pieceLimit) throw new Error(`its pieces have ${total} characters; the limit is ${pieceLimit}`);
}

/** The most UTF-16 units of a text that one token can stand for. */
export function longestToken(definition: Json): number {
  const { vocab } = (definition.model ?? {}) as Json;
  const tokens: unknown[] = Array.isArray(vocab)
    ? vocab.map((piece) => (Array.isArray(piece) ? piece[0] : piece))
    : Object.keys((vocab ?? {}) as Json);
  const contents = (definition.added_tokens as Json[]).map(({ content }) => content);
  let longest = 1;
  for (const token of [...tokens, ...contents]) longest = Math.max(longest, String(token).length);
  return longest;
}

/** Whether the normalizer, which runs on added tokens when a tokenizer is made, may take unbounded time. */
export function hasUnknownNormalizer({ normalizer }: Json): boolean {
  const steps = stepsOf(normalizer, 'normalizers');
  return growthOf(steps) > decoderGrowth || patternsOf(steps).some((pattern) => !isLinear(pattern));
}

/** Whether texts of a few thousand characters are encoded in a few dozen milliseconds. */
export function isBounded(definition: Json): boolean {
  const all = [
    ...stepsOf(definition.normalizer, 'normalizers'),
    ...stepsOf(definition.pre_tokenizer, 'pretokenizers'),
  ];
  // The first ByteLevel step, common in tokenizers, makes one letter of each byte; another would multiply those.
  const first = all.findIndex(({ type }) => type === 'ByteLevel');
  const steps = all.filter((_, i) => i !== first);
  return (
    isQuick((definition.model ?? {}) as Json) &&
    growthOf(steps) <= 2 &&
    patternsOf(steps).every((pattern) => isLinear(pattern) || knownPatterns.has(pattern))
  );
}

/** BPE is at most quadratic in a word's length; others look at all of its parts repeatedly. */
function isQuick({ type, merges, max_input_chars_per_word: max }: Json): boolean {
  if (type === 'WordPiece') return typeof max === 'number' && max <= wordLimit;
  return type === 'BPE' || (type === undefined && Array.isArray(merges));
}

/** A part of a tokenizer as the list of its steps; sequences may be nested. */
function stepsOf(part: unknown, key: string): Json[] {
  const steps: Json[] = [];
  const open: unknown[] = [part];
  for (let value = open.pop(); open.length > 0 || value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    const step = value as Json;
    if (step.type !== 'Sequence') steps.push(step);
    else if (Array.isArray(step[key])) for (const inner of step[key] as unknown[]) open.push(inner ?? null);
  }
  return steps;
}

function patternsOf(steps: readonly Json[]): string[] {
  return steps.flatMap(({ pattern }) => {
    const { Regex } = (pattern ?? {}) as Json;
    return Regex === undefined || Regex === null ? [] : [String(Regex)];
  });
}

/** Whether a pattern has only literals, classes and anchors, so never backtracks. */
function isLinear(pattern: string): boolean {
  return /^(?:[^\\[\](){}*+?|]|\\[pP]\{[^{}]*\}|\\[^1-9k]|\[(?:[^\\[\]&]|\\.)+\])*$/su.test(pattern);
}

/** Factor by which all steps may lengthen a text. */
function growthOf(steps: readonly Json[]): number {
  return steps.reduce((product, step) => product * stepGrowth(step), 1);
}

/** The same for normal forms, which lengthen again only text that steps between them insert. */
function formGrowthOf(steps: readonly Json[]): number {
  let product = 1;
  let form = 1;
  for (const step of steps) {
    form = Math.max(form, normalForms.get(step.type) ?? 1);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII has no other form
    if (step.type !== 'Replace' || /^[\x00-\x7f]*$/.test(String(step.content ?? ''))) continue;
    product *= form;
    form = 1;
  }
  return product * form;
}

function stepGrowth(step: Json): number {
  const { type, pattern, content, replacement, str_rep, prepend, suffix } = step;
  switch (type) {
    case 'Replace': {
      const written = String(content ?? '');
      // `$&` and the like repeat the match or the text around it.
      if (/\$[&`'<\d]/.test(written)) return Infinity;
      const { String: text, Regex: regex } = (pattern ?? {}) as Json;
      if (regex === undefined && typeof text === 'string' && text !== '') {
        return Math.max(1, written.length / text.length);
      }
      const consumes = typeof regex === 'string' && isLinear(regex) && /^[^^$\\]+$/.test(regex);
      // Any two characters have an empty match between them.
      return consumes ? Math.max(1, written.length) : written.length + 1;
    }
    case 'Metaspace':
      // A mark may be added before each piece, and pieces may be split again.
      return Math.max(1, String(str_rep ?? replacement ?? '').length) + 1;
    case 'ByteLevel':
      // Up to three bytes per unit, and a space before it.
      return step.add_prefix_space === true ? 4 : 3;
    case 'CTC':
      // An empty delimiter matches between any two characters.
      return step.cleanup && String(step.word_delimiter_token ?? '') === '' ? 2 : 1;
    case 'BPEDecoder':
      return suffix === undefined || suffix === null || suffix === '' ? 2 : 1;
    case 'Prepend':
      // In front of every piece between added tokens.
      return String(prepend ?? '').length + 1;
    default:
      return 1;
  }
}
