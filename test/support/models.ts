import { copyFileSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Device, DiffusionLM, type LoadOptions } from '../../lib';
import { fixturesFolder } from './goldens';

/** The embedded checkpoint. */
export const nanoFolder = resolve(__dirname, '..', '..', 'models', 'nano');

const temporary: string[] = [];
const models = new Map<string, Promise<DiffusionLM>>();

/** A golden checkpoint's folder, with another config file in place of config.json if the golden requires one. */
function checkpointFolder(checkpoint: string, config: string): string {
  const folder = resolve(fixturesFolder, checkpoint);
  if (config === 'config.json') return folder;
  const twin = mkdtempSync(join(tmpdir(), 'rnd1-golden-'));
  temporary.push(twin);
  for (const name of readdirSync(folder)) {
    if (name === config) copyFileSync(join(folder, name), join(twin, 'config.json'));
    else if (!name.startsWith('config')) symlinkSync(join(folder, name), join(twin, name));
  }
  return twin;
}

/** The device that the golden data are tested on: `RND1_TEST_DEVICE=cuda npx jest test/model` uses a GPU. */
export const device = (process.env.RND1_TEST_DEVICE ?? 'cpu') as Device;

/** The model of a golden case, f32 unless `options` override it; loaded once, closed by `closeModels`. */
export function openModel(
  golden: { readonly checkpoint: string; readonly config?: string },
  options: LoadOptions = {},
): Promise<DiffusionLM> {
  const { checkpoint, config = 'config.json' } = golden;
  const all: LoadOptions = { device, dtype: 'f32', threads: 2, ...options };
  const key = JSON.stringify([checkpoint, config, all]);
  const opened = models.get(key) ?? DiffusionLM.load(checkpointFolder(checkpoint, config), all);
  models.set(key, opened);
  return opened;
}

/** For `afterAll`: disposes every model that `openModel` loaded and removes temporary folders. */
export async function closeModels(): Promise<void> {
  const opened = await Promise.allSettled(models.values());
  models.clear();
  for (const model of opened) if (model.status === 'fulfilled') await model.value.dispose();
  for (const folder of temporary.splice(0)) rmSync(folder, { recursive: true });
}
