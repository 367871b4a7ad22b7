import { readFileSync } from 'node:fs';
import { createServer } from '../../lib/server';
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

// What the page exports and shows besides a run: an address, code, a picture, and a race.

describeInBrowser('the page', () => {
  const served = serveEmbedded();
  let seen: Visit;

  beforeEach(async () => {
    seen = await visit(served.browser, served.url);
    await seen.page.getByLabel('Pace').selectOption('live');
  });
  afterEach(async () => {
    await seen.page.context().close();
    expect(seen.errors).toEqual([]);
  });
  const prompt = () => seen.page.locator('#prompt');

  test('keeps its state in the address, which restores it elsewhere', async () => {
    const { page } = seen;
    await prompt().fill('Reverse window & door?');
    await page.getByLabel('Tokens, at most').fill('20');
    await page.getByLabel(/^Schedule/).selectOption('threshold');
    await page.getByLabel(/^Threshold/).fill('80');
    await page.getByLabel(/^Seed/).fill('7');
    await page.getByRole('checkbox', { name: /^Race/ }).check();
    const address = page.url();
    expect(address).toMatch(/#mode=prompt&prompt=Reverse\+window\+%26\+door%3F&tokens=20/);
    const other = await visit(served.browser, address);
    expect(await other.page.locator('#prompt').inputValue()).toBe('Reverse window & door?');
    expect(await other.page.getByLabel('Tokens, at most').inputValue()).toBe('20');
    expect(await other.page.getByLabel(/^Threshold/).inputValue()).toBe('80');
    expect(await other.page.getByLabel(/^Seed/).inputValue()).toBe('7');
    expect(await other.page.getByRole('checkbox', { name: /^Race/ }).isChecked()).toBe(true);
    expect(other.page.url()).toBe(address);
    await other.page.context().close();
  });

  test('back and forward go from run to run', async () => {
    const { page } = seen;
    await prompt().fill('Reverse lantern');
    await unmask(page);
    await prompt().fill('Reverse w');
    await prompt().fill('Reverse window');
    await unmask(page);
    await page.goBack();
    expect(await prompt().inputValue()).toBe('Reverse lantern');
    await page.goForward();
    expect(await prompt().inputValue()).toBe('Reverse window');
    await page.getByRole('radio', { name: 'Sudoku' }).check();
    const given = await page.getByRole('gridcell').allTextContents();
    await page.reload();
    await page.getByRole('gridcell').first().waitFor();
    expect(await page.getByRole('gridcell').allTextContents()).toEqual(given);
    expect(page.url()).toContain(`puzzle=${given.map((digit) => digit || '0').join('')}`);
  });

  test('warns of what the embedded model cannot know, and of nothing else', async () => {
    const { page } = seen;
    const warning = page.locator('#warning');
    expect(await warning.textContent()).toBe('');
    await prompt().fill('Why is the sky blue?');
    expect(await warning.textContent()).toMatch(/^The embedded model is very small/);
    await keep(page, 'warning');
    await page.getByRole('button', { name: 'Reverse lantern' }).click();
    expect(await warning.textContent()).toBe('');
    const named = await createServer(served.model, { modelName: 'nano-of-somebody' });
    const other = await visit(served.browser, await named.listen({ port: 0 }));
    await other.page.locator('#prompt').fill('Why is the sky blue?');
    expect(await other.page.locator('#warning').textContent()).not.toBe('');
    await other.page.context().close();
    await named.close();
  });

  test('hides what lies behind the end of the text', async () => {
    const { page } = seen;
    await unmask(page);
    expect(await count(page, 'masked')).toBe(0);
    const visible = page.locator('#canvas .token[data-state]:not([data-state=fixed]):visible');
    // A space, two digits, the end.
    expect(await visible.count()).toBe(4);
    await page.locator('#canvas').focus();
    await page.keyboard.press('End');
    expect(await page.locator('#inspector').textContent()).toMatch(/^<\|im_end\|>: committed/);
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('#inspector').textContent()).toMatch(/^<\|im_end\|>: committed/);
  });

  test('tells what bars and line are', async () => {
    const { page } = seen;
    expect(await page.locator('.key').textContent()).toMatch(
      /tokens committed by each step\s+doubt left after it/,
    );
  });

  test('races the schedule against one token a step', async () => {
    const { page, requests } = seen;
    await page.getByRole('checkbox', { name: /^Race/ }).check();
    await unmask(page);
    expect(requests).toHaveLength(2);
    expect(requests[1]).toMatchObject({ prompt: 'What is 47+38?', schedule: 'entropy', steps: 62 });
    const passes = async (lane: string) =>
      Number.parseInt((await page.locator(`${lane} .lane-head b`).textContent()) ?? '', 10);
    expect(await passes('#lane')).toBeLessThan(8);
    expect(await passes('#rival')).toBe(31);
    expect(await page.locator('#about').textContent()).toContain('one token a step: 31 steps');
    // Both lanes are on one clock.
    await page.getByRole('slider').press('Home');
    await page.getByRole('slider').press('ArrowRight');
    expect([await passes('#lane'), await passes('#rival')]).toEqual([1, 1]);
    expect(await page.locator('#rival [data-state=fresh]').count()).toBe(1);
    await keep(page, 'race');
    const ids = await page.locator('[id]').evaluateAll((elements) => elements.map(({ id }) => id));
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
    await page.getByRole('checkbox', { name: /^Race/ }).uncheck();
    await unmask(page);
    expect(await page.locator('#rival').isVisible()).toBe(false);
  });

  test('saves a run, or a race, as an animated picture', async () => {
    const { page } = seen;
    const save = async () => {
      const download = page.waitForEvent('download');
      await page.getByRole('button', { name: 'Save as animated SVG' }).click();
      return readFileSync(await (await download).path(), 'utf8');
    };
    await unmask(page);
    const one = await save();
    expect(one).toMatch(
      /^<svg [^>]*>\n<title>A text unmasking step by step\. All within an entropy of 0\.01 nats: \d pass|forward/,
    );
    expect(one).toContain('@keyframes');
    await page.getByRole('radio', { name: 'Sudoku' }).check();
    await page.getByRole('checkbox', { name: /^Race/ }).check();
    await unmask(page);
    const two = await save();
    expect(two).toContain('One token a step: 18 forward passes');
    const shown = await served.browser.newPage();
    // A browser parses it as XML, and would report errors.
    const type = await shown.evaluate(
      `new DOMParser().parseFromString(${JSON.stringify(two)}, 'image/svg+xml').documentElement.nodeName`,
    );
    expect(type).toBe('svg');
    await shown.close();
  });

  test('says the settings as code, which follows them', async () => {
    const { page } = seen;
    await inEqualShares(page, 9);
    await page.locator('#code summary').click();
    const code = page.locator('#code-text');
    await page.locator('#code-text', { hasText: 'curl' }).waitFor();
    expect(await code.textContent()).toContain(`curl -N ${served.url}/v1/denoise`);
    await page.getByRole('radio', { name: 'Command line' }).check();
    expect(await code.textContent()).toContain('./rnd1 generate');
    expect(await code.textContent()).toContain('--steps 9');
    await page.getByLabel('Steps', { exact: true }).fill('8');
    expect(await code.textContent()).toContain('--steps 8');
    await page.getByRole('radio', { name: 'JavaScript' }).check();
    expect(await code.textContent()).toContain("model.generate('What is 47+38?'");
    await keep(page, 'code');
    await page.getByLabel('Steps', { exact: true }).fill('none');
    expect(await code.textContent()).toBe('');
    expect(await page.locator('#code-help').textContent()).toContain('must be a number');
    await page.getByLabel('Steps', { exact: true }).fill('8');
    await page.getByRole('button', { name: 'Copy code' }).click();
    await page.locator('#code-copy', { hasText: 'Copied' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(await code.textContent());
  });
});
