import type { Call } from './call';
import type { Context } from './context';
import { asApiError } from './errors';
import { event } from './event-stream';
import { seedJSON } from './fields';
import type { Leave } from './queue';
import type { TokenTexts } from './token-texts';
import type { Frame, Result, Work } from './work';

/** A prediction at a position, as `frame` events have it. */
interface Prediction {
  readonly position: number;
  readonly id: number;
  readonly text: string;
  /** Probability of the token. */
  readonly confidence: number;
  /** In nats. */
  readonly entropy: number;
}

/** The events of one canvas: `start`, a `frame` for every step that commits something, `end` or `error`. */
export async function* frameEvents(
  context: Context,
  call: Call,
  work: Work,
  entering: Promise<Leave>,
): AsyncGenerator<string, void> {
  const { metrics, settings, texts } = context;
  const milliseconds = () => Math.round(call.elapsed * 1000) / 1000;
  const { initial, frames, promptTokens, seed } = work;
  try {
    yield event(
      {
        id: call.id,
        model: settings.modelName,
        seed: seedJSON(seed),
        steps: initial.steps,
        tokens: [...initial.tokens].map((id, position) => ({
          position,
          id,
          text: position === 0 ? texts.atStart(id) : texts.of(id),
          masked: initial.masked[position] === 1,
        })),
      },
      'start',
    );
    const leave = await entering;
    try {
      for (;;) {
        const next = await frames.next();
        if (next.done) {
          const { value } = next;
          const text = 'text' in value ? value.text : null;
          const completionTokens = lengthOf(value, work.ends);
          const steps = value.forwards;
          metrics.onAnswer({ promptTokens, completionTokens, steps });
          context.answered(call, 'text' in initial ? [initial.text] : [], text === null ? [] : [text]);
          const usage = { prompt_tokens: promptTokens, completion_tokens: completionTokens, steps };
          yield event({ text, finish_reason: value.finishReason, usage, elapsed_ms: milliseconds() }, 'end');
          return;
        }
        yield event({ ...frameOf(next.value, texts), elapsed_ms: milliseconds() }, 'frame');
      }
    } finally {
      leave();
    }
  } catch (error) {
    context.failed(call, error);
    yield event({ error: asApiError(error).body }, 'error');
  } finally {
    await frames.return(undefined as never);
  }
}

function frameOf(frame: Frame, texts: TokenTexts) {
  const { step, tokens, masked, committed, predicted, confidence, entropy } = frame;
  const prediction = (position: number): Prediction => {
    const id = predicted[position] as number;
    return {
      position,
      id,
      text: texts.of(id),
      confidence: Math.exp(confidence[position] as number),
      entropy: entropy[position] as number,
    };
  };
  const provisional: Prediction[] = [];
  for (let position = 0; position < tokens.length; position++) {
    if (masked[position] === 1) provisional.push(prediction(position));
  }
  return { step, masked: provisional.length, committed: Array.from(committed, prediction), provisional };
}

/** Tokens before the end of the text. */
function lengthOf({ tokens, positions }: Result, ends: ReadonlySet<number>): number {
  const end = positions.findIndex((position) => ends.has(tokens[position] as number));
  return end === -1 ? positions.length : end;
}
