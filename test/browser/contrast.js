// Evaluated in the page: the texts whose contrast with their background is below 4.5 (WCAG 2.2, 1.4.3).
(() => {
  const min = 4.5;
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  /** @param {string} colour @returns {number[]} */
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([red, green, blue]) => {
    const linear = [red, green, blue].map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  /** The colour behind an element: its background over those of its ancestors, up to an opaque one. */
  const behind = (element) => {
    const layers = [];
    for (let node = element; node !== null; node = node.parentElement) {
      layers.unshift(rgba(getComputedStyle(node).backgroundColor));
      if (layers[0][3] === 255) break;
    }
    return layers.reduce(
      (below, layer) => below.map((value, i) => value + ((layer[i] - value) * layer[3]) / 255),
      [255, 255, 255],
    );
  };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    const words = [...element.childNodes]
      .filter((node) => node.nodeType === Node.TEXT_NODE)
      .map((node) => node.textContent)
      .join(' ')
      .replaceAll('\u200B', '')
      .trim();
    // Masks have no text, guesses are also described in words, and disabled elements may be faint.
    if (words === '' || element.closest('.guess, :disabled, .unseen, option, noscript')) continue;
    if (!element.checkVisibility({ visibilityProperty: true })) continue;
    const one = luminance(rgba(getComputedStyle(element).color));
    const other = luminance(behind(element));
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < min) poor.push(`${words.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return poor;
})();
