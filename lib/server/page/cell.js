import { classOf, nats, percent } from './confidence.js';
import { isSpecial } from './recording.js';

/** @import { Cell } from './recording.js' */

/** Lines may break behind what is no text, masks above all. */
const breakable = '\u200B';

/** What stands on a mask. */
export const blank = `\u00A0${breakable}`;

/**
 * What a token looks like on the canvas: ends and pads are a dot, a line break shows itself.
 *
 * @param {string} text
 */
export function glyphsOf(text) {
  if (isSpecial(text)) return `·${breakable}`;
  // Part of a character whose other bytes are other tokens.
  return text.replaceAll('\n', '↵\n').replaceAll('\uFFFD', '◌');
}

/** The same without breaking the line: a guess must not move what is certain. @param {string} text */
export const guessGlyphsOf = (text) =>
  glyphsOf(text).replaceAll('\n', '').replaceAll(/\s/g, '\u00A0').concat(breakable);

/** A token in a sentence. @param {string} text */
export function nameOf(text) {
  if (text === '') return 'nothing';
  if (isSpecial(text)) return text;
  const shown = text.replaceAll('\n', '↵').replaceAll(' ', '␣').replaceAll('\uFFFD', '◌');
  return `“${shown}”`;
}

/**
 * A cell in words: what the inspector shows, and what a screen reader says.
 *
 * @param {Cell} cell
 */
export function describe({ state, text, commit, guess }) {
  if (commit !== null) {
    const scores = `${percent(commit.confidence)} sure, entropy ${nats(commit.entropy)}`;
    return `${nameOf(text)}: committed by step ${commit.step}, ${scores}`;
  }
  if (state === 'fixed') return `${nameOf(text)}: given`;
  if (guess === null) return 'Masked';
  return `Masked, perhaps ${nameOf(guess.text)}: ${percent(guess.confidence)} sure, entropy ${nats(guess.entropy)}`;
}

/**
 * Puts a cell into an element, by classes and attributes that the style sheet knows.
 *
 * @param {HTMLElement} element
 * @param {Cell} cell
 * @param {boolean} guesses show them
 */
export function paint(element, cell, guesses) {
  const { state, text, commit, guess } = cell;
  const key = `${state} ${guesses} ${text} ${commit?.confidence} ${guess?.text} ${guess?.confidence}`;
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  element.dataset.state = state;
  const shownGuess = state === 'masked' && guesses ? guess : null;
  if (commit !== null) element.dataset.sure = String(classOf(commit.confidence));
  else if (shownGuess !== null) element.dataset.sure = String(classOf(shownGuess.confidence));
  else delete element.dataset.sure;
  element.classList.toggle('guess', shownGuess !== null);
  element.classList.toggle('special', isSpecial(text) && state !== 'masked');
  if (state === 'masked') element.textContent = shownGuess === null ? blank : guessGlyphsOf(shownGuess.text);
  else element.textContent = state === 'fixed' && !isSpecial(text) ? text : glyphsOf(text);
  element.ariaLabel = describe(cell);
}
