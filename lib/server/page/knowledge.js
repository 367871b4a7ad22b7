/** @import { Form } from './request.js' */

/** Length of the embedded model's training texts, in tokens. */
const taught = 64;

const advice =
  'The embedded model is very small. It knows sums and differences below 100, such as “What is 47+38?”, ' +
  '“Sort z k m q” with three to eight letters, “Reverse lantern” with three to nine, and small Sudokus.';

/**
 * The warning for a text that the embedded model does not know; empty if it does.
 *
 * @param {Pick<Form, 'mode' | 'prompt' | 'text' | 'maxTokens'>} form
 */
export function warningFor({ mode, prompt, text, maxTokens }) {
  if (mode === 'sudoku') return '';
  const known = mode === 'prompt' ? isTask(prompt) : isTaskWithHoles(text);
  if (!known) return `${advice} Of anything else it makes nonsense.`;
  const length = 'Question: \nAnswer:'.length + prompt.length + Number(maxTokens || 0);
  if (mode === 'prompt' && length > taught + 16) {
    return `The embedded model was trained on texts of ${taught} characters: with this much room its answer may be wrong. Try 31 tokens.`;
  }
  return '';
}

/** Whether a prompt is one of the tasks. @param {string} prompt */
export function isTask(prompt) {
  const sum = /^What is (\d{1,2})([+-])(\d{1,2})\?$/.exec(prompt);
  if (sum !== null) return sum[2] === '+' || Number(sum[1]) >= Number(sum[3]);
  return /^Sort [a-z]( [a-z]){2,7}$/.test(prompt) || /^Reverse [a-z]{3,9}$/.test(prompt);
}

/** Whether a text can be one of the tasks with its answer, whatever its holes are filled with. @param {string} text */
function isTaskWithHoles(text) {
  const tasks = [
    /^What is [\d_+-]+\?\nAnswer: [\d_]+$/,
    /^Sort [a-z_]+( [a-z_]+){1,7}\nAnswer: [a-z_ ]+$/,
    /^Reverse [a-z_]{3,}\nAnswer: [a-z_]+$/,
  ];
  const [, task] = /^Question: ([\s\S]*)$/.exec(text.trimEnd()) ?? [];
  return (task !== undefined && tasks.some((known) => known.test(task))) || /^Sudoku [46]x[46]\n/.test(text);
}
