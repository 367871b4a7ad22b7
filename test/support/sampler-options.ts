import type { TokenOptions } from '../../lib';

/** Options of samplers as the library, the command line and the server's bodies take them. */
export const samplerOptions: readonly {
  readonly options: TokenOptions;
  readonly flags: readonly string[];
  readonly fields: Readonly<Record<string, unknown>>;
}[] = [
  {
    options: { cfgScale: 1.5 },
    flags: ['--cfg-scale', '1.5'],
    fields: { cfg_scale: 1.5 },
  },
  {
    options: { counts: 'proportional', schedule: 'entropy' },
    flags: ['--counts', 'proportional', '--schedule', 'entropy'],
    fields: { counts: 'proportional', schedule: 'entropy' },
  },
  {
    options: { counts: { type: 'linear' }, algTemp: 0.7, schedule: 'margin' },
    flags: ['--counts', 'linear', '--alg-temp', '0.7', '--schedule', 'margin'],
    fields: { counts: 'linear', alg_temp: 0.7, schedule: 'margin' },
  },
  {
    options: { cache: 'dual', refresh: 2 },
    flags: ['--cache', 'dual', '--refresh', '2'],
    fields: { cache: 'dual', refresh: 2 },
  },
  {
    options: { suppressEos: true, zeroEosConfidence: true },
    flags: ['--suppress-eos', '--zero-eos-confidence'],
    fields: { suppress_eos: true, zero_eos_confidence: true },
  },
  {
    options: {
      editing: { threshold: 0.02 },
      schedule: {
        type: 'blocks',
        length: 8,
        steps: 4,
        from: 'canvas',
        window: 'block',
        schedule: { type: 'threshold', tau: 0.05, strict: true, atLeast: 2 },
      },
    },
    flags: [
      '--editing',
      '0.02',
      '--schedule',
      'blocks=8,steps=4,from=canvas,window=block:threshold=0.05,strict,at-least=2',
    ],
    fields: {
      editing: { threshold: 0.02, max_post_steps: null },
      schedule: {
        type: 'blocks',
        length: 8,
        steps: 4,
        from: 'canvas',
        window: 'block',
        schedule: { type: 'threshold', tau: 0.05, strict: true, at_least: 2 },
      },
    },
  },
];
