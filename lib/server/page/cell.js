import { classOf, nats, percent } from './confidence.js';
import { isSpecial } from './recording.js';

/** @import { Cell } from './recording.js' */

/** Lines may break after cells that are not text, such as masks. */
const breakable = '\u200B';

/** The text of a mask. */
export const blank = `\u00A0${breakable}`;

/**
 * A token as shown on the canvas: ends and pads are a dot, a line break has a visible sign.
 *
 * @param {string} text
 */
export function glyphsOf(text) {
  if (isSpecial(text)) return `·${breakable}`;
  // U+FFFD is a part of a character whose other bytes are in other tokens.
  return text.replaceAll('\n', '↵\n').replaceAll('\uFFFD', '◌');
}

/** The same without line breaks: a guess must not move committed tokens. @param {string} text */
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
 * Shows a cell in an element, by the style sheet's classes and attributes.
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
