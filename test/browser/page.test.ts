import {
  count,
  describeInBrowser,
  inEqualShares,
  keep,
  serveEmbedded,
  unmask,
  type Visit,
  visit,
} from './browser';

// The page of `rnd1 serve`, with the embedded model.

describeInBrowser('the page', () => {
  const served = serveEmbedded();
  let seen: Visit;

  beforeEach(async () => {
    seen = await visit(served.browser, served.url);
  });
  afterEach(async () => {
    await seen.page.context().close();
    expect(seen.errors).toEqual([]);
    expect([...seen.origins]).toEqual([served.url]);
  });

  test('answers a prompt, and shows what it took', async () => {
    const { page } = seen;
    expect(await page.locator('#model').textContent()).toBe('nano');
    await page.getByLabel('Prompt', { exact: true }).last().fill('What is 47+38?');
    await inEqualShares(page, 16);
    await unmask(page);
    expect(await page.locator('#result').textContent()).toBe('85');
    expect(await page.locator('#about').textContent()).toMatch(/^31 tokens in 16 steps, [\d.]+ m?s$/);
    expect(await page.locator('#canvas').textContent()).toContain('Question: What is 47+38?');
    expect(await count(page, 'masked')).toBe(0);
    const figure = (name: string) => page.locator(`[data-figure=${name}]`).textContent();
    expect(await figure('step')).toBe('16 of 16');
    expect(await figure('written')).toBe('31 of 31');
    expect(await figure('perStep')).toBe('1.9');
    expect(Number((await figure('perSecond'))?.replace(',', ''))).toBeGreaterThan(0);
    expect(await page.locator('#announcer').textContent()).toMatch(/^Done: 85\. 31 tokens in 16 steps/);
    await keep(page, 'prompt');
  });

  test('the steps can be gone through, back and forth', async () => {
    const { page } = seen;
    await page.getByLabel('Pace').selectOption('live');
    await inEqualShares(page, 16);
    await unmask(page);
    const slider = page.getByRole('slider', { name: 'Step' });
    await slider.focus();
    await page.keyboard.press('Home');
    expect([await count(page, 'masked'), await count(page, 'fresh')]).toEqual([31, 0]);
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('ArrowRight');
    const fresh = await count(page, 'fresh');
    expect(fresh).toBeGreaterThan(0);
    expect(await count(page, 'masked')).toBe(31 - fresh - (await count(page, 'written')));
    expect(await page.locator('#lane .guess').count()).toBe(await count(page, 'masked'));
    expect(await slider.getAttribute('aria-valuetext')).toMatch(/^Step 2 of 16, \d of 31 written: +░/);
    await keep(page, 'scrubbed');
    await page.getByRole('button', { name: 'Step back' }).click();
    expect(await page.locator('[data-figure=step]').textContent()).toBe('1 of 16');
    await page.getByRole('checkbox', { name: 'Guesses' }).uncheck();
    expect(await page.locator('.scroll .guess').count()).toBe(0);
    // A click on the chart jumps to a step.
    await page.locator('#chart').click();
    expect(await page.locator('[data-figure=step]').textContent()).toBe('8 of 16');
    await page.getByLabel('Pace').selectOption('brisk');
    await page.getByRole('button', { name: 'Play' }).click();
    await page.getByRole('button', { name: 'Pause' }).waitFor();
    await page.getByRole('button', { name: 'Play' }).waitFor();
    expect(await page.locator('[data-figure=step]').textContent()).toBe('16 of 16');
    expect(await page.locator('#result').textContent()).toBe('85');
  });

  test('each token tells its scores', async () => {
    const { page } = seen;
    await page.getByLabel('Pace').selectOption('live');
    await unmask(page);
    await page.locator('.scroll .token', { hasText: /^8$/ }).last().hover();
    expect(await page.locator('#inspector').textContent()).toMatch(
      /^“8”: committed by step \d+, [\d.]+ % sure, entropy [\d.]+ nats$/,
    );
    await page.getByRole('slider').press('Home');
    await page.getByRole('slider').press('ArrowRight');
    await page.locator('.scroll .guess').first().hover();
    expect(await page.locator('#inspector').textContent()).toMatch(/^Masked, perhaps “.+”: [\d.]+ % sure/);
  });

  test('settings are sent, and the same seed gives the same text', async () => {
    const { page, requests } = seen;
    await page.getByLabel('Pace').selectOption('live');
    await page.getByLabel('Tokens, at most').fill('20');
    await page.getByLabel('Steps', { exact: true }).fill('5');
    await page.getByLabel(/^Schedule/).selectOption('threshold');
    await page.getByLabel(/^Threshold/).fill('80');
    await page.getByLabel(/^Length of a block/).fill('10');
    await page.getByLabel(/^Seed/).fill('5');
    await unmask(page);
    // Without a temperature nothing is drawn at random: no seed is sent, shown or offered again.
    expect(requests.pop()?.seed).toBeUndefined();
    expect(await page.locator('#about').textContent()).not.toContain('seed');
    expect(await page.locator('#again').textContent()).toBe('Again');
    await page.getByLabel(/^Seed/).fill('');
    await page.getByLabel(/^Temperature/).fill('4');
    await unmask(page);
    const first = await page.locator('#result').textContent();
    expect(requests[0]).toEqual({
      prompt: 'What is 47+38?',
      max_tokens: 20,
      steps: 5,
      schedule: { type: 'blocks', length: 10, schedule: { type: 'threshold', tau: 0.8 } },
      temperature: 4,
    });
    const seed = /seed (\d+)/.exec((await page.locator('#about').textContent()) ?? '')?.[1];
    await page.getByRole('button', { name: 'Again, same seed' }).click();
    await page.locator('#result').waitFor({ state: 'visible' });
    expect(String(requests[1]?.seed)).toBe(seed);
    expect(await page.locator('#result').textContent()).toBe(first);
    // At this temperature, another seed gives another text.
    await page.getByLabel(/^Seed/).fill('1');
    await unmask(page);
    expect(await page.locator('#result').textContent()).not.toBe(first);
  });

  test('fills holes, and copies the text', async () => {
    const { page, requests } = seen;
    await page.getByRole('radio', { name: 'Text with holes' }).check();
    await page.getByLabel('Text with holes').last().fill('Question: Reverse di___mo___d\nAnswer: dnomaid');
    await page.getByLabel('Tokens in each hole').fill('1');
    expect(await count(page, 'masked')).toBe(2);
    await unmask(page);
    expect(requests[0]).toMatchObject({ tokens_per_hole: 1 });
    const text = 'Question: Reverse diamond\nAnswer: dnomaid';
    expect(await page.locator('#result').textContent()).toBe(text);
    await keep(page, 'holes');
    await page.getByRole('button', { name: 'Copy' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(text);
  });

  test.each(['4 × 4', '6 × 6'])('solves a Sudoku of %s', async (size) => {
    const { page } = seen;
    await page.getByRole('radio', { name: 'Sudoku' }).check();
    await page.getByRole('button', { name: `New puzzle, ${size}`, exact: true }).click();
    const cells = page.getByRole('gridcell');
    expect(await cells.count()).toBe(Number(size[0]) ** 2);
    const empty = await count(page, 'masked');
    expect(await page.getByLabel('Steps', { exact: true }).inputValue()).toBe(String(empty));
    const given = await page.locator('[data-state=fixed][role=gridcell]').allTextContents();
    await page.getByLabel('Pace').selectOption('live');
    await unmask(page);
    // The model is nearly always right; the page must report correctly whether it is.
    const digits = await cells.allTextContents();
    const solved =
      [...digits].sort().join('') === digits.map((_, i) => 1 + Math.floor(i / Number(size[0]))).join('');
    const clashing = await page.locator('.board .clash').count();
    expect(await page.locator('#result').textContent()).toBe(
      solved && clashing === 0 ? 'Solved' : 'Not solved: some digits clash',
    );
    expect(await page.locator('[data-state=fixed][role=gridcell]').allTextContents()).toEqual(given);
    await page.getByRole('slider').press('Home');
    expect(await count(page, 'masked')).toBe(empty);
    for (let step = 0; step < empty / 2; step++) await page.getByRole('slider').press('ArrowRight');
    await keep(page, `sudoku-${size[0]}`);
  });

  test('what the server does not accept is told in its words', async () => {
    const { page, errors } = seen;
    await page.getByLabel('Tokens, at most').fill('5000');
    await page.getByRole('button', { name: 'Unmask' }).click();
    const alert = page.locator('#failure');
    await alert.getByText('The server did not accept this.').waitFor();
    expect(await alert.textContent()).toContain('256');
    await keep(page, 'refused');
    // Chromium logs every response of this kind as an error.
    expect(errors.splice(0).join()).toMatch(/^Failed to load resource: .* 400/);
    await page.getByLabel('Tokens, at most').fill('31');
    await unmask(page);
    expect(await alert.textContent()).toBe('');
  });

  test('what cannot be meant is not sent', async () => {
    const { page, requests } = seen;
    const steps = page.getByLabel('Steps', { exact: true });
    await steps.fill('1.5');
    await page.getByRole('button', { name: 'Unmask' }).click();
    expect(await page.locator('#problem').textContent()).toBe(
      'The number of steps must be a whole number, not 1.5.',
    );
    expect(await steps.getAttribute('aria-invalid')).toBe('true');
    expect(await steps.evaluate('document.activeElement.name')).toBe('steps');
    await steps.fill('4');
    expect(await page.locator('#problem').textContent()).toBe('');
    expect(requests).toEqual([]);
  });

  test('what is typed stays text', async () => {
    const { page } = seen;
    const markup = '<img src=x onerror=alert(1)><b>&amp;';
    await page.getByLabel('Prompt', { exact: true }).last().fill(markup);
    await page.getByLabel('Pace').selectOption('live');
    await unmask(page);
    expect(await page.locator('#canvas').textContent()).toContain(markup);
    expect(await page.locator('#canvas img, #canvas b').count()).toBe(0);
  });
});
