import { keptPrecision } from '../../../../lib/checkpoint/gguf/kept-precision';
import type { BlockType, NativeTensor } from '../../../../types/native';

const matrix = (role: string, blocks?: BlockType): NativeTensor => ({
  ...{ role, name: role, file: 0, offset: 0, dtype: 'bf16', shape: [32, 32] },
  ...(blocks && { blocks }),
});

test('matrices that are multiplied together have one format', () => {
  const layer = 'layers.0.';
  const kept = keptPrecision([
    matrix(`${layer}attention.query`, 'Q4_K'),
    matrix(`${layer}attention.key`, 'Q4_K'),
    matrix(`${layer}attention.value`, 'Q6_K'),
    matrix(`${layer}attention.output`, 'Q4_K'),
    matrix(`${layer}mlp.experts.0.gate`, 'Q4_0'),
    matrix(`${layer}mlp.experts.0.up`, 'Q4_0'),
    matrix(`${layer}mlp.experts.0.down`, 'Q6_K'),
    matrix(`${layer}mlp.experts.1.gate`, 'Q4_0'),
    matrix(`${layer}mlp.experts.1.up`, 'Q4_0'),
    matrix(`${layer}mlp.experts.1.down`, 'Q6_K'),
    matrix('layers.1.mlp.gate', 'Q4_K'),
    matrix('layers.1.mlp.up'),
    matrix('layers.2.mlp.gate', 'Q5_K'),
    matrix('layers.2.mlp.up', 'Q5_0'),
    matrix('layers.2.mlp.down', 'Q5_K'),
    matrix('layers.3.mlp.gate', 'Q5_K'),
    matrix('layers.3.mlp.up', 'Q4_K'),
    matrix('head'),
  ]);
  expect(Object.fromEntries([...kept].map(([role, { dtype }]) => [role, dtype]))).toEqual({
    'layers.0.attention.query': 'q8',
    'layers.0.attention.key': 'q8',
    'layers.0.attention.value': 'q8',
    'layers.0.attention.output': 'q4',
    'layers.0.mlp.experts.0.gate': 'q4',
    'layers.0.mlp.experts.0.up': 'q4',
    'layers.0.mlp.experts.0.down': 'q8',
    'layers.0.mlp.experts.1.gate': 'q4',
    'layers.0.mlp.experts.1.up': 'q4',
    'layers.0.mlp.experts.1.down': 'q8',
    'layers.1.mlp.gate': 'q8',
    'layers.1.mlp.up': 'q8',
    'layers.2.mlp.gate': 'q5',
    'layers.2.mlp.up': 'q5',
    'layers.2.mlp.down': 'q5',
    'layers.3.mlp.gate': 'q8',
    'layers.3.mlp.up': 'q8',
  });
  expect([...kept.values()].every(({ group }) => group === 32)).toBe(true);
});
