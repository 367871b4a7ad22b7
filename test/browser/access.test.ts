import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { RND1 } from '../../lib';
import { createServer, type Server } from '../../lib/server';
import { count, describeInBrowser, keep, launch, overflows, unmask, visit } from './browser';

// For whoever has no mouse, a small screen, a dark room, or a key to show.

const contrast = readFileSync(join(__dirname, 'contrast.js'), 'utf8');

describeInBrowser('the page is there for everyone', () => {
  let browser: Browser;
  let model: RND1;
  let server: Server;
  let url = '';

  beforeAll(async () => {
    [browser, model] = await Promise.all([launch(), RND1.load()]);
    server = await createServer(model);
    url = await server.listen({ port: 0 });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    await model?.dispose();
  });

  test('by keyboard alone', async () => {
    const { page, errors } = await visit(browser, url);
    const focused = () => page.evaluate<string>('document.activeElement.id || document.activeElement.name');
    /** Tab until something is reached; everything on the way must show that it has the focus. */
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
    const { page, errors } = await visit(browser, url, { colorScheme, reducedMotion: 'reduce' });
    expect(await page.evaluate(contrast)).toEqual([]);
    await page.getByLabel(/^Temperature/).fill('3');
    await page.getByLabel(/^Seed/).fill('5');
    await unmask(page);
    await page.getByRole('slider').press('ArrowLeft');
    expect(await page.evaluate(contrast)).toEqual([]);
    // Tokens of several classes stand there.
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

  test('without motion the result is there at once', async () => {
    const { page } = await visit(browser, url, { reducedMotion: 'reduce' });
    expect(await page.getByLabel('Pace').inputValue()).toBe('live');
    await unmask(page);
    const duration = 'getComputedStyle(document.querySelector(".scroll .token")).transitionDuration';
    expect(await page.evaluate(duration)).toBe('0s');
    await page.context().close();
  });

  test.each([320, 360])('on a phone, %d pixels wide', async (width) => {
    const { page, errors } = await visit(browser, url, {
      viewport: { width, height: 740 },
      isMobile: true,
      hasTouch: true,
      reducedMotion: 'reduce',
    });
    expect(await overflows(page)).toBe(false);
    await page.getByRole('button', { name: 'Unmask' }).tap();
    await page.locator('#result').waitFor();
    expect(await overflows(page)).toBe(false);
    // The canvas has come to where one looks.
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
    // Everything that is tapped is large enough for it.
    const small = await page
      .locator('.transport button, .actions button, #copy')
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
    const guarded = await createServer(model, { apiKeys: ['a-long-random-word'] });
    try {
      const { page, errors, requests } = await visit(browser, await guarded.listen({ port: 0 }));
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
