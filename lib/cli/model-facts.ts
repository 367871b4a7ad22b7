import { familyTitle } from '../families';
import { blockOf, expertsOf, isCausal } from '../families/traits';
import type { Architecture, CheckpointReport, LayerDescription } from '../index';

/** Lines of `rnd1 inspect` about a model: names and texts. */
export function describeModel({ config }: CheckpointReport): [string, string][] {
  const { architecture, tokens, generation } = config;
  const { layers, hidden, vocabulary, maxPositions, tiedHead } = architecture;
  const ids = (value: readonly number[]) => (value.length > 0 ? value.join(', ') : 'none');
  const id = (value: number | null) => (value === null ? 'none' : String(value));
  return [
    ['family', familyTitle(config.family)],
    ['layers', `${layers.length}, hidden ${hidden}`],
    ['attention', describeAttention(architecture)],
    ...describeMlps(architecture),
    ['vocabulary', `${vocabulary}${tiedHead ? ', LM head tied to the embedding' : ''}`],
    ['longest canvas', `${maxPositions} tokens`],
    [
      'special tokens',
      `mask ${id(tokens.maskTokenId)}, eos ${ids(tokens.eosTokenIds)}, pad ${id(tokens.padTokenId)}, bos ${id(tokens.bosTokenId)}`,
    ],
    ...(isCausal(architecture)
      ? []
      : [['default steps', String(generation.steps)] satisfies [string, string]]),
  ];
}

function describeAttention(architecture: Architecture): string {
  const { heads, keyValueHeads, headDim } = (architecture.layers[0] as LayerDescription).attention;
  const block = blockOf(architecture);
  const kind = block === 0 ? 'bidirectional' : block === 1 ? 'causal' : `bidirectional in blocks of ${block}`;
  return `${heads} query and ${keyValueHeads} key/value heads of ${headDim}, ${kind}`;
}

function describeMlps(architecture: Architecture): [string, string][] {
  const widths = architecture.layers.flatMap(({ mlp }) => (mlp.kind === 'dense' ? [mlp.width] : []));
  const [experts] = expertsOf(architecture);
  const facts: [string, string][] = [];
  if (experts !== undefined) {
    const shared = experts.sharedWidth > 0 ? `, and a shared one of width ${experts.sharedWidth}` : '';
    facts.push([
      'experts',
      `${experts.experts} of width ${experts.width}, ${experts.expertsPerToken} for each token${shared}`,
    ]);
  }
  if (widths.length > 0) {
    const where =
      experts === undefined ? '' : `, in ${widths.length} of ${architecture.layers.length} layers`;
    facts.push(['dense MLP', `width ${widths[0]}${where}`]);
  }
  return facts;
}

/** The architecture as JSON, with layers that are alike together, and their number. */
export function architectureObject(architecture: Architecture): object {
  const layers: { count: number; layer: LayerDescription }[] = [];
  for (const layer of architecture.layers) {
    const last = layers.at(-1);
    if (last !== undefined && last.layer.mlp === layer.mlp && last.layer.attention === layer.attention) {
      last.count++;
    } else layers.push({ count: 1, layer });
  }
  return { ...architecture, layers: layers.map(({ count, layer }) => ({ count, ...layer })) };
}
