import type { Frame, Prediction, Start } from '../../../../lib/server/page/contract';
import { Recording } from '../../../../lib/server/page/recording.js';

export const prediction = (position: number, text: string, confidence = 1, entropy = 0): Prediction => ({
  position,
  id: 65 + position,
  text,
  confidence,
  entropy,
});

export const start = (texts: readonly (string | null)[], seed: number | string = 7): Start => ({
  id: 'run',
  model: 'nano',
  seed,
  steps: 4,
  tokens: texts.map((text, position) => ({
    position,
    id: 65 + position,
    text: text ?? '<|mask|>',
    masked: text === null,
  })),
});

export const frame = (
  step: number,
  committed: readonly Prediction[],
  provisional: readonly Prediction[],
  elapsed_ms = step * 100,
): Frame => ({
  step,
  masked: provisional.length,
  committed: [...committed],
  edited: [],
  provisional: [...provisional],
  elapsed_ms,
});

/** `A:` and four masks: `7` and the pad in step 1, `4` in step 3 (step 2 commits nothing), the end in step 4. */
export function record(): Recording {
  const recording = new Recording(start(['A', ':', null, null, null, null]));
  const [four, seven] = [prediction(2, '4', 0.6, 0.5), prediction(3, '7', 0.95, 0.2)];
  const [end, pad] = [prediction(4, '<|im_end|>', 0.9, 0.1), prediction(5, '<|endoftext|>')];
  recording.add(frame(1, [seven, pad], [prediction(2, '9', 0.4, 0.75), end]));
  recording.add(frame(3, [four], [end]));
  recording.add(frame(4, [end], []));
  return recording;
}
