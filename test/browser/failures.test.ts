import type { Browser } from 'playwright-core';
import { count, describeInBrowser, keep, launch, type Visit, visit } from './browser';
import { frame, type StandIn, standIn, start } from './stand-in';

// Servers that are slow, full, cut off, or gone.

describeInBrowser('the page, when the server', () => {
  let browser: Browser;
  let server: StandIn;
  let seen: Visit;

  beforeAll(async () => {
    [browser, server] = await Promise.all([launch(), standIn()]);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });
  beforeEach(async () => {
    seen = await visit(browser, server.url);
    await seen.page.getByLabel('Pace').selectOption('live');
  });
  afterEach(async () => {
    await seen.page.context().close();
  });

  const run = () => seen.page.getByRole('button', { name: 'Unmask' }).click();
  const alert = () => seen.page.locator('#failure');

  test('knows a schedule that the page has no words for, it is offered all the same', async () => {
    const { page, requests } = seen;
    await page.getByLabel(/^Schedule/).selectOption({ label: 'in waves of WIDTH' });
    await page.getByLabel('Parameter of the schedule').fill('3');
    await run();
    await alert().getByText('The server failed.').waitFor();
    expect(requests[0]).toMatchObject({ schedule: { type: 'waves', width: 3 } });
  });

  test.each(['the button', 'Escape'])('takes its time, %s stops the request', async (way) => {
    const { page, errors } = seen;
    const gone = new Promise<void>((resolve) => {
      server.answer = (reply, send) => {
        reply.raw.on('close', resolve);
        send('start', start('abc', 6));
        send('frame', frame('abc', 6, 1));
        send('frame', frame('abc', 6, 2));
      };
    });
    await run();
    await page.locator('[data-figure=step]', { hasText: '2 of 6' }).waitFor();
    expect(await page.evaluate('document.activeElement.id')).toBe('stop');
    expect(await count(page, 'masked')).toBe(4);
    await keep(page, 'running');
    if (way === 'Escape') await page.keyboard.press('Escape');
    else await page.getByRole('button', { name: 'Stop' }).click();
    await gone;
    await page.getByRole('button', { name: 'Unmask' }).waitFor();
    expect(await page.evaluate('document.activeElement.id')).toBe('run');
    expect(await page.locator('#result').textContent()).toBe('abcxx░░░░');
    expect(await page.locator('#announcer').textContent()).toBe('Stopped. 2 tokens in 2 steps, 100 ms');
    // The received frames can still be shown.
    await page.getByRole('slider').press('Home');
    expect(await count(page, 'masked')).toBe(6);
    expect(await alert().textContent()).toBe('');
    expect(errors).toEqual([]);
  });

  test('is full, it says when to come back', async () => {
    server.answer = (reply) =>
      reply
        .code(429)
        .header('retry-after', '3')
        .send({
          error: { message: '256 requests wait already', type: 'rate_limit_error', code: 'queue_full' },
        });
    await run();
    await alert().getByText('The server is busy.').waitFor();
    expect(await alert().textContent()).toContain('Try again in 3 s.');
    expect(await alert().textContent()).toContain('256 requests wait already');
    await keep(seen.page, 'busy');
  });

  test('fails in the middle, the reason is told and the rest kept', async () => {
    server.answer = (reply, send) => {
      send('start', start('abc', 3));
      send('frame', frame('abc', 3, 1));
      send('error', {
        error: { message: 'step 2 of 3: the logits hold NaN', type: 'server_error', code: 'not_finite' },
      });
      reply.raw.end();
    };
    await run();
    await alert().getByText('The run failed on the way.').waitFor();
    expect(await alert().textContent()).toContain('the logits hold NaN');
    expect(await count(seen.page, 'masked')).toBe(2);
    expect(await seen.page.locator('#result').textContent()).toBe('abcx░░');
    expect(seen.errors).toEqual([]);
  });

  test.each([
    ['ends', 'end'],
    ['breaks', 'destroy'],
  ] as const)('the stream %s early, that is told too', async (_, how) => {
    server.answer = async (reply, send) => {
      send('start', start('abc', 3));
      send('frame', frame('abc', 3, 1));
      await new Promise((resolve) => setTimeout(resolve, 100));
      reply.raw[how]();
    };
    await run();
    await alert().getByText('The connection ended early.').waitFor();
    expect(await count(seen.page, 'masked')).toBe(2);
    await seen.page.getByRole('button', { name: 'Unmask' }).waitFor();
  });

  test('is gone, it asks for it', async () => {
    await seen.page.route('**/v1/denoise', (route) => route.abort('connectionrefused'));
    await run();
    await alert().getByText('The server cannot be reached.').waitFor();
  });

  test('answers with a page of HTML, its status is told', async () => {
    server.answer = (reply) => reply.code(502).type('text/html').send('<h1>Bad gateway</h1>');
    await run();
    await alert().getByText('The server failed.').waitFor();
    expect(await alert().textContent()).toContain('502');
    expect(await alert().textContent()).not.toContain('gateway');
  });

  test('is asked anew while it still answers, the old run ends', async () => {
    let closed = 0;
    server.answer = (reply, send) => {
      reply.raw.on('close', () => closed++);
      send('start', start('old', 4));
      send('frame', frame('old', 4, 1));
    };
    await run();
    await seen.page.locator('[data-figure=step]', { hasText: '1 of 4' }).waitFor();
    server.answer = (reply, send) => {
      send('start', start('new', 1));
      send('frame', frame('new', 1, 1, '!', 0.2));
      send('end', {
        text: 'new!',
        finish_reason: 'length',
        usage: { prompt_tokens: 3, completion_tokens: 1, steps: 1 },
        elapsed_ms: 60,
      });
      reply.raw.end();
    };
    await seen.page.getByLabel('Prompt', { exact: true }).last().press('Control+Enter');
    await seen.page.locator('#result', { hasText: 'new!' }).waitFor();
    expect(closed).toBe(1);
    expect(await seen.page.locator('.scroll [data-state=fresh]').getAttribute('data-sure')).toBe('1');
    expect(seen.errors).toEqual([]);
  });
});
