import { accessSync, constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { DiffusionLM } from '../../lib';
import { createServer, type Server } from '../../lib/server';

/** Screenshots of the latest run. */
const shots = join(__dirname, 'screenshots');

/** Path of Chromium: CHROMIUM, or Debian's path. null if there is none. */
export function findChromium(): string | null {
  const path = process.env.CHROMIUM ?? '/usr/bin/chromium';
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return null;
  }
}

/** `describe`, or without Chromium a skipped group with the reason; in CI an error. */
export function describeInBrowser(name: string, body: () => void): void {
  if (findChromium() !== null) {
    describe(name, body);
    return;
  }
  const reason = 'no Chromium: install Debian’s `chromium`, or set CHROMIUM to the path of one';
  if (process.env.CI) throw new Error(reason);
  console.warn(`SKIPPED: ${reason}`);
  describe.skip(`${name} (${reason})`, body);
}

export function launch(): Promise<Browser> {
  const root = process.getuid?.() === 0;
  return chromium.launch({
    executablePath: findChromium() as string,
    // Chromium's sandbox does not work for root, and the tests open only pages of this repository.
    args: root ? ['--no-sandbox'] : [],
  });
}

/** Shared by the tests of a group, and set before they start. */
export interface Served {
  readonly browser: Browser;
  readonly model: DiffusionLM;
  readonly url: string;
}

/** Opens a browser, the embedded model and its server before the tests of the group, and closes them afterwards. */
export function serveEmbedded(): Served {
  const served = {} as { browser: Browser; model: DiffusionLM; url: string };
  let server: Server;
  beforeAll(async () => {
    [served.browser, served.model] = await Promise.all([launch(), DiffusionLM.load()]);
    server = await createServer(served.model);
    served.url = await server.listen({ port: 0 });
  });
  afterAll(async () => {
    await served.browser?.close();
    await server?.close();
    await served.model?.dispose();
  });
  return served;
}

/** A page of a fresh browser profile that records events. */
export interface Visit {
  readonly page: Page;
  /** Errors in the console, and uncaught exceptions. */
  readonly errors: string[];
  /** Origins of all requests. */
  readonly origins: Set<string>;
  /** Bodies of requests to /v1/denoise. */
  readonly requests: Record<string, unknown>[];
}

/** Opens the page of a server and waits until it knows the model. */
export async function visit(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: new URL(url).origin });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const seen: Visit = { page, errors: [], origins: new Set(), requests: [] };
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') seen.errors.push(message.text());
  });
  page.on('pageerror', (error) => seen.errors.push(String(error)));
  page.on('request', (request) => {
    seen.origins.add(new URL(request.url()).origin);
    if (request.url().endsWith('/v1/denoise')) seen.requests.push(request.postDataJSON());
  });
  await page.goto(url);
  await page.getByRole('button', { name: 'Reverse lantern' }).or(page.getByRole('dialog')).first().waitFor();
  return seen;
}

/** Saves a screenshot of the whole page, for inspection after the run. */
export async function keep(page: Page, name: string): Promise<void> {
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true, animations: 'disabled' });
}

/** Clicks Unmask and waits for the result. */
export async function unmask(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Unmask' }).click();
  await page.locator('#result').waitFor();
}

/** Selects an equal share per step, so that the number of committed tokens does not depend on the model. */
export async function inEqualShares(page: Page, steps: number): Promise<void> {
  await page.getByLabel(/^Schedule/).selectOption('entropy');
  await page.getByLabel('Steps', { exact: true }).fill(String(steps));
}

/** Number of tokens of the canvas, or of the board, in a state. */
export const count = (page: Page, state: string) =>
  page.locator(`#lane > :not([hidden]) .token[data-state="${state}"]`).count();

/** Whether the page is wider than the screen. */
export async function overflows(page: Page): Promise<boolean> {
  return page.evaluate('document.documentElement.scrollWidth > innerWidth');
}
