type Json = Record<string, unknown>;

/**
 * Adapts a definition to the tokenizer library: `add_prefix_space` of older files becomes `prepend_scheme`, texts are
 * split before each `▁` unless that is off, and a decoder with the scheme `never` keeps a space at the start.
 */
export function readableDefinition(definition: Json): Json {
  return {
    ...definition,
    pre_tokenizer: mapSteps(definition.pre_tokenizer, (step) =>
      step.type === 'Metaspace' ? splitMetaspace({ ...step, prepend_scheme: schemeOf(step) }) : step,
    ),
    decoder: mapSteps(definition.decoder, (step) =>
      step.type === 'Metaspace' && schemeOf(step) === 'never'
        ? { type: 'Replace', pattern: { String: step.replacement ?? '▁' }, content: ' ' }
        : step,
    ),
  };
}

/**
 * The steps for a text that continues another one: the same, without those that add a space or remove white space
 * only at the start of a text. Null if that makes no difference.
 */
export function goingOn(definition: Json): Pick<Json, 'normalizer' | 'pre_tokenizer'> | null {
  let changed = false;
  const change = (step: Json, changes: Json) => {
    changed = true;
    return { ...step, ...changes };
  };
  const inside = (step: Json) => {
    switch (step.type) {
      case 'Prepend':
        changed = true;
        return null;
      case 'Replace':
        // `^` matches only at the start.
        if (!String((step.pattern as Json | undefined)?.Regex ?? '').startsWith('^')) return step;
        changed = true;
        return null;
      case 'Strip':
        return step.strip_left === true ? change(step, { strip_left: false }) : step;
      case 'Metaspace':
        return schemeOf(step) === 'never' ? step : change(step, { prepend_scheme: 'never' });
      case 'ByteLevel':
        return step.add_prefix_space === true ? change(step, { add_prefix_space: false }) : step;
      default:
        return step;
    }
  };
  const { normalizer, pre_tokenizer } = definition;
  const steps = {
    normalizer: mapSteps(normalizer, inside),
    pre_tokenizer: mapSteps(pre_tokenizer, inside),
  };
  return changed ? steps : null;
}

function splitMetaspace(step: Json): Json {
  if (step.split === false || (step.replacement ?? '▁') !== '▁') return step;
  const split = { type: 'Split', pattern: { Regex: '▁[^▁]*' }, behavior: 'Isolated', invert: false };
  return { type: 'Sequence', pretokenizers: [step, split] };
}

function schemeOf({ prepend_scheme, add_prefix_space }: Json): unknown {
  return prepend_scheme ?? (add_prefix_space === false ? 'never' : 'always');
}

/** Maps the steps of a normalizer, pre-tokenizer or decoder; null removes one. */
function mapSteps(step: unknown, change: (step: Json) => Json | null): unknown {
  if (typeof step !== 'object' || step === null) return step;
  const own = step as Json;
  if (own.type !== 'Sequence') return change(own);
  for (const list of ['normalizers', 'pretokenizers', 'decoders']) {
    if (!Array.isArray(own[list])) continue;
    const steps = own[list].map((each) => mapSteps(each, change)).filter((each) => each !== null);
    return { ...own, [list]: steps };
  }
  return own;
}
