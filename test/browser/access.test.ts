import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createServer } from '../../lib/server';
import {
  count,
  describeInBrowser,
  inEqualShares,
  keep,
  overflows,
  serveEmbedded,
  unmask,
  visit,
} from './browser';

// The page without a mouse, on small screens, in other colours, and with an API key.

const contrast = readFileSync(join(__dirname, 'contrast.js'), 'utf8');

describeInBrowser('the page is there for everyone', () => {
  const served = serveEmbedded();

  test('by keyboard alone', async () => {
    const settings = '#mode=prompt&prompt=What+is+47%2B38%3F&tokens=31&steps=16&schedule=entropy';
    const { page, errors } = await visit(served.browser, `${served.url}/${settings}`);
    const focused = () => page.evaluate<string>('document.activeElement.id || document.activeElement.name');
    /** Tabs until an element is reached; every element on the way must show its focus. */
    const tabTo = async (id: string) => {
      for (let i = 0; i < 40 && (await focused()) !== id; i++) {
        await page.keyboard.press('Tab');
        expect(await page.evaluate('document.activeElement.matches(":focus-visible")')).toBe(true);
      }
      expect(await focused()).toBe(id);
    };
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.className')).toBe('skip');
    await tabTo('mode');
    await page.keyboard.press('ArrowRight');
    expect(await page.getByRole('radio', { name: 'Text with holes' }).isChecked()).toBe(true);
    await page.keyboard.press('ArrowLeft');
    await tabTo('prompt');
    await page.keyboard.press('Control+A');
    await page.keyboard.type('Reverse window');
    await page.keyboard.press('Control+Enter');
    await page.locator('#result').waitFor();
    expect(await page.locator('#result').textContent()).toBe('wodniw');
    expect(await focused()).toBe('prompt');

    await tabTo('canvas');
    await page.keyboard.press('End');
    await page.keyboard.press('ArrowLeft');
    const active = await page.locator('#canvas').getAttribute('aria-activedescendant');
    const token = page.locator(`#${active}`);
    expect(await token.getAttribute('aria-selected')).toBe('true');
    expect(await token.getAttribute('aria-label')).toBe(await page.locator('#inspector').textContent());

    await tabTo('scrubber');
    await page.keyboard.press('Home');
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('[data-figure=step]').textContent()).toBe('1 of 16');
    await tabTo('play');
    await page.keyboard.press('Space');
    await page.getByRole('button', { name: 'Pause' }).waitFor();
    await tabTo('copy');
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(errors).toEqual([]);
    await page.context().close();
  });

  test.each(['light', 'dark'] as const)('%s, with contrast enough to read', async (colorScheme) => {
    const { page, errors } = await visit(served.browser, served.url, {
      colorScheme,
      reducedMotion: 'reduce',
    });
    expect(await page.evaluate(contrast)).toEqual([]);
    await inEqualShares(page, 16);
    // A question that the model is not sure about.
    await page.getByLabel('Prompt', { exact: true }).last().fill('Why is the sky blue?');
    await page.getByLabel(/^Temperature/).fill('1.5');
    await page.getByLabel(/^Seed/).fill('5');
    await unmask(page);
    await page.getByRole('slider').press('ArrowLeft');
    expect(await page.evaluate(contrast)).toEqual([]);
    // Tokens of several classes are visible.
    const classes = await page
      .locator('.scroll [data-state=written]')
      .evaluateAll((tokens) => [...new Set(tokens.map((token) => token.getAttribute('data-sure')))]);
    expect(classes.length).toBeGreaterThan(2);
    await keep(page, `temperature-${colorScheme}`);
    await page.getByRole('radio', { name: 'Sudoku' }).check();
    await unmask(page);
    expect(await page.evaluate(contrast)).toEqual([]);
    await keep(page, `sudoku-${colorScheme}`);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  test.each(['light', 'dark'] as const)('%s, with colours of the reader’s own', async (colorScheme) => {
    const { page, errors } = await visit(served.browser, served.url, {
      colorScheme,
      forcedColors: 'active',
      // Or colours would be measured while they change.
      reducedMotion: 'reduce',
    });
    await inEqualShares(page, 4);
    await unmask(page);
    await page.getByRole('slider').press('Home');
    for (const _ of 'ab') await page.getByRole('slider').press('ArrowRight');
    const style = (selector: string, name: string) =>
      page
        .locator(selector)
        .first()
        .evaluate((element, property) => {
          const view = element.ownerDocument.defaultView;
          return view?.getComputedStyle(element).getPropertyValue(property) ?? '';
        }, name);
    const text = await style('body', 'color');
    const ground = await style('html', 'background-color');
    expect(text).not.toBe(ground);
    // An SVG keeps its colours unless the style sheet changes them.
    expect(await style('#chart .now', 'fill')).toBe(text);
    expect(await style('#chart .future', 'fill')).toBe(ground);
    // A transparent border would be visible: only the chosen mode has one.
    expect(await style('.modes input:checked + span', 'border-bottom-color')).not.toBe(ground);
    expect(await style('.modes input:not(:checked) + span', 'border-bottom-color')).toBe(ground);
    // New, sure, guessed and given tokens can be distinguished without colours.
    expect(await style('#lane [data-state=fresh]', 'background-color')).not.toBe(ground);
    expect(await style('#lane .guess', 'font-style')).toBe('italic');
    expect(await style('.legend [data-sure="1"][data-state=written]', 'border-bottom-width')).toBe('4px');
    expect(await page.evaluate(contrast)).toEqual([]);
    await keep(page, `forced-${colorScheme}`);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  test.each(['light', 'dark'] as const)('%s, with more contrast for who asks for it', async (colorScheme) => {
    const { page } = await visit(served.browser, served.url, {
      colorScheme,
      contrast: 'more',
      reducedMotion: 'reduce',
    });
    await inEqualShares(page, 4);
    await unmask(page);
    await page.getByRole('slider').press('ArrowLeft');
    const poor = contrast.replace('const least = 4.5;', 'const least = 7;').replace("'.guess, ", "'");
    expect(poor).not.toBe(contrast);
    expect(await page.evaluate(poor)).toEqual([]);
    await keep(page, `more-contrast-${colorScheme}`);
    await page.context().close();
  });

  test.each([1920, 2560])('a screen of %d pixels is used', async (width) => {
    const { page } = await visit(served.browser, served.url, { viewport: { width, height: 1080 } });
    const box = await page.locator('.spread').boundingBox();
    expect(box?.width).toBeGreaterThan(width * 0.8);
    await page.getByRole('radio', { name: 'Sudoku' }).check();
    await unmask(page);
    await keep(page, `wide-${width}`);
    await page.context().close();
  });

  test('without motion the result is there at once', async () => {
    const { page } = await visit(served.browser, served.url, { reducedMotion: 'reduce' });
    expect(await page.getByLabel('Pace').inputValue()).toBe('live');
    await unmask(page);
    const duration = 'getComputedStyle(document.querySelector(".scroll .token")).transitionDuration';
    expect(await page.evaluate(duration)).toBe('0s');
    await page.context().close();
  });

  test.each([320, 360])('on a phone, %d pixels wide', async (width) => {
    const { page, errors } = await visit(served.browser, served.url, {
      viewport: { width, height: 740 },
      isMobile: true,
      hasTouch: true,
      reducedMotion: 'reduce',
    });
    expect(await overflows(page)).toBe(false);
    await page.getByRole('button', { name: 'Unmask' }).tap();
    await page.locator('#result').waitFor();
    expect(await overflows(page)).toBe(false);
    // The page has scrolled to the canvas.
    expect((await page.locator('.sheet').boundingBox())?.y).toBeLessThan(300);
    await page.locator('.scroll .token', { hasText: /^8$/ }).last().tap();
    expect(await page.locator('#inspector').textContent()).toMatch(/^“8”: committed/);
    await keep(page, `phone-${width}`);
    for (const kind of ['Text with holes', 'Sudoku']) {
      await page.getByRole('radio', { name: kind }).check();
      expect(await overflows(page)).toBe(false);
      await unmask(page);
      expect(await overflows(page)).toBe(false);
      await keep(page, `phone-${width}-${kind === 'Sudoku' ? 'sudoku' : 'holes'}`);
    }
    expect(await count(page, 'masked')).toBe(0);
    // All touch targets are large enough.
    const small = await page
      .locator('.transport button, .actions button, .result-actions button, .code summary, .race label')
      .evaluateAll((buttons) =>
        buttons
          .filter(
            (button) => button.getClientRects().length > 0 && button.getBoundingClientRect().height < 44,
          )
          .map((button) => button.id),
      );
    expect(small).toEqual([]);
    expect(errors).toEqual([]);
    await page.context().close();
  });

  test('with a key, which stays in the tab', async () => {
    const guarded = await createServer(served.model, { apiKeys: ['a-long-random-word'] });
    try {
      const { page, errors, requests } = await visit(served.browser, await guarded.listen({ port: 0 }));
      await page.getByLabel('API key').fill('wrong');
      await page.getByRole('button', { name: 'Use it' }).click();
      await page.getByLabel('API key').fill('a-long-random-word');
      await keep(page, 'key');
      await page.getByRole('button', { name: 'Use it' }).click();
      await page.getByText('nano', { exact: true }).waitFor();
      await unmask(page);
      expect(requests).toHaveLength(1);
      expect(await page.evaluate('Object.values(sessionStorage)')).toEqual(['a-long-random-word']);
      expect(await page.evaluate('localStorage.length')).toBe(0);
      expect(await page.context().cookies()).toEqual([]);
      expect(errors.filter((error) => !/401/.test(error))).toEqual([]);
      await page.context().close();
    } finally {
      await guarded.close();
    }
  });
});
